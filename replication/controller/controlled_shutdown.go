package controller

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ControlledShutdown answers ControlledShutdown (7): leadership moves off the broker, which then stops following; the
// partitions it still leads (no other replica in sync) come back, and the broker asks again or gives up.
func (c *Controller) ControlledShutdown(ctx context.Context, r *kmsg.ControlledShutdownRequest) *kmsg.ControlledShutdownResponse {
	resp := r.ResponseKind().(*kmsg.ControlledShutdownResponse)
	type outcome struct {
		code protocol.ErrorCode
		left []protocol.TopicPartition
	}
	epoch := r.BrokerEpoch
	if r.Version < 2 {
		epoch = -1
	}
	out, ok := call(ctx, c, func() (outcome, error) {
		if !c.elected {
			return outcome{code: protocol.StaleControllerEpoch}, nil // Kafka's ControllerMovedException
		}
		b, known := c.cluster.brokers[r.BrokerID]
		switch {
		case !known && epoch == -1:
			return outcome{code: protocol.BrokerNotAvailable}, nil
		case !known:
			return outcome{code: protocol.UnknownServerError}, nil
		case epoch != -1 && epoch < b.Epoch:
			return outcome{code: protocol.StaleBrokerEpoch}, nil
		}
		left, err := c.drain(r.BrokerID)
		return outcome{left: left}, err
	})
	if !ok {
		out = outcome{code: protocol.StaleControllerEpoch}
	}
	resp.ErrorCode = int16(out.code)
	for _, tp := range out.left {
		p := kmsg.NewControlledShutdownResponsePartitionsRemaining()
		p.Topic, p.Partition = tp.Topic, tp.Partition
		resp.PartitionsRemaining = append(resp.PartitionsRemaining, p)
	}
	return resp
}

// drain moves what it can off a broker. Partitions with one replica stay: there is nowhere to go.
func (c *Controller) drain(broker int32) (left []protocol.TopicPartition, err error) {
	c.info("Shutting down broker %d", broker)
	c.cluster.shuttingDown[broker] = true
	var led, followed []*partition
	for _, p := range c.cluster.partitionsWhere(func(p *partition) bool {
		return slices.Contains(p.assignment.replicas, broker) && len(p.assignment.replicas) > 1 && p.leadership != nil && !c.cluster.inDeletion(p.tp.Topic)
	}) {
		if p.leadership.Leader == broker {
			led = append(led, p)
		} else {
			followed = append(followed, p)
		}
	}
	if _, err := c.movePartitions(led, onlinePartition, electControlledShutdown); err != nil {
		return nil, err
	}
	// First stop the followers: they must not be added to the ISR again once they have left it.
	b := newBatch(c.cluster)
	var rs []replica
	for _, p := range followed {
		b.addStopReplica(broker, p, false)
		rs = append(rs, replica{p, broker})
	}
	c.sendBatch(b)
	if err := c.moveReplicas(rs, offlineReplica); err != nil {
		return nil, err
	}
	for _, p := range led {
		if p.leadership.Leader == broker {
			left = append(left, p.tp)
		}
	}
	return left, nil
}
