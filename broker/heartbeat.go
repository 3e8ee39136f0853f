package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// Heartbeat 0–4: a member is alive.

func init() { handle(heartbeat) }

func heartbeat(b *Broker, rq *request, r *kmsg.HeartbeatRequest) (kmsg.Response, error) {
	return b.groups.Heartbeat(rq.ctx, r), nil
}
