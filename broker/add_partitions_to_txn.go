package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AddPartitionsToTxn (24), versions 0-5.
//
// Differences from Apache: there are no transactions yet: everything asked for is answered UNSUPPORTED_VERSION.

func init() { handle(addPartitionsToTxn) }

func addPartitionsToTxn(_ *Broker, _ *request, r *kmsg.AddPartitionsToTxnRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AddPartitionsToTxnResponse](r)
	if r.Version >= 4 && len(r.Transactions) == 0 {
		return nil, errSilent // Kafka answers when the last transaction is done, and there is no last one
	}
	for _, t := range r.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p, int16(protocol.UnsupportedVersion)
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	for _, asked := range r.Transactions {
		resp.Transactions = append(resp.Transactions, refusedTransaction(&asked))
	}
	return resp, nil
}

// refusedTransaction answers one transaction of version 4 and later.
func refusedTransaction(asked *kmsg.AddPartitionsToTxnRequestTransaction) kmsg.AddPartitionsToTxnResponseTransaction {
	answer := kmsg.NewAddPartitionsToTxnResponseTransaction()
	answer.TransactionalID = asked.TransactionalID
	for _, t := range asked.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			partition.Partition, partition.ErrorCode = p, int16(protocol.UnsupportedVersion)
			topic.Partitions = append(topic.Partitions, partition)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}
