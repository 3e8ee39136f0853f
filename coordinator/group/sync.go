package group

import (
	"cmp"
	"slices"
	"strings"

	"gregor/protocol"
)

// syncEvent is a SyncGroup request.
type syncEvent struct {
	memberID               string
	instanceID             *string
	generation             int32
	protocolType, protocol *string           // nil before v5: not checked
	assignment             map[string][]byte // by member id; from the leader only
	to                     waiter[syncAnswer]
}

// sync serves a SyncGroup. Followers wait for the leader's assignment; the leader waits until it is in the log.
func (g *group) sync(e *syncEvent, now int64, out *effects) {
	if code := g.validateSync(e, out); code != protocol.None {
		out.sync(e.to, syncAnswer{code: code})
		return
	}
	m := g.members[e.memberID]
	switch g.state {
	case PreparingRebalance:
		out.sync(e.to, syncAnswer{code: protocol.RebalanceInProgress})
	case Stable:
		g.syncReceived(m.id)
		out.sync(e.to, syncAnswer{protocolType: g.protocolTypeOrNil(), protocol: g.protocol, assignment: m.assignment})
		g.keepAlive(m, now)
	case CompletingRebalance:
		m.syncWaiter = e.to
		g.syncReceived(m.id)
		if m.id == g.leader {
			g.assign(e, out)
		}
	default:
		out.sync(e.to, syncAnswer{code: protocol.UnknownMemberID})
	}
}

func (g *group) validateSync(e *syncEvent, out *effects) protocol.ErrorCode {
	if g.is(Dead) {
		return g.deadCode()
	}
	if code := g.validateMember(e.memberID, e.instanceID, "sync-group", out); code != protocol.None {
		return code
	}
	switch {
	case e.generation != g.generation:
		return protocol.IllegalGeneration
	case e.protocolType != nil && *e.protocolType != g.protocolType,
		e.protocol != nil && !samePointee(e.protocol, g.protocol):
		return protocol.InconsistentGroupProtocol
	}
	return protocol.None
}

// syncReceived notes that a member of the generation has sent SyncGroup.
func (g *group) syncReceived(id string) {
	delete(g.pendingSync, id)
	if len(g.pendingSync) == 0 {
		g.clearPendingSync()
	}
}

func (g *group) clearPendingSync() {
	g.pendingSync, g.syncDeadline = nil, never
}

// assign writes the leader's assignment; members that it forgot get an empty one.
func (g *group) assign(e *syncEvent, out *effects) {
	out.infof("Assignment received from leader %s for group %s for generation %d. The group has %d members, %d of which are static.",
		e.memberID, g.id, g.generation, len(g.members), len(g.static))
	assignment := make(map[string][]byte, len(g.members))
	var missing []string
	for _, m := range g.ordered() {
		part, ok := e.assignment[m.id]
		if !ok {
			missing = append(missing, m.id)
		}
		assignment[m.id] = part
	}
	if len(missing) > 0 {
		out.warnf("Setting empty assignments for members %s of %s for generation %d", strings.Join(missing, ", "), g.id, g.generation)
	}
	generation, leader := g.generation, e.memberID
	g.store(assignment, out, func(g *group, now int64, code protocol.ErrorCode, out *effects) {
		// Members may have come and gone while the log was written: then this generation is history.
		if !g.is(CompletingRebalance) || g.generation != generation {
			return
		}
		if code := storeErrorCode(code); code != protocol.None {
			g.propagateError(code, now, out)
			g.prepareRebalance("Error when storing group assignment during SyncGroup (member: "+leader+")", now, out)
			return
		}
		g.propagate(assignment, now, out)
		g.transition(Stable, now)
	})
}

// propagate gives every member its part, and answers those who wait. Their sessions begin anew: while they waited nothing
// was expected of them.
func (g *group) propagate(assignment map[string][]byte, now int64, out *effects) {
	for _, m := range g.ordered() {
		m.assignment = assignment[m.id]
		a := syncAnswer{protocolType: g.protocolTypeOrNil(), protocol: g.protocol, assignment: m.assignment}
		if g.answerSync(m, a, out) {
			g.keepAlive(m, now)
		}
	}
}

// propagateError takes all assignments back and refuses those who wait.
func (g *group) propagateError(code protocol.ErrorCode, now int64, out *effects) {
	for _, m := range g.ordered() {
		m.assignment = nil
		if g.answerSync(m, syncAnswer{code: code}, out) {
			g.keepAlive(m, now)
		}
	}
}

// expireSync throws out members that joined and then never sent SyncGroup: they would hold the group up.
func (g *group) expireSync(now int64, out *effects) {
	if !g.is(CompletingRebalance, Stable) || len(g.pendingSync) == 0 {
		g.clearPendingSync()
		return
	}
	var late []*member
	for id := range g.pendingSync {
		late = append(late, g.members[id])
	}
	slices.SortFunc(late, func(a, b *member) int { return cmp.Compare(a.order, b.order) })
	var ids []string
	for _, m := range late {
		ids = append(ids, m.id)
		g.remove(m.id, out)
	}
	g.prepareRebalance("Removing "+strings.Join(ids, ", ")+" on pending sync request expiration", now, out)
}

// assignments is who has what now.
func (g *group) assignments() map[string][]byte {
	all := make(map[string][]byte, len(g.members))
	for id, m := range g.members {
		all[id] = m.assignment
	}
	return all
}

// store writes the group's metadata with the given assignment.
func (g *group) store(assignment map[string][]byte, out *effects, done func(*group, int64, protocol.ErrorCode, *effects)) {
	w := &write{done: done}
	w.add(groupKey(g.id), groupValue(g.rules.groupValueVersion, g, assignment))
	out.writes = append(out.writes, w)
}

// storeErrorCode translates an error of the produce path for JoinGroup and SyncGroup (GroupMetadataManager.storeGroup).
func storeErrorCode(code protocol.ErrorCode) protocol.ErrorCode {
	switch code {
	case protocol.UnknownTopicOrPartition, protocol.NotEnoughReplicas, protocol.NotEnoughReplicasAfterAppend:
		return protocol.CoordinatorNotAvailable
	case protocol.NotLeaderOrFollower, protocol.KafkaStorageError:
		return protocol.NotCoordinator
	case protocol.RequestTimedOut:
		return protocol.RebalanceInProgress
	case protocol.MessageTooLarge, protocol.RecordListTooLarge, protocol.InvalidFetchSize:
		return protocol.UnknownServerError
	}
	return code
}
