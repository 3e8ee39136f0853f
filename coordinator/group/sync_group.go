package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// SyncGroup serves versions 0 to 5. It blocks until the leader's assignment is in the log.
//
// Difference from Apache Kafka: a member that is removed while it waits here is told UNKNOWN_MEMBER_ID; Kafka never answers
// it.
func (c *Coordinator) SyncGroup(ctx context.Context, _ Client, r *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	a := c.syncGroup(ctx, r)
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.Version = r.Version
	resp.ErrorCode = int16(a.code)
	resp.ProtocolType, resp.Protocol = a.protocolType, a.protocol
	resp.MemberAssignment = a.assignment
	return resp
}

func (c *Coordinator) syncGroup(ctx context.Context, r *kmsg.SyncGroupRequest) syncAnswer {
	if c.unsupportedStatic(r.InstanceID) {
		return syncAnswer{code: protocol.UnsupportedVersion}
	}
	if r.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		return syncAnswer{code: protocol.InconsistentGroupProtocol} // mandatory since v5
	}
	s, code := c.find(r.Group, false)
	switch {
	case code == protocol.CoordinatorLoadInProgress:
		// The rebalance was lost with the former coordinator: the member must join again, and older clients do not expect
		// this code here.
		return syncAnswer{code: protocol.RebalanceInProgress}
	case code != protocol.None:
		return syncAnswer{code: code}
	case s == nil:
		return syncAnswer{code: protocol.UnknownMemberID}
	}
	e := &syncEvent{
		memberID: r.MemberID, instanceID: r.InstanceID, generation: r.Generation,
		protocolType: r.ProtocolType, protocol: r.Protocol,
		assignment: make(map[string][]byte, len(r.GroupAssignment)),
		to:         newWaiter[syncAnswer](),
	}
	for _, a := range r.GroupAssignment {
		e.assignment[a.MemberID] = a.MemberAssignment
	}
	s.do(c, func(g *group, now int64, out *effects) { g.sync(e, now, out) })
	select {
	case a := <-e.to:
		return a
	case <-ctx.Done():
		return syncAnswer{code: protocol.RequestTimedOut}
	}
}
