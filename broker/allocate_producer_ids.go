package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AllocateProducerIds (67), version 0: the active controller hands out a block of 1000 producer ids (KIP-730).
//
// Differences from Apache: none known.

func init() { handle(allocateProducerIDs) }

func allocateProducerIDs(b *Broker, rq *request, r *kmsg.AllocateProducerIDsRequest) (kmsg.Response, error) {
	return b.controller.AllocateProducerIDs(rq.ctx, r), nil
}
