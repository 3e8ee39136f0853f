package group

import (
	"unicode/utf16"

	"gregor/protocol"
)

// partitionSet is a set of partitions. With one, an answer names each partition once, as Kafka's do, however often the
// request did.
type partitionSet map[protocol.TopicPartition]struct{}

// add reports whether tp is new.
func (s partitionSet) add(tp protocol.TopicPartition) bool {
	if _, ok := s[tp]; ok {
		return false
	}
	s[tp] = struct{}{}
	return true
}

// committed is an offset that a group committed for a partition.
type committed struct {
	offset      int64
	leaderEpoch int32 // -1 when the client did not say
	metadata    string
	commitTime  int64 // milliseconds
	expireTime  int64 // milliseconds; noTime unless the client asked for a retention of its own (OffsetCommit v2-v4)
}

// offsetEntry is a committed offset and the batch that brought it: of two, the one later in the log counts.
type offsetEntry struct {
	committed
	batch int64 // base offset of the batch in __consumer_offsets; noBatch for what this broker wrote itself
}

// noBatch marks offsets that need no comparison: the writes of a group reach the log one after the other.
const noBatch = -1

// pendingCommit is a commit on its way to the log. It is known by its address: a later commit for the partition takes its
// place.
type pendingCommit struct{ committed }

// commitEvent is an OffsetCommit request.
type commitEvent struct {
	memberID   string
	instanceID *string
	generation int32 // -1 from an administrator or a consumer without group management
	offsets    []partitionOffset
	to         waiter[protocol.ErrorCode]
}

type partitionOffset struct {
	tp protocol.TopicPartition
	committed
}

// metadataTooLarge counts as Java does. What no record can hold is too large under any setting.
func (r *rules) metadataTooLarge(metadata string) bool {
	if len(metadata) > maxString {
		return true
	}
	if len(metadata) <= r.offsetMetadataMax {
		return false
	}
	units := 0
	for _, c := range metadata {
		units += utf16.RuneLen(c)
	}
	return units > r.offsetMetadataMax
}

// commit serves an OffsetCommit; the offsets (with metadata that is not too large, one per partition) are visible after the
// append.
func (g *group) commit(e *commitEvent, now int64, out *effects) {
	if code := g.validateCommit(e, out); code != protocol.None {
		out.commit(e.to, code)
		return
	}
	switch g.state {
	case Stable, PreparingRebalance:
		// A commit of the old generation is welcome while a rebalance is prepared: its heartbeat will tell the member. A
		// commit without generation has no member to keep alive.
		if m := g.members[e.memberID]; m != nil {
			g.keepAlive(m, now)
		}
	case CompletingRebalance:
		out.commit(e.to, protocol.RebalanceInProgress)
		return
	}
	if len(e.offsets) == 0 {
		out.commit(e.to, protocol.None)
		return
	}
	if g.pendingCommits == nil {
		g.pendingCommits = map[protocol.TopicPartition]*pendingCommit{}
	}
	staged := make([]*pendingCommit, len(e.offsets))
	w := &write{}
	for i, o := range e.offsets {
		staged[i] = &pendingCommit{o.committed}
		g.pendingCommits[o.tp] = staged[i]
		w.add(offsetKey(g.id, o.tp), offsetValue(g.rules.offsetValueVersion, o.committed))
	}
	w.done = func(g *group, _ int64, code protocol.ErrorCode, out *effects) {
		for i, o := range e.offsets {
			g.finishCommit(o.tp, staged[i], code == protocol.None)
		}
		out.commit(e.to, commitErrorCode(code))
	}
	out.writes = append(out.writes, w)
}

func (g *group) validateCommit(e *commitEvent, out *effects) protocol.ErrorCode {
	switch {
	case g.is(Dead):
		return g.deadCode()
	case e.generation < 0 && g.is(Empty):
		return protocol.None
	case e.generation < 0 && e.memberID == "" && e.instanceID == nil:
		return protocol.UnknownMemberID // only members may commit while there are some
	}
	if code := g.validateMember(e.memberID, e.instanceID, "offset-commit", out); code != protocol.None {
		return code
	}
	if e.generation != g.generation {
		return protocol.IllegalGeneration
	}
	return protocol.None
}

// finishCommit makes a staged offset visible, or drops it. When the partition's offsets were deleted meanwhile, nothing is
// pending any more, and the tombstone stands behind the commit in the log.
func (g *group) finishCommit(tp protocol.TopicPartition, staged *pendingCommit, ok bool) {
	pending, exists := g.pendingCommits[tp]
	if !exists || g.is(Dead) {
		return
	}
	if ok {
		g.setOffset(tp, offsetEntry{staged.committed, noBatch})
	}
	if pending == staged {
		delete(g.pendingCommits, tp)
	}
}

func (g *group) setOffset(tp protocol.TopicPartition, o offsetEntry) {
	if g.offsets == nil {
		g.offsets = map[protocol.TopicPartition]offsetEntry{}
	}
	g.offsets[tp] = o
}

// unstable tells whether a commit for the partition is on its way, from a member or in an open transaction (KIP-447).
func (g *group) unstable(tp protocol.TopicPartition) bool {
	if _, pending := g.pendingCommits[tp]; pending {
		return true
	}
	for _, offsets := range g.pendingTxn {
		if _, pending := offsets[tp]; pending {
			return true
		}
	}
	return false
}

// commitErrorCode translates an error of the produce path for OffsetCommit (GroupMetadataManager.storeOffsets).
func commitErrorCode(code protocol.ErrorCode) protocol.ErrorCode {
	switch code {
	case protocol.UnknownTopicOrPartition, protocol.NotEnoughReplicas, protocol.NotEnoughReplicasAfterAppend:
		return protocol.CoordinatorNotAvailable
	case protocol.NotLeaderOrFollower, protocol.KafkaStorageError:
		return protocol.NotCoordinator
	case protocol.MessageTooLarge, protocol.RecordListTooLarge, protocol.InvalidFetchSize:
		return protocol.InvalidCommitOffsetSize
	}
	return code
}
