package group

import (
	"cmp"
	"slices"

	"gregor/protocol"
)

// heartbeat renews a member's session and tells it whether to join again.
func (g *group) heartbeat(memberID string, instanceID *string, generation int32, now int64, out *effects) protocol.ErrorCode {
	if g.is(Dead) {
		return g.deadCode()
	}
	if code := g.validateMember(memberID, instanceID, "heartbeat", out); code != protocol.None {
		return code
	}
	if generation != g.generation {
		return protocol.IllegalGeneration
	}
	switch g.state {
	case PreparingRebalance:
		g.keepAlive(g.members[memberID], now)
		return protocol.RebalanceInProgress
	case CompletingRebalance, Stable:
		g.keepAlive(g.members[memberID], now)
		return protocol.None
	}
	return protocol.UnknownMemberID
}

// leave takes one member out. An empty member id with an instance id is an administrator's removal of a static member.
func (g *group) leave(memberID string, instanceID *string, reason string, now int64, out *effects) protocol.ErrorCode {
	if memberID == "" {
		current, known := "", false
		if instanceID != nil {
			current, known = g.static[*instanceID]
		}
		if !known {
			return protocol.UnknownMemberID
		}
		memberID = current
	} else if _, pending := g.pending[memberID]; pending {
		out.infof("Pending member with memberId=%s has left group %s through explicit LeaveGroup request", memberID, g.id)
		g.removePending(memberID, now, out)
		return protocol.None
	} else if code := g.validateMember(memberID, instanceID, "leave-group", out); code != protocol.None {
		return code
	}
	reason = cmp.Or(reason, "not provided")
	out.infof("Member %s has left group %s through explicit LeaveGroup; client reason: %s", memberID, g.id, reason)
	g.removeMember(g.members[memberID], "Removing member "+memberID+" on LeaveGroup; client reason: "+reason, now, out)
	return protocol.None
}

// computeSubscribed reads the topics that the members of a consumer group subscribe to. It is nil when they cannot be
// known: another protocol type, or a subscription that does not parse.
func (g *group) computeSubscribed() map[string]struct{} {
	if g.protocolType != consumerProtocolType || len(g.members) > 0 && g.protocol == nil {
		return nil
	}
	topics := map[string]struct{}{}
	for _, m := range g.members {
		list, err := subscriptionTopics(m.metadata(g.protocol))
		if err != nil {
			return nil
		}
		for _, t := range list {
			topics[t] = struct{}{}
		}
	}
	return topics
}

// groupSummary is a group as DescribeGroups shows it.
type groupSummary struct {
	state        State
	protocolType string
	protocol     string
	members      []memberSummary
}

// memberSummary is one member of it. Outside Stable, metadata and assignment are not shown.
type memberSummary struct {
	id                   string
	instanceID           *string
	clientID, clientHost string
	metadata, assignment []byte
}

func (g *group) summary() groupSummary {
	s := groupSummary{state: g.state, protocolType: g.protocolType}
	stable := g.is(Stable)
	if stable && g.protocol != nil {
		s.protocol = *g.protocol
	}
	for _, m := range g.ordered() {
		ms := memberSummary{id: m.id, instanceID: m.instanceID, clientID: m.clientID, clientHost: m.clientHost}
		if stable {
			ms.metadata, ms.assignment = slices.Clone(m.metadata(g.protocol)), slices.Clone(m.assignment)
		}
		s.members = append(s.members, ms)
	}
	return s
}
