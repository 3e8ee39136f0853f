package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
)

// DeleteRecords (21), versions 0-2: a partition's leader forgets everything below an offset, and answers when the live followers have, too.
//
// Differences from Apache: none known.

func init() { handle(deleteRecords) }

// noLowWatermark stands where a partition's records were not deleted.
const noLowWatermark = -1

// deletion is one partition of a request. p is nil when it was refused.
type deletion struct {
	p        *replication.Partition
	required int64 // the log start offset that every live replica has to reach
	code     protocol.ErrorCode
	low      int64 // the low watermark to answer
}

func deleteRecords(b *Broker, rq *request, r *kmsg.DeleteRecordsRequest) (kmsg.Response, error) {
	var all []*deletion
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			all = append(all, b.deleteRecordsBefore(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}, p.Offset))
		}
	}
	deadline := time.Now().Add(time.Duration(r.TimeoutMillis) * time.Millisecond)
	for _, d := range all {
		if d.p != nil {
			d.await(rq.ctx, time.Until(deadline))
		}
	}
	resp := responseTo[*kmsg.DeleteRecordsResponse](r)
	for _, t := range r.Topics {
		topic := kmsg.NewDeleteRecordsResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition, answer.LowWatermark, answer.ErrorCode = p.Partition, all[0].low, int16(all[0].code)
			all = all[1:]
			topic.Partitions = append(topic.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp, nil
}

// deleteRecordsBefore deletes on the leader. before -1 stands for the high watermark.
func (b *Broker) deleteRecordsBefore(tp protocol.TopicPartition, before int64) *deletion {
	p, required, err := b.deleteOnLeader(tp, before)
	if err != nil {
		return &deletion{code: errorCode(err), low: noLowWatermark}
	}
	return &deletion{p: p, required: required, low: p.LowWatermark()}
}

func (b *Broker) deleteOnLeader(tp protocol.TopicPartition, before int64) (*replication.Partition, int64, error) {
	if !b.metadata.HasPartition(tp) {
		return nil, 0, protocol.UnknownTopicOrPartition
	}
	if isInternalTopic(tp.Topic) {
		return nil, 0, protocol.InvalidTopicException
	}
	p, code := b.replicas.Partition(tp)
	switch {
	case code == protocol.UnknownTopicOrPartition:
		return nil, 0, protocol.NotLeaderOrFollower
	case code != protocol.None:
		return nil, 0, code
	case !p.IsLeader():
		return nil, 0, protocol.NotLeaderOrFollower
	case !p.Log().Config().Delete:
		return nil, 0, protocol.PolicyViolation
	}
	required, err := p.DeleteRecords(before)
	return p, required, err
}

// await waits for the live followers. At the deadline the answer names the low watermark that there was at the beginning, as DelayedDeleteRecords does.
func (d *deletion) await(ctx context.Context, timeout time.Duration) {
	switch d.code = d.p.WaitDeleted(ctx, d.required, timeout); d.code {
	case protocol.None:
		d.low = d.p.LowWatermark()
	case protocol.NotLeaderOrFollower:
		d.low = noLowWatermark
	}
}
