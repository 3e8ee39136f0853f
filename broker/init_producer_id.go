package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// InitProducerId (22), versions 0-5: a producer id for an idempotent producer.
//
// Differences from Apache: there are no transactions yet: a transactional id is answered UNSUPPORTED_VERSION, which producers take for final. While the first
// block of ids is on its way the request waits for it (up to a second) before it answers COORDINATOR_LOAD_IN_PROGRESS.

func init() { handle(initProducerID) }

func initProducerID(b *Broker, rq *request, r *kmsg.InitProducerIDRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.InitProducerIDResponse](r)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if code := checkInitProducerID(r); code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp, nil
	}
	id, code := b.producerIDs.next(rq.ctx)
	if code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp, nil
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp, nil
}

// checkInitProducerID refuses half a producer identity (KIP-360), the empty transactional id, and any other one.
func checkInitProducerID(r *kmsg.InitProducerIDRequest) protocol.ErrorCode {
	switch {
	case r.Version >= 3 && (r.ProducerID == -1) != (r.ProducerEpoch == -1):
		return protocol.InvalidRequest
	case r.TransactionalID == nil:
		return protocol.None
	case *r.TransactionalID == "":
		return protocol.InvalidRequest
	}
	return protocol.UnsupportedVersion
}
