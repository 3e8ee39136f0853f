package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Heartbeat serves versions 0 to 4. It never blocks.
func (c *Coordinator) Heartbeat(_ context.Context, r *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.Version = r.Version
	if c.unsupportedStatic(r.InstanceID) {
		resp.ErrorCode = int16(protocol.UnsupportedVersion)
		return resp
	}
	s, code := c.find(r.Group, false)
	switch {
	case code == protocol.CoordinatorLoadInProgress:
		code = protocol.None // its session begins anew when the group is loaded
	case code == protocol.None && s == nil:
		code = protocol.UnknownMemberID
	case code == protocol.None:
		s.do(c, func(g *group, now int64, out *effects) {
			code = g.heartbeat(r.MemberID, r.InstanceID, r.Generation, now, out)
		})
	}
	resp.ErrorCode = int16(code)
	return resp
}
