package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetDelete serves version 0 (KIP-496): it drops offsets of a group without members, or of topics that the members of a
// consumer group do not subscribe to. It waits until the tombstones are in the log.
func (c *Coordinator) OffsetDelete(ctx context.Context, r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	resp.Version = r.Version
	s, code := c.find(r.Group, false)
	if code == protocol.None && s == nil {
		code = protocol.GroupIDNotFound
	}
	if code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp
	}
	var subscribed map[string]struct{}
	s.do(c, func(g *group, _ int64, out *effects) {
		if subscribed, code = g.undeletableTopics(); code != protocol.None {
			return
		}
		var tps []protocol.TopicPartition
		for _, t := range r.Topics {
			if _, used := subscribed[t.Topic]; used {
				continue
			}
			for _, p := range t.Partitions {
				tps = append(tps, protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			}
		}
		removed := g.removeOffsets(tps, out)
		out.infof("Deleted %d offsets of group %s", removed, g.id)
	})
	if resp.ErrorCode = int16(code); code != protocol.None {
		return resp
	}
	s.flush(ctx, c)
	resp.Topics = deletedOffsets(r.Topics, subscribed)
	return resp
}

// deletedOffsets answers for every partition once, and leaves topics without partitions out.
func deletedOffsets(topics []kmsg.OffsetDeleteRequestTopic, subscribed map[string]struct{}) (list []kmsg.OffsetDeleteResponseTopic) {
	answered := partitionSet{}
	for _, t := range topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if !answered.add(tp) {
				continue
			}
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = p.Partition
			if _, used := subscribed[t.Topic]; used {
				rp.ErrorCode = int16(protocol.GroupSubscribedToTopic)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			list = append(list, rt)
		}
	}
	return list
}

// undeletableTopics are the topics whose offsets are in use. The code refuses the whole request.
func (g *group) undeletableTopics() (map[string]struct{}, protocol.ErrorCode) {
	switch {
	case g.is(Dead):
		return nil, protocol.GroupIDNotFound
	case g.is(Empty):
		return nil, protocol.None
	case g.protocolType == consumerProtocolType:
		return g.subscribed, protocol.None
	}
	return nil, protocol.NonEmptyGroup
}
