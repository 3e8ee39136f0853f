package group

import (
	"cmp"
	"fmt"

	"gregor/protocol"
)

// joinEvent is a JoinGroup request.
type joinEvent struct {
	memberID string // "" for a new member
	// newMemberID is made up beforehand by the shell, for a new member that gets it.
	newMemberID          string
	instanceID           *string // nil for a dynamic member
	clientID, clientHost string
	rebalanceTimeoutMs   int32
	sessionTimeoutMs     int32
	protocolType         string
	protocols            []memberProtocol // names are distinct
	reason               string           // of the client (KIP-800), "" when it gave none
	// requireKnownMemberID (v4+, dynamic members) makes a new member come again with its id before it counts (KIP-394).
	requireKnownMemberID bool
	// maySkipAssignment (v9+) says that the client knows SkipAssignment (KIP-814).
	maySkipAssignment bool
	to                waiter[joinAnswer]
}

// because appends what the client said to the reason of a rebalance.
func because(clientReason, format string, args ...any) string {
	return fmt.Sprintf(format, args...) + "; client reason: " + cmp.Or(clientReason, "not provided")
}

// join serves a JoinGroup. The answer may come much later.
func (g *group) join(e *joinEvent, now int64, out *effects) {
	switch {
	case !g.hasRoom(e.memberID):
		g.remove(e.memberID, out)
		out.join(e.to, joinError("", protocol.GroupMaxSizeReached))
	case g.is(Dead):
		out.join(e.to, joinError(e.memberID, g.deadCode()))
	case !g.supports(e.protocolType, e.protocols):
		out.join(e.to, joinError(e.memberID, protocol.InconsistentGroupProtocol))
	case e.memberID == "" && e.instanceID != nil:
		g.joinStatic(e, now, out)
	case e.memberID == "":
		g.joinDynamic(e, now, out)
	default:
		g.joinAgain(e, now, out)
	}
	g.maybeCompleteJoin(now, out)
}

// deadCode is the answer of a group that was taken away under the request.
func (g *group) deadCode() protocol.ErrorCode {
	if g.unloaded {
		return protocol.NotCoordinator
	}
	return protocol.CoordinatorNotAvailable
}

// hasRoom tells whether group.max.size admits the member. While a rebalance is prepared those who wait are counted instead
// of the members: so the last to come back are shed when the limit was lowered.
func (g *group) hasRoom(memberID string) bool {
	switch g.state {
	case PreparingRebalance:
		m := g.members[memberID]
		return m != nil && m.joinWaiter != nil || g.awaitingJoin < g.rules.maxSize
	case CompletingRebalance, Stable:
		return g.members[memberID] != nil || len(g.members) < g.rules.maxSize
	default:
		return true
	}
}

func (g *group) joinDynamic(e *joinEvent, now int64, out *effects) {
	if !e.requireKnownMemberID {
		out.infof("Dynamic member with unknown member id joins group %s in %s state. Created a new member id %s and added it to the group.",
			g.id, g.state, e.newMemberID)
		g.addAndRebalance(e, e.newMemberID, now, out)
		return
	}
	out.infof("Dynamic member with unknown member id joins group %s in %s state. Created a new member id %s and asked the member to rejoin with it.",
		g.id, g.state, e.newMemberID)
	if g.pending == nil {
		g.pending = map[string]int64{}
	}
	g.pending[e.newMemberID] = g.due(now + int64(e.sessionTimeoutMs))
	out.join(e.to, joinError(e.newMemberID, protocol.MemberIDRequired))
}

func (g *group) joinStatic(e *joinEvent, now int64, out *effects) {
	old, known := g.static[*e.instanceID]
	if !known {
		out.infof("Static member with groupInstanceId=%s and unknown member id joins group %s in %s state. Created a new member id %s and added it to the group.",
			*e.instanceID, g.id, g.state, e.newMemberID)
		g.addAndRebalance(e, e.newMemberID, now, out)
		return
	}
	out.infof("Static member with groupInstanceId=%s and unknown member id joins group %s in %s state. Replacing its previous member id %s with %s.",
		*e.instanceID, g.id, g.state, old, e.newMemberID)
	g.rejoinStatic(e, g.members[old], now, out)
}

// joinAgain serves a member that sends its member id.
func (g *group) joinAgain(e *joinEvent, now int64, out *effects) {
	if _, pending := g.pending[e.memberID]; pending {
		if e.instanceID != nil {
			// Ids of static members are never pending; Kafka fails here.
			out.join(e.to, joinError(e.memberID, protocol.UnknownServerError))
			return
		}
		g.addAndRebalance(e, e.memberID, now, out)
		return
	}
	if code := g.validateMember(e.memberID, e.instanceID, "join-group", out); code != protocol.None {
		out.join(e.to, joinError(e.memberID, code))
		return
	}
	m := g.members[e.memberID]
	switch changed := !m.matches(e.protocols); {
	case g.is(PreparingRebalance):
		g.update(m, e.protocols, e.rebalanceTimeoutMs, e.sessionTimeoutMs, e.to)
	case g.is(Stable) && m.id == g.leader:
		// The leader may ask for a rebalance without a change of its own, as when partitions were added to a topic.
		g.updateAndRebalance(m, e, because(e.reason, "Leader %s re-joining group during %s", m.id, g.state), now, out)
	case g.is(Stable, CompletingRebalance) && changed:
		g.updateAndRebalance(m, e, because(e.reason, "Updating metadata for member %s during %s", m.id, g.state), now, out)
	case g.is(Stable, CompletingRebalance):
		// Perhaps the first answer was lost: it gets the same again.
		a := g.currentGeneration(m.id)
		if m.id == g.leader {
			a.members = g.joinedMembers()
		}
		out.join(e.to, a)
	default:
		out.warnf("Attempt to add rejoining member %s of group %s in unexpected group state %s", e.memberID, g.id, g.state)
		out.join(e.to, joinError(e.memberID, protocol.UnknownMemberID))
	}
}

