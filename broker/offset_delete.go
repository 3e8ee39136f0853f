package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetDelete 0: committed offsets of a group go (KIP-496).

func init() { handle(offsetDelete) }

func offsetDelete(b *Broker, rq *request, r *kmsg.OffsetDeleteRequest) (kmsg.Response, error) {
	return b.groups.OffsetDelete(rq.ctx, r), nil
}
