package group

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// JoinGroup serves versions 0 to 9. It blocks until the rebalance is complete.
//
// Differences from Apache Kafka: a client id, instance id, protocol type or protocol name that no record could hold (32 KiB;
// only a flexible request can carry one) is refused with INVALID_REQUEST here, not with UNKNOWN_SERVER_ERROR in SyncGroup.
func (c *Coordinator) JoinGroup(ctx context.Context, cl Client, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	return joinResponse(r.Version, c.joinGroup(ctx, cl, r))
}

func (c *Coordinator) joinGroup(ctx context.Context, cl Client, r *kmsg.JoinGroupRequest) joinAnswer {
	if c.unsupportedStatic(r.InstanceID) {
		return joinError("", protocol.UnsupportedVersion)
	}
	if _, code := c.locate(r.Group, false); code != protocol.None {
		return joinError(r.MemberID, code)
	}
	if r.SessionTimeoutMillis < c.config.MinSessionTimeoutMs || r.SessionTimeoutMillis > c.config.MaxSessionTimeoutMs {
		return joinError(r.MemberID, protocol.InvalidSessionTimeout)
	}
	e, ok := newJoinEvent(cl, r)
	if !ok {
		return joinError(r.MemberID, protocol.InvalidRequest)
	}
	// A group is made only for a new member: one with an id is not known to a group that does not exist.
	find := c.find
	if r.MemberID == "" {
		find = c.findOrCreate
	}
	s, code := find(r.Group, false)
	switch {
	case code != protocol.None:
		return joinError(r.MemberID, code)
	case s == nil:
		return joinError(r.MemberID, protocol.UnknownMemberID)
	}
	s.do(c, func(g *group, now int64, out *effects) { g.join(e, now, out) })
	select {
	case a := <-e.to:
		return a
	case <-ctx.Done(): // nobody reads the answer; the member stays until its session lapses
		return joinError(r.MemberID, protocol.RequestTimedOut)
	}
}

// newJoinEvent reads the request. It is false when a string is too long to be kept.
func newJoinEvent(cl Client, r *kmsg.JoinGroupRequest) (*joinEvent, bool) {
	e := &joinEvent{
		memberID: r.MemberID, instanceID: r.InstanceID, clientID: cl.ID, clientHost: cl.Host,
		rebalanceTimeoutMs: r.RebalanceTimeoutMillis, sessionTimeoutMs: r.SessionTimeoutMillis,
		protocolType:         r.ProtocolType,
		requireKnownMemberID: r.Version >= 4 && r.InstanceID == nil,
		maySkipAssignment:    r.Version >= 9,
		to:                   newWaiter[joinAnswer](),
	}
	if r.Version == 0 {
		e.rebalanceTimeoutMs = r.SessionTimeoutMillis
	}
	if r.Reason != nil {
		e.reason = *r.Reason
	}
	prefix := cl.ID
	if r.InstanceID != nil {
		prefix = *r.InstanceID
	}
	if r.MemberID == "" {
		e.newMemberID = prefix + "-" + randomUUID()
	}
	if len(e.newMemberID) > maxString || len(prefix) > maxString || len(r.ProtocolType) > maxString {
		return nil, false
	}
	seen := make(map[string]struct{}, len(r.Protocols))
	for _, p := range r.Protocols {
		if len(p.Name) > maxString {
			return nil, false
		}
		// Of two with one name Kafka keeps the first.
		if _, twice := seen[p.Name]; !twice {
			seen[p.Name] = struct{}{}
			e.protocols = append(e.protocols, memberProtocol{p.Name, p.Metadata})
		}
	}
	return e, true
}

func joinResponse(version int16, a joinAnswer) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Version = version
	resp.ErrorCode = int16(a.code)
	resp.Generation = a.generation
	resp.ProtocolType, resp.Protocol = a.protocolType, a.protocol
	if version < 7 && resp.Protocol == nil {
		resp.Protocol = new(string) // not nullable yet
	}
	resp.LeaderID = a.leader
	resp.SkipAssignment = a.skipAssignment
	resp.MemberID = a.memberID
	for _, m := range a.members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ProtocolMetadata = m.id, m.instanceID, m.metadata
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

// randomUUID is a random (version 4) UUID in its usual form.
func randomUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
