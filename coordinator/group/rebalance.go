package group

import (
	"log/slog"
	"strings"

	"gregor/protocol"
)

// maybePrepareRebalance starts a rebalance unless one is being prepared already, or the group is gone.
func (g *group) maybePrepareRebalance(reason string, now int64, out *effects) {
	if g.is(Stable, CompletingRebalance, Empty) {
		g.prepareRebalance(reason, now, out)
	}
}

// prepareRebalance asks all members to join again. They learn of it from their heartbeats.
func (g *group) prepareRebalance(reason string, now int64, out *effects) {
	if g.is(CompletingRebalance) {
		g.propagateError(protocol.RebalanceInProgress, now, out)
	}
	g.clearPendingSync()

	t := &g.rebalance
	timeout := g.rebalanceTimeoutMs()
	if t.initial = g.is(Empty); t.initial {
		t.delayMs = g.rules.initialRebalanceDelayMs
		t.remainingMs = max(timeout-t.delayMs, 0)
		t.deadline = g.due(now + t.delayMs)
	} else {
		t.deadline = g.due(now + timeout)
	}
	g.transition(PreparingRebalance, now)
	out.infof("Preparing to rebalance group %s in state %s with old generation %d (%s-%d) (reason: %s)",
		g.id, g.state, g.generation, offsetsTopic, g.partition, reason)
	g.maybeCompleteJoin(now, out)
}

// maybeCompleteJoin ends the preparation early when everybody is there. The first rebalance of an empty group is never
// ended early.
func (g *group) maybeCompleteJoin(now int64, out *effects) {
	if g.is(PreparingRebalance) && !g.rebalance.initial && g.awaitingJoin == len(g.members) && len(g.pending) == 0 {
		g.completeJoin(now, out)
	}
}

// expireRebalance ends the preparation, or prolongs the first one when members came while it waited.
func (g *group) expireRebalance(now int64, out *effects) {
	t := &g.rebalance
	if t.initial && t.newMemberAdded && t.remainingMs != 0 {
		t.newMemberAdded = false
		delay := min(g.rules.initialRebalanceDelayMs, t.remainingMs)
		t.remainingMs = max(t.remainingMs-t.delayMs, 0)
		t.delayMs = delay
		t.deadline = g.due(now + delay)
		return
	}
	g.completeJoin(now, out)
}

// completeJoin makes the next generation of those who joined. Dynamic members who did not are dropped; static ones stay
// until their session lapses (KIP-345).
func (g *group) completeJoin(now int64, out *effects) {
	g.rebalance.deadline = never
	g.dropNotRejoined(out)
	if len(g.members) > 0 && !g.electLeader(out) {
		out.logf(slog.LevelError, "Group %s could not complete rebalance because no members rejoined", g.id)
		g.rebalance = rebalanceTimer{deadline: g.due(now + g.rebalanceTimeoutMs()), newMemberAdded: g.rebalance.newMemberAdded}
		return
	}
	g.generation++
	if len(g.members) == 0 {
		g.becomeEmpty(now, out)
		return
	}
	g.protocol = g.selectProtocol()
	g.subscribed = g.computeSubscribed()
	g.transition(CompletingRebalance, now)
	out.infof("Stabilized group %s generation %d (%s-%d) with %d members", g.id, g.generation, offsetsTopic, g.partition, len(g.members))

	g.pendingSync = make(map[string]struct{}, len(g.members))
	members := g.joinedMembers()
	for _, m := range g.ordered() {
		a := g.currentGeneration(m.id)
		if m.id == g.leader {
			a.members = members
		}
		g.answerJoin(m, a, out)
		g.keepAlive(m, now)
		m.isNew = false
		g.pendingSync[m.id] = struct{}{}
	}
	g.syncDeadline = g.due(now + g.rebalanceTimeoutMs())
}

func (g *group) dropNotRejoined(out *effects) {
	var dropped []string
	for _, m := range g.ordered() {
		if m.joinWaiter == nil && m.instanceID == nil {
			g.remove(m.id, out)
			dropped = append(dropped, m.id)
		}
	}
	if len(dropped) > 0 {
		out.infof("Group %s removed dynamic members who haven't joined: %s", g.id, strings.Join(dropped, ", "))
	}
}

// becomeEmpty persists that nobody is left. When that fails the old generation lives on in the log and lapses after the
// next load, so a warning is enough.
func (g *group) becomeEmpty(now int64, out *effects) {
	g.protocol = nil
	g.subscribed = g.computeSubscribed()
	g.transition(Empty, now)
	out.infof("Group %s with generation %d is now empty (%s-%d)", g.id, g.generation, offsetsTopic, g.partition)
	g.store(nil, out, func(g *group, _ int64, code protocol.ErrorCode, out *effects) {
		if code != protocol.None {
			out.warnf("Failed to write empty metadata for group %s: %s", g.id, code)
		}
	})
}

// electLeader makes sure that the leader is one of those who joined. False means that nobody joined.
func (g *group) electLeader(out *effects) bool {
	if m := g.members[g.leader]; m != nil && m.joinWaiter != nil {
		return true
	}
	next := g.first(func(m *member) bool { return m.joinWaiter != nil })
	if next == nil {
		return false
	}
	out.infof("Leader %s of group %s failed to join before the rebalance timeout, new leader is %s", g.leader, g.id, next.id)
	g.leader = next.id
	return true
}

// currentGeneration is the answer to a JoinGroup that says what is agreed on, without the members.
func (g *group) currentGeneration(memberID string) joinAnswer {
	return joinAnswer{
		memberID: memberID, generation: g.generation, protocolType: g.protocolTypeOrNil(), protocol: g.protocol, leader: g.leader,
	}
}

// joinedMembers is the list for the leader.
func (g *group) joinedMembers() []joinedMember {
	list := make([]joinedMember, 0, len(g.members))
	for _, m := range g.ordered() {
		list = append(list, joinedMember{m.id, m.instanceID, m.metadata(g.protocol)})
	}
	return list
}

// removeMember drops a member that left or failed, and rebalances for those who stay. A JoinGroup of it that waits is told
// UNKNOWN_MEMBER_ID, so that a client that still lives tries again.
func (g *group) removeMember(m *member, reason string, now int64, out *effects) {
	g.answerJoin(m, joinError("", protocol.UnknownMemberID), out)
	g.remove(m.id, out)
	switch g.state {
	case Stable, CompletingRebalance:
		g.prepareRebalance(reason, now, out)
	case PreparingRebalance:
		g.maybeCompleteJoin(now, out)
	}
}

// removePending takes back a member id that was given out and not used.
func (g *group) removePending(id string, now int64, out *effects) {
	delete(g.pending, id)
	g.maybeCompleteJoin(now, out)
}

// unload ends the group because its partition moved away: whoever waits is sent to look for the new coordinator.
func (g *group) unload(out *effects) {
	out.infof("Unloading group metadata for %s with generation %d", g.id, g.generation)
	for _, m := range g.ordered() {
		g.answerJoin(m, joinError(m.id, protocol.NotCoordinator), out)
		g.answerSync(m, syncAnswer{code: protocol.NotCoordinator}, out)
	}
	g.state, g.unloaded = Dead, true
}
