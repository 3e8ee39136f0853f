package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// SyncGroup 0–5: the leader hands out the assignment, everyone picks theirs up.

func init() { handle(syncGroup) }

func syncGroup(b *Broker, rq *request, r *kmsg.SyncGroupRequest) (kmsg.Response, error) {
	return b.groups.SyncGroup(rq.ctx, rq.client(), r), nil
}
