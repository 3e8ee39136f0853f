package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetForLeaderEpoch 0–4 (KIP-101, KIP-279, KIP-320): where a leader epoch ended, for truncation of followers and detection of lost data by consumers.

func init() { handle(offsetForLeaderEpoch) }

func offsetForLeaderEpoch(b *Broker, _ *request, r *kmsg.OffsetForLeaderEpochRequest) (kmsg.Response, error) {
	resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, q := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition = q.Partition
			rp.LeaderEpoch, rp.EndOffset = -1, -1
			p, code := b.leader(protocol.TopicPartition{Topic: t.Topic, Partition: q.Partition}, q.CurrentLeaderEpoch)
			rp.ErrorCode = int16(code)
			if code == protocol.None {
				rp.LeaderEpoch, rp.EndOffset = p.Log().EndOffsetForEpoch(q.LeaderEpoch)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}
