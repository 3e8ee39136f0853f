package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Produce 0–2 carries message formats 0 and 1, which gregor does not write: every partition is refused with UNSUPPORTED_VERSION.

func init() { handle(produceOld) }

func produceOld(b *Broker, _ *request, r *kmsg.ProduceRequest) (kmsg.Response, error) {
	resp := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset, rp.ErrorCode = p.Partition, -1, int16(protocol.UnsupportedVersion)
			if !b.metadata.HasPartition(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}) {
				rp.ErrorCode = int16(protocol.UnknownTopicOrPartition)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if r.Acks == 0 {
		return nil, errClose
	}
	return resp, nil
}
