package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetCommit 1–9: partitions that do not exist are answered here, the rest by the coordinator. Version 0 keeps offsets in ZooKeeper in
// Apache Kafka; here it is refused with UNSUPPORTED_VERSION.

func init() { handle(offsetCommit) }

func offsetCommit(b *Broker, rq *request, r *kmsg.OffsetCommitRequest) (kmsg.Response, error) {
	resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	known := *r
	known.Topics = nil
	for _, t := range r.Topics {
		kt, rt := t, kmsg.NewOffsetCommitResponseTopic()
		kt.Partitions, rt.Topic = nil, t.Topic
		for _, p := range t.Partitions {
			code := protocol.None
			switch {
			case r.Version == 0:
				code = protocol.UnsupportedVersion
			case !b.metadata.HasPartition(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}):
				code = protocol.UnknownTopicOrPartition
			}
			if code == protocol.None {
				kt.Partitions = append(kt.Partitions, p)
				continue
			}
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(code)
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(kt.Partitions) > 0 {
			known.Topics = append(known.Topics, kt)
		}
		if len(rt.Partitions) > 0 {
			resp.Topics = append(resp.Topics, rt)
		}
	}
	if len(known.Topics) > 0 {
		mergeCommits(resp, b.groups.OffsetCommit(rq.ctx, &known))
	}
	return resp, nil
}

// mergeCommits adds the coordinator's answers to those given here, topic by topic.
func mergeCommits(resp, more *kmsg.OffsetCommitResponse) {
	at := make(map[string]int, len(resp.Topics))
	for i, t := range resp.Topics {
		at[t.Topic] = i
	}
	for _, t := range more.Topics {
		if i, ok := at[t.Topic]; ok {
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
			continue
		}
		resp.Topics = append(resp.Topics, t)
	}
}
