package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DeleteRecords (21), versions 0-2: a partition's leader forgets everything below an offset.
//
// Differences from Apache: the answer does not wait for followers to raise their log start offsets, because there is no replication between brokers yet.

func init() { handle(deleteRecords) }

// noLowWatermark stands where a partition's records were not deleted.
const noLowWatermark = -1

func deleteRecords(b *Broker, _ *request, r *kmsg.DeleteRecordsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DeleteRecordsResponse](r)
	for _, t := range r.Topics {
		topic := kmsg.NewDeleteRecordsResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition = p.Partition
			low, err := b.deleteRecordsBefore(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}, p.Offset)
			if err != nil {
				low = noLowWatermark
			}
			answer.LowWatermark, answer.ErrorCode = low, int16(errorCode(err))
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

// deleteRecordsBefore returns the new low watermark. before -1 stands for the high watermark.
func (b *Broker) deleteRecordsBefore(tp protocol.TopicPartition, before int64) (int64, error) {
	if !b.metadata.HasPartition(tp) {
		return noLowWatermark, protocol.UnknownTopicOrPartition
	}
	if isInternalTopic(tp.Topic) {
		return noLowWatermark, protocol.InvalidTopicException
	}
	p, code := b.replicas.Partition(tp)
	switch {
	case code == protocol.UnknownTopicOrPartition:
		return noLowWatermark, protocol.NotLeaderOrFollower
	case code != protocol.None:
		return noLowWatermark, code
	case !p.IsLeader():
		return noLowWatermark, protocol.NotLeaderOrFollower
	case !p.Log().Config().Delete:
		return noLowWatermark, protocol.PolicyViolation
	}
	return p.DeleteRecords(before)
}
