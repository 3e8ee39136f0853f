package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AlterPartition (56), versions 0-3: a leader asks the active controller to change an ISR (KIP-497).
//
// Differences from Apache: none known.

func init() { handle(alterPartition) }

func alterPartition(b *Broker, rq *request, r *kmsg.AlterPartitionRequest) (kmsg.Response, error) {
	return b.controller.AlterPartition(rq.ctx, r), nil
}
