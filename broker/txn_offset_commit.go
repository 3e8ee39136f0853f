package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// TxnOffsetCommit (28), versions 0-4.
//
// Differences from Apache: there are no transactions yet: every partition is answered UNSUPPORTED_VERSION.

func init() { handle(txnOffsetCommit) }

func txnOffsetCommit(_ *Broker, _ *request, r *kmsg.TxnOffsetCommitRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.TxnOffsetCommitResponse](r)
	for _, t := range r.Topics {
		topic := kmsg.NewTxnOffsetCommitResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, int16(protocol.UnsupportedVersion)
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}
