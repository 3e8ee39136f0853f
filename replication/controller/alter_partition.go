package controller

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// AlterPartition answers AlterPartition (56, KIP-497): a leader asks for a new ISR. A broker epoch of v3 that is not that of the replica's registration makes it
// ineligible, as in Apache's KRaft controller (KIP-903); Apache's ZooKeeper controller does not look at them, and its leaders send -1.
func (c *Controller) AlterPartition(ctx context.Context, r *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	resp, ok := call(ctx, c, func() (*kmsg.AlterPartitionResponse, error) { return c.alterPartition(r) })
	if !ok {
		return noAlterPartition(r)
	}
	return resp
}

// SubmitAlterPartition is AlterPartition without waiting: then gets the answer on the event goroutine.
func (c *Controller) SubmitAlterPartition(r *kmsg.AlterPartitionRequest, then func(*kmsg.AlterPartitionResponse)) {
	c.events.push(&rpc[*kmsg.AlterPartitionResponse]{
		f: func() (*kmsg.AlterPartitionResponse, error) { return c.alterPartition(r) },
		then: func(resp *kmsg.AlterPartitionResponse, ok bool) {
			if !ok {
				resp = noAlterPartition(r)
			}
			then(resp)
		},
	})
}

// noAlterPartition is the answer of a controller that went away meanwhile: nothing is known of what it wrote.
func noAlterPartition(r *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	resp := r.ResponseKind().(*kmsg.AlterPartitionResponse)
	resp.ErrorCode = int16(protocol.NotController)
	return resp
}

func (c *Controller) alterPartition(r *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	resp := r.ResponseKind().(*kmsg.AlterPartitionResponse)
	if !c.elected {
		resp.ErrorCode = int16(protocol.NotController)
		return resp, nil
	}
	if b, known := c.cluster.brokers[r.BrokerID]; !known || r.BrokerEpoch != b.Epoch {
		resp.ErrorCode = int16(protocol.StaleBrokerEpoch)
		return resp, nil
	}
	return resp, c.alterPartitions(r, resp)
}

// isrChange is one accepted or refused partition of the request on its way to the answer.
type isrChange struct {
	partition *partition // nil when unknown
	number    int32
	code      protocol.ErrorCode
	write     bool // the state differs and is to be written
	next      zk.PartitionState
}

func (c *Controller) alterPartitions(r *kmsg.AlterPartitionRequest, resp *kmsg.AlterPartitionResponse) error {
	topics := make([][]*isrChange, len(r.Topics))
	states := map[protocol.TopicPartition]zk.PartitionState{}
	var writing []*partition
	for i, rt := range r.Topics {
		t := c.cluster.topics[rt.Topic]
		unknown := protocol.UnknownTopicOrPartition
		if r.Version >= 2 {
			t, unknown = c.cluster.topicsByID[rt.TopicID], protocol.UnknownTopicID
		}
		for _, rp := range rt.Partitions {
			ch := &isrChange{number: rp.Partition}
			topics[i] = append(topics[i], ch)
			if t == nil {
				ch.code = unknown
				continue
			}
			if ch.partition = t.partitions[rp.Partition]; ch.partition == nil || ch.partition.leadership == nil {
				ch.code = protocol.UnknownTopicOrPartition
				continue
			}
			c.checkISRChange(r.Version, rp, ch)
			if ch.write {
				if _, twice := states[ch.partition.tp]; twice {
					ch.write, ch.code = false, protocol.InvalidUpdateVersion
					continue
				}
				states[ch.partition.tp] = ch.next
				writing = append(writing, ch.partition)
			}
		}
	}
	failed := map[*partition]error{}
	raced, err := c.writeLeadership(writing, states, failed)
	if err != nil {
		return err
	}
	changed := newBatch(c.cluster)
	for i, rt := range r.Topics {
		out := kmsg.NewAlterPartitionResponseTopic()
		out.Topic, out.TopidID = rt.Topic, rt.TopicID
		for _, ch := range topics[i] {
			if ch.write && (slices.Contains(raced, ch.partition) || failed[ch.partition] != nil) {
				ch.code = protocol.InvalidUpdateVersion
			}
			if ch.partition != nil && ch.code == protocol.None {
				changed.addUpdateMetadata(c.cluster.liveOrShuttingDown(), ch.partition)
			}
			out.Partitions = append(out.Partitions, ch.answer())
		}
		resp.Topics = append(resp.Topics, out)
	}
	c.sendBatch(changed)
	for _, p := range writing {
		if err := c.isrMayComplete(p); err != nil {
			return err
		}
	}
	return nil
}

// checkISRChange decides about one partition; the order of the checks is Kafka's.
func (c *Controller) checkISRChange(version int16, rp kmsg.AlterPartitionRequestTopicPartition, ch *isrChange) {
	now := ch.partition.leadership
	isr, reborn := rp.NewISR, false
	if version >= 3 {
		isr = nil
		for _, b := range rp.NewEpochISR {
			isr = append(isr, b.BrokerID)
			reborn = reborn || b.BrokerEpoch != -1 && b.BrokerEpoch != c.cluster.brokers[b.BrokerID].Epoch
		}
	}
	next := *now
	next.LeaderEpoch, next.ISR, next.Version = rp.LeaderEpoch, isr, now.Version
	if version >= 1 {
		next.Recovery = rp.LeaderRecoveryState
	}
	next.ControllerEpoch = c.fence.Epoch
	dead := slices.ContainsFunc(isr, func(b int32) bool { return !c.cluster.isLive(b) })
	switch {
	case rp.PartitionEpoch > now.Version || rp.LeaderEpoch > now.LeaderEpoch:
		ch.code = protocol.NotController // this controller is the one that is behind
	case rp.LeaderEpoch < now.LeaderEpoch:
		ch.code = protocol.FencedLeaderEpoch
	case next.SameLeaderAndISR(*now):
	case rp.PartitionEpoch < now.Version:
		ch.code = protocol.InvalidUpdateVersion
	case len(isr) == 0,
		next.Recovery != recovered && next.Recovery != recovering,
		next.Recovery == recovering && (len(isr) > 1 || now.Recovery == recovered):
		ch.code = protocol.InvalidRequest
	case (dead || reborn) && version >= 2:
		ch.code = protocol.IneligibleReplica
	case dead:
		ch.code = protocol.OperationNotAttempted
	default:
		ch.write, ch.next = true, next
	}
}

func (ch *isrChange) answer() kmsg.AlterPartitionResponseTopicPartition {
	out := kmsg.NewAlterPartitionResponseTopicPartition()
	out.Partition, out.ErrorCode = ch.number, int16(ch.code)
	if ch.code == protocol.None {
		l := ch.partition.leadership
		out.LeaderID, out.LeaderEpoch, out.ISR = l.Leader, l.LeaderEpoch, l.ISR
		out.LeaderRecoveryState, out.PartitionEpoch = l.Recovery, l.Version
	}
	return out
}
