package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// LeaveGroup serves versions 0 to 5. Until version 2 there is one member and its error is that of the response.
func (c *Coordinator) LeaveGroup(_ context.Context, r *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.Version = r.Version
	leaving := r.Members
	if r.Version < 3 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = r.MemberID
		leaving = []kmsg.LeaveGroupRequestMember{one}
	}
	codes, code := c.leaveGroup(r.Group, leaving)
	resp.ErrorCode = int16(code)
	if code != protocol.None {
		return resp
	}
	if r.Version < 3 {
		resp.ErrorCode = int16(codes[0])
		return resp
	}
	for i, m := range leaving {
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ErrorCode = m.MemberID, m.InstanceID, int16(codes[i])
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

// leaveGroup takes the members out in one event and returns a code for each, or one for all.
func (c *Coordinator) leaveGroup(id string, leaving []kmsg.LeaveGroupRequestMember) ([]protocol.ErrorCode, protocol.ErrorCode) {
	s, code := c.find(id, false)
	if code != protocol.None {
		return nil, code
	}
	codes := make([]protocol.ErrorCode, len(leaving))
	if s == nil {
		for i := range codes {
			codes[i] = protocol.UnknownMemberID
		}
		return codes, protocol.None
	}
	s.do(c, func(g *group, now int64, out *effects) {
		if g.is(Dead) {
			code = g.deadCode()
			return
		}
		for i, m := range leaving {
			reason := ""
			if m.Reason != nil {
				reason = *m.Reason
			}
			codes[i] = g.leave(m.MemberID, m.InstanceID, reason, now, out)
		}
	})
	return codes, code
}
