package group

import "gregor/protocol"

// removeExpired drops the offsets whose retention is over (KIP-211), and the group itself when it has no members and no
// offsets left.
func (g *group) removeExpired(now int64, out *effects) (removed int) {
	return g.cleanup(g.expiredOffsets(now), out)
}

// removeOffsets drops the offsets of these partitions. It returns how many there were.
func (g *group) removeOffsets(tps []protocol.TopicPartition, out *effects) (removed int) {
	return g.cleanup(tps, out)
}

// delete drops a group without members, with all its offsets. Another group is left alone.
func (g *group) delete(out *effects) (removed int, code protocol.ErrorCode) {
	switch g.state {
	case Empty:
	case Dead:
		return 0, protocol.GroupIDNotFound
	default:
		return 0, protocol.NonEmptyGroup
	}
	var all []protocol.TopicPartition
	for tp := range g.offsets {
		all = append(all, tp)
	}
	for tp := range g.pendingCommits {
		if _, both := g.offsets[tp]; !both {
			all = append(all, tp)
		}
	}
	g.pendingTxn = nil
	return g.cleanup(all, out), protocol.None
}

// cleanup forgets the offsets of the given partitions, and the group when nothing is left of it, and writes the tombstones.
// When they do not reach the log, the next load brings the offsets back and the next expiry drops them again.
func (g *group) cleanup(tps []protocol.TopicPartition, out *effects) (removed int) {
	w := &write{}
	for _, tp := range tps {
		_, stored := g.offsets[tp]
		_, pending := g.pendingCommits[tp]
		if stored || pending {
			w.add(offsetKey(g.id, tp), nil)
		}
		if stored {
			removed++
		}
		delete(g.offsets, tp)
		delete(g.pendingCommits, tp)
	}
	dead := g.is(Empty) && len(g.offsets) == 0 && len(g.pendingCommits) == 0 && len(g.pendingTxn) == 0
	if dead {
		out.infof("Group %s transitioned to Dead in generation %d", g.id, g.generation)
		g.state = Dead
		// A group that never had a generation is not in the log by itself.
		if g.generation > 0 {
			w.add(groupKey(g.id), nil)
		}
	}
	if len(w.records) == 0 {
		out.removed = dead
		return removed
	}
	w.done = func(g *group, _ int64, code protocol.ErrorCode, out *effects) {
		if code != protocol.None {
			out.warnf("Failed to append %d tombstones for expired or deleted offsets and metadata of group %s: %s", len(w.records), g.id, code)
		}
		out.removed = dead
	}
	out.writes = append(out.writes, w)
	return removed
}

// expiredOffsets finds the offsets that nobody needs any more. Offsets with a commit on its way stay. An offset that was
// committed with a retention of its own keeps to that; the others last for offsets.retention.minutes since
//   - the group became empty, when it had members once,
//   - their commit, when it never had any (a simple consumer), or when it is a stable consumer group whose members do not
//     subscribe to the topic any more.
func (g *group) expiredOffsets(now int64) []protocol.TopicPartition {
	var since func(committed) int64
	commitTime := func(o committed) int64 { return o.commitTime }
	subscribed := map[string]struct{}(nil)
	switch {
	case g.protocolType != "" && g.is(Empty):
		since = func(o committed) int64 {
			if g.stateTimestamp == noTime {
				return o.commitTime
			}
			return g.stateTimestamp
		}
	case g.protocolType == consumerProtocolType && g.subscribed != nil && g.is(Stable):
		since, subscribed = commitTime, g.subscribed
	case g.protocolType == "":
		since = commitTime
	default:
		return nil
	}
	var expired []protocol.TopicPartition
	for tp, o := range g.offsets {
		if _, needed := subscribed[tp.Topic]; needed || g.unstable(tp) {
			continue
		}
		over := now-since(o.committed) >= g.rules.offsetsRetentionMs
		if o.expireTime != noTime {
			over = now >= o.expireTime
		}
		if over {
			expired = append(expired, tp)
		}
	}
	return expired
}