func (g *group) updateAndRebalance(m *member, e *joinEvent, reason string, now int64, out *effects) {
	g.update(m, e.protocols, e.rebalanceTimeoutMs, e.sessionTimeoutMs, e.to)
	g.maybePrepareRebalance(reason, now, out)
}

// addAndRebalance makes a new member, dynamic or static.
func (g *group) addAndRebalance(e *joinEvent, id string, now int64, out *effects) {
	if len(g.members) == 0 {
		g.protocolType = e.protocolType
	}
	if g.is(PreparingRebalance) && g.generation == 0 {
		g.rebalance.newMemberAdded = true
	}
	m := &member{
		id: id, instanceID: e.instanceID, clientID: e.clientID, clientHost: e.clientHost,
		rebalanceTimeoutMs: e.rebalanceTimeoutMs, sessionTimeoutMs: e.sessionTimeoutMs, protocols: e.protocols,
		isNew: true, deadline: g.due(now + newMemberJoinTimeoutMs), joinWaiter: e.to,
	}
	g.add(m)
	instance := "none"
	if e.instanceID != nil {
		instance = *e.instanceID
	}
	g.maybePrepareRebalance(because(e.reason, "Adding new member %s with group instance id %s", id, instance), now, out)
}

// rejoinStatic serves a static member that came back without its member id: it takes the place of its former self, which is
// fenced. In a stable group this changes nothing for the others, so they are not disturbed (KIP-345), but the new id must
// be in the log before the answer goes out, or the member would be fenced by its old self after a failover (KAFKA-10284).
func (g *group) rejoinStatic(e *joinEvent, m *member, now int64, out *effects) {
	was := formerSelf{
		id: m.id, leader: g.leader, protocols: m.protocols, rebalanceTimeoutMs: m.rebalanceTimeoutMs, sessionTimeoutMs: m.sessionTimeoutMs,
	}
	g.rename(m, e.newMemberID, out)
	g.keepAlive(m, now)
	g.update(m, e.protocols, e.rebalanceTimeoutMs, e.sessionTimeoutMs, e.to)

	switch {
	case g.is(CompletingRebalance):
		// The leader may be about to assign to the old id: all must start over.
		g.prepareRebalance(because(e.reason, "Updating metadata for static member %s with instance id %s", m.id, *e.instanceID), now, out)
	case g.is(Stable) && !samePointee(g.protocol, g.selectProtocol()):
		g.maybePrepareRebalance(because(e.reason, "Group's protocol will change because static member %s with instance id %s joined with other protocols",
			m.id, *e.instanceID), now, out)
	case g.is(Stable):
		out.infof("Static member %s of group %s joins during Stable stage without effect on the protocol: no rebalance", m.id, g.id)
		g.store(g.assignments(), out, func(g *group, now int64, code protocol.ErrorCode, out *effects) {
			g.staticStored(e, m, was, now, code, out)
		})
	}
}

// formerSelf is what a static member was before it came back, in case the change cannot be persisted.
type formerSelf struct {
	id, leader                           string
	protocols                            []memberProtocol
	rebalanceTimeoutMs, sessionTimeoutMs int32
}

// staticStored answers a static member that came back to a stable group.
func (g *group) staticStored(e *joinEvent, m *member, was formerSelf, now int64, code protocol.ErrorCode, out *effects) {
	if code = storeErrorCode(code); code != protocol.None {
		out.warnf("Failed to persist metadata for group %s: %s", g.id, code)
		if g.members[e.newMemberID] == m && m.joinWaiter == e.to {
			g.update(m, was.protocols, was.rebalanceTimeoutMs, was.sessionTimeoutMs, nil)
			g.rename(m, was.id, out)
			g.keepAlive(m, now)
			a := g.currentGeneration("")
			a.code, a.leader = code, was.leader
			out.join(e.to, a)
		}
		return
	}
	if m.joinWaiter != e.to || g.is(Dead) {
		return // answered otherwise meanwhile
	}
	if !g.is(Stable, CompletingRebalance) {
		return // a rebalance began while the log was written: its end will answer
	}
	a := g.currentGeneration(m.id)
	switch {
	case !e.maySkipAssignment:
		// An older client must not run its assignor, since the result would be ignored: it is told that its former self
		// leads.
		a.leader = was.leader
	case m.id == g.leader:
		a.skipAssignment, a.members = true, g.joinedMembers()
	}
	g.answerJoin(m, a, out)
}

// rename gives a static member another member id. Requests that wait under the old one are fenced.
func (g *group) rename(m *member, id string, out *effects) {
	g.answerJoin(m, joinError(m.id, protocol.FencedInstanceID), out)
	g.answerSync(m, syncAnswer{code: protocol.FencedInstanceID}, out)
	delete(g.members, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	if _, waiting := g.pendingSync[m.id]; waiting {
		delete(g.pendingSync, m.id)
		g.pendingSync[id] = struct{}{}
	}
	m.id = id
	g.members[id] = m
	g.static[*m.instanceID] = id
}

func samePointee(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}
