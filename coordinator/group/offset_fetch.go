package group

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetFetch serves versions 1 to 9 (0 has to do with ZooKeeper and not with groups). It never blocks. Null topics ask for
// all offsets of the group. A version 8 request with null groups is never answered by Kafka: the broker sees to that.
func (c *Coordinator) OffsetFetch(_ context.Context, r *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.Version = r.Version
	if r.Version >= 8 {
		for _, g := range r.Groups {
			resp.Groups = append(resp.Groups, c.fetchGroup(g.Group, g.Topics, r.RequireStable, true))
		}
		return resp
	}
	var topics []kmsg.OffsetFetchRequestGroupTopic
	if r.Topics != nil {
		topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(r.Topics))
	}
	for _, t := range r.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		topics = append(topics, gt)
	}
	g := c.fetchGroup(r.Group, topics, r.RequireStable, r.Version >= 2)
	resp.ErrorCode = g.ErrorCode
	for _, t := range g.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchGroup answers for one group: every partition once, and no topic without partitions. Version 1 has no error for the
// whole group: its partitions bear it.
func (c *Coordinator) fetchGroup(id string, topics []kmsg.OffsetFetchRequestGroupTopic, requireStable, groupError bool) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = id
	s, code := c.find(id, true)
	var g *group
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if g = s.mu.g; g.unloaded {
			code = protocol.NotCoordinator
		}
	}
	if code != protocol.None && groupError {
		resp.ErrorCode = int16(code)
		return resp
	}
	if topics == nil && g != nil {
		topics = g.committedTopics()
	}
	answered := partitionSet{}
	index := map[string]int{} // of the topic in the answer
	for _, t := range topics {
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p}
			if !answered.add(tp) {
				continue
			}
			i, exists := index[t.Topic]
			if !exists {
				i = len(resp.Topics)
				index[t.Topic] = i
				rt := kmsg.NewOffsetFetchResponseGroupTopic()
				rt.Topic = t.Topic
				resp.Topics = append(resp.Topics, rt)
			}
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, fetchPartition(g, tp, requireStable, code))
		}
	}
	return resp
}

// fetchPartition answers for one partition; offset -1 means that none is committed.
func fetchPartition(g *group, tp protocol.TopicPartition, requireStable bool, code protocol.ErrorCode) kmsg.OffsetFetchResponseGroupTopicPartition {
	rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = tp.Partition, -1, -1, new(string), int16(code)
	if g == nil || code != protocol.None {
		return rp
	}
	if requireStable && g.unstable(tp) {
		rp.ErrorCode = int16(protocol.UnstableOffsetCommit)
		return rp
	}
	if o, ok := g.offsets[tp]; ok {
		rp.Offset, rp.LeaderEpoch, rp.Metadata = o.offset, o.leaderEpoch, &o.metadata
	}
	return rp
}

// committedTopics lists all partitions with an offset, in order.
func (g *group) committedTopics() []kmsg.OffsetFetchRequestGroupTopic {
	byTopic := map[string][]int32{}
	for tp := range g.offsets {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	topics := make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(byTopic))
	for name, partitions := range byTopic {
		slices.Sort(partitions)
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = name, partitions
		topics = append(topics, t)
	}
	slices.SortFunc(topics, func(a, b kmsg.OffsetFetchRequestGroupTopic) int { return cmp.Compare(a.Topic, b.Topic) })
	return topics
}
