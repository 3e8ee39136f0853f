package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaveGroup 0–5: members leave.

func init() { handle(leaveGroup) }

func leaveGroup(b *Broker, rq *request, r *kmsg.LeaveGroupRequest) (kmsg.Response, error) {
	return b.groups.LeaveGroup(rq.ctx, r), nil
}
