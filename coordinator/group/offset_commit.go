package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// OffsetCommit serves versions 1 to 9 (0 has to do with ZooKeeper and not with groups). It gets only partitions that exist
// (the broker answers the others); topics may be empty. It blocks until the offsets are in the log.
func (c *Coordinator) OffsetCommit(ctx context.Context, r *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	offsets, tooLarge := c.commitOffsets(r)
	code := protocol.None
	if len(offsets)+len(tooLarge) > 0 {
		code = c.offsetCommit(ctx, r, offsets)
	}

	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Version = r.Version
	answered := make(partitionSet, len(offsets)+len(tooLarge))
	for _, t := range r.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if !answered.add(tp) {
				continue
			}
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(code)
			if _, refused := tooLarge[tp]; refused && code == protocol.None {
				rp.ErrorCode = int16(protocol.OffsetMetadataTooLarge)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			resp.Topics = append(resp.Topics, rt)
		}
	}
	return resp
}

func (c *Coordinator) offsetCommit(ctx context.Context, r *kmsg.OffsetCommitRequest, offsets []partitionOffset) protocol.ErrorCode {
	if c.unsupportedStatic(r.InstanceID) {
		return protocol.UnsupportedVersion
	}
	// Without a generation the group only stores offsets: it is made. A generation of a group that does not exist is old.
	find := c.find
	if r.Generation < 0 {
		find = c.findOrCreate
	}
	s, code := find(r.Group, true)
	switch {
	case code != protocol.None:
		return code
	case s == nil:
		return protocol.IllegalGeneration
	}
	e := &commitEvent{
		memberID: r.MemberID, instanceID: r.InstanceID, generation: r.Generation, offsets: offsets, to: newWaiter[protocol.ErrorCode](),
	}
	s.do(c, func(g *group, now int64, out *effects) { g.commit(e, now, out) })
	select {
	case code = <-e.to:
	case <-ctx.Done():
		return protocol.RequestTimedOut
	}
	return code
}

// commitOffsets reads the offsets of a request, one per partition (the last one counts), and those whose metadata is too
// large.
func (c *Coordinator) commitOffsets(r *kmsg.OffsetCommitRequest) (offsets []partitionOffset, tooLarge partitionSet) {
	now := c.now()
	index := map[protocol.TopicPartition]int{}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			o := partitionOffset{protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}, committed{
				offset: p.Offset, leaderEpoch: -1, commitTime: now, expireTime: noTime,
			}}
			if p.Metadata != nil {
				o.metadata = *p.Metadata
			}
			if r.Version >= 6 {
				o.leaderEpoch = p.LeaderEpoch
			}
			if r.Version == 1 && p.Timestamp != noTime {
				o.commitTime = p.Timestamp
			}
			if r.Version >= 2 && r.Version <= 4 && r.RetentionTimeMillis != -1 {
				o.expireTime = now + r.RetentionTimeMillis
			}
			i, twice := index[o.tp]
			if !twice {
				i = len(offsets)
				index[o.tp] = i
				offsets = append(offsets, o)
			}
			offsets[i] = o
		}
	}
	kept := offsets[:0]
	for _, o := range offsets {
		if !c.rules.metadataTooLarge(o.metadata) {
			kept = append(kept, o)
			continue
		}
		if tooLarge == nil {
			tooLarge = partitionSet{}
		}
		tooLarge[o.tp] = struct{}{}
	}
	return kept, tooLarge
}
