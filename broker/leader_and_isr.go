package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaderAndIsr 0–7: the controller tells which partitions this broker leads and follows.

func init() { handle(leaderAndISR) }

func leaderAndISR(b *Broker, _ *request, r *kmsg.LeaderAndISRRequest) (kmsg.Response, error) {
	return b.replicas.LeaderAndISR(r), nil
}
