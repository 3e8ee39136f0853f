package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetFetch 1–9. Version 0 reads ZooKeeper in Apache Kafka; here it is refused with UNSUPPORTED_VERSION per partition.

func init() { handle(offsetFetch) }

func offsetFetch(b *Broker, rq *request, r *kmsg.OffsetFetchRequest) (kmsg.Response, error) {
	if r.Version >= 8 && len(r.Groups) == 0 {
		return nil, errSilent // as Apache Kafka, whose handler fails without an answer
	}
	if r.Version == 0 {
		resp := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = t.Topic
			for _, index := range t.Partitions {
				rp := kmsg.NewOffsetFetchResponseTopicPartition()
				rp.Partition, rp.Offset, rp.ErrorCode = index, -1, int16(protocol.UnsupportedVersion)
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil
	}
	return b.groups.OffsetFetch(rq.ctx, r), nil
}
