package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// JoinGroup 0–9: a member asks to take part in the next generation.

func init() { handle(joinGroup) }

func joinGroup(b *Broker, rq *request, r *kmsg.JoinGroupRequest) (kmsg.Response, error) {
	return b.groups.JoinGroup(rq.ctx, rq.client(), r), nil
}
