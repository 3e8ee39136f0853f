package controller

import (
	"fmt"
	"maps"
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// moveReplicas takes replicas to a state and tells the brokers. A transition that is not allowed is logged and skipped.
func (c *Controller) moveReplicas(rs []replica, to replicaState) error {
	if len(rs) == 0 {
		return nil
	}
	valid := make([]replica, 0, len(rs))
	for _, r := range rs {
		if from := r.partition.replicas.of(r.broker); !mayReach(replicaFrom, from, to) {
			c.stateLog.Error(fmt.Sprintf("[Controller id=%d epoch=%d] Replica %d of partition %s should be in the %v states before moving to %v state; it is in %v state",
				c.config.BrokerID, c.fence.Epoch, r.broker, r.partition.tp, replicaFrom[to], to, from))
			continue
		}
		valid = append(valid, r)
	}
	b := newBatch(c.cluster)
	switch to {
	case newReplica, onlineReplica:
		for _, r := range valid {
			c.startReplica(b, r, to)
		}
	case offlineReplica:
		if err := c.takeOffline(b, valid); err != nil {
			return err
		}
	default:
		for _, r := range valid {
			if to == deletionStarted {
				b.addStopReplica(r.broker, r.partition, true)
			}
			c.setReplicaState(r, to)
		}
	}
	c.sendBatch(b)
	return nil
}

func (c *Controller) setReplicaState(r replica, to replicaState) {
	from := r.partition.replicas.of(r.broker)
	c.stateLog.Debug(fmt.Sprintf("[Controller id=%d epoch=%d] Changed state of replica %d for partition %s from %v to %v",
		c.config.BrokerID, c.fence.Epoch, r.broker, r.partition.tp, from, to))
	if to == nonExistentReplica {
		r.partition.assignment.replicas = without(r.partition.assignment.replicas, []int32{r.broker})
	}
	r.partition.replicas.set(r.broker, to)
}

// startReplica makes a replica new or online.
func (c *Controller) startReplica(b *batch, r replica, to replicaState) {
	p := r.partition
	from := p.replicas.of(r.broker)
	switch {
	case to == newReplica && p.leadership != nil && p.leadership.Leader == r.broker:
		c.stateLog.Error(fmt.Sprintf("[Controller id=%d epoch=%d] Replica %d for partition %s cannot be moved to NewReplica state as it is being requested to become leader",
			c.config.BrokerID, c.fence.Epoch, r.broker, p.tp))
		return
	case from == newReplica && to == onlineReplica:
		if !slices.Contains(p.assignment.replicas, r.broker) {
			p.assignment.replicas = append(slices.Clone(p.assignment.replicas), r.broker)
		}
	case p.leadership != nil:
		b.addLeaderAndISR([]int32{r.broker}, p, to == newReplica)
	}
	c.setReplicaState(r, to)
}

// takeOffline stops replicas, takes them out of the ISR and tells the replicas that stay.
func (c *Controller) takeOffline(b *batch, rs []replica) error {
	byBroker := map[int32][]*partition{}
	for _, r := range rs {
		b.addStopReplica(r.broker, r.partition, false)
		if r.partition.leadership != nil {
			byBroker[r.broker] = append(byBroker[r.broker], r.partition)
		} else {
			b.addUpdateMetadata(c.cluster.liveOrShuttingDown(), r.partition)
		}
	}
	for _, broker := range slices.Sorted(maps.Keys(byBroker)) {
		told, err := c.removeFromISR(broker, byBroker[broker])
		if err != nil {
			return err
		}
		for _, p := range told {
			if !c.cluster.inDeletion(p.tp.Topic) {
				b.addLeaderAndISR(without(p.assignment.replicas, []int32{broker}), p, false)
			}
		}
	}
	for _, r := range rs {
		c.setReplicaState(r, offlineReplica)
	}
	return nil
}

// removeFromISR writes the states of partitions without a replica, and returns those whose leadership is now known. A replica that is not in the ISR as it is
// known may be by now: leaders below inter.broker.protocol.version 2.7-IV2 write it themselves, and tell of it seconds later.
func (c *Controller) removeFromISR(broker int32, ps []*partition) (known []*partition, err error) {
	var unsure []protocol.TopicPartition
	for _, p := range ps {
		if !slices.Contains(p.leadership.ISR, broker) {
			unsure = append(unsure, p.tp)
		}
	}
	if err := c.readLeadership(unsure); err != nil {
		return nil, err
	}
	failed := map[*partition]error{}
	for len(ps) > 0 {
		states := map[protocol.TopicPartition]zk.PartitionState{}
		var changing []*partition
		for _, p := range ps {
			known = append(known, p)
			if slices.Contains(p.leadership.ISR, broker) {
				next := withoutReplica(p, broker)
				next.ControllerEpoch = c.fence.Epoch
				states[p.tp] = next
				changing = append(changing, p)
			}
		}
		raced, err := c.writeLeadership(changing, states, failed)
		if err != nil {
			return nil, err
		}
		ps = raced
		known = slices.DeleteFunc(known, func(p *partition) bool { return slices.Contains(raced, p) })
	}
	for p, err := range failed {
		c.stateLog.Error(fmt.Sprintf("[Controller id=%d epoch=%d] Replica %d could not be removed from the ISR of partition %s: %v",
			c.config.BrokerID, c.fence.Epoch, broker, p.tp, err))
	}
	return slices.DeleteFunc(known, func(p *partition) bool { return failed[p] != nil }), nil
}
