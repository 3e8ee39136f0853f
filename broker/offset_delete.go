package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetDelete 0: committed offsets of a group go (KIP-496). Partitions that do not exist are answered here.

func init() { handle(offsetDelete) }

func offsetDelete(b *Broker, rq *request, r *kmsg.OffsetDeleteRequest) (kmsg.Response, error) {
	known, refused := *r, []kmsg.OffsetDeleteResponseTopic(nil)
	known.Topics = nil
	for _, t := range r.Topics {
		kt, rt := t, kmsg.NewOffsetDeleteResponseTopic()
		kt.Partitions, rt.Topic = nil, t.Topic
		for _, p := range t.Partitions {
			if b.metadata.HasPartition(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}) {
				kt.Partitions = append(kt.Partitions, p)
				continue
			}
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(protocol.UnknownTopicOrPartition)
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(kt.Partitions) > 0 {
			known.Topics = append(known.Topics, kt)
		}
		if len(rt.Partitions) > 0 {
			refused = append(refused, rt)
		}
	}
	resp := b.groups.OffsetDelete(rq.ctx, &known)
	if resp.ErrorCode != 0 {
		return resp, nil // an error of the group stands alone
	}
	for _, t := range refused {
		at := -1
		for i := range resp.Topics {
			if resp.Topics[i].Topic == t.Topic {
				at = i
			}
		}
		if at < 0 {
			resp.Topics = append(resp.Topics, t)
			continue
		}
		resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, t.Partitions...)
	}
	return resp, nil
}
