package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeProducers 0 (KIP-664): the producers a replica of a partition keeps state of, leader or not.

func init() { handle(describeProducers) }

func describeProducers(b *Broker, _ *request, r *kmsg.DescribeProducersRequest) (kmsg.Response, error) {
	resp := r.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		for _, index := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = index
			p, code := b.partition(protocol.TopicPartition{Topic: t.Topic, Partition: index})
			if err := checkTopicName(t.Topic); err != nil {
				code = protocol.InvalidTopicException
			}
			rp.ErrorCode = int16(code)
			if code == protocol.InvalidTopicException || !b.metadata.HasTopic(t.Topic) {
				message := code.Message()
				rp.ErrorMessage = &message
			}
			if code == protocol.None {
				for _, s := range p.Log().ActiveProducers() {
					a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					a.ProducerID, a.ProducerEpoch, a.LastSequence = s.ProducerID, int32(s.Epoch), s.LastSequence
					a.LastTimestamp, a.CoordinatorEpoch, a.CurrentTxnStartOffset = s.LastTimestamp, s.CoordinatorEpoch, s.TxnStartOffset
					rp.ActiveProducers = append(rp.ActiveProducers, a)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}
