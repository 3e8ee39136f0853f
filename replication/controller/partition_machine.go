package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// movePartitions takes partitions to a state and tells the brokers. elect is needed for onlinePartition only. The
// failures of single partitions are logged and returned; err is one that ends the event (fence, session).
func (c *Controller) movePartitions(ps []*partition, to partitionState, elect strategy) (failed map[*partition]error, err error) {
	if len(ps) == 0 {
		return nil, nil
	}
	failed = map[*partition]error{}
	valid := make([]*partition, 0, len(ps))
	for _, p := range ps {
		if !mayReach(partitionFrom, p.state, to) {
			failed[p] = fmt.Errorf("partition %s should be in the %v states before moving to %v state; it is in %v state", p.tp, partitionFrom[to], to, p.state)
			continue
		}
		valid = append(valid, p)
	}
	b := newBatch(c.cluster)
	if to == onlinePartition {
		err = c.bringOnline(b, valid, elect, failed)
	} else {
		for _, p := range valid {
			c.setPartitionState(p, to)
		}
	}
	c.logFailures(failed, to)
	if err != nil {
		return failed, err
	}
	c.sendBatch(b)
	return failed, nil
}

func (c *Controller) setPartitionState(p *partition, to partitionState) {
	c.stateLog.Debug(fmt.Sprintf("[Controller id=%d epoch=%d] Changed partition %s state from %v to %v", c.config.BrokerID, c.fence.Epoch, p.tp, p.state, to))
	p.state = to
}

func (c *Controller) logFailures(failed map[*partition]error, to partitionState) {
	for _, p := range slices.SortedFunc(maps.Keys(failed), func(a, b *partition) int { return compareTP(a.tp, b.tp) }) {
		c.stateLog.Error(fmt.Sprintf("[Controller id=%d epoch=%d] Controller %d epoch %d failed to change state for partition %s from %v to %v: %v",
			c.config.BrokerID, c.fence.Epoch, c.config.BrokerID, c.fence.Epoch, p.tp, p.state, to, failed[p]))
	}
}

// bringOnline gives new partitions their first leader and elects one for the others.
func (c *Controller) bringOnline(b *batch, ps []*partition, elect strategy, failed map[*partition]error) error {
	var fresh, known []*partition
	for _, p := range ps {
		if p.state == newPartition {
			fresh = append(fresh, p)
		} else {
			known = append(known, p)
		}
	}
	if err := c.initialize(b, fresh, failed); err != nil {
		return err
	}
	return c.elect(b, known, elect, failed)
}

// initialize writes the first state of new partitions.
func (c *Controller) initialize(b *batch, ps []*partition, failed map[*partition]error) error {
	states := map[protocol.TopicPartition]zk.PartitionState{}
	for _, p := range ps {
		st, ok := initialLeadership(c.cluster, p)
		if !ok {
			failed[p] = fmt.Errorf("none of the assigned replicas %v is alive", p.assignment.replicas)
			continue
		}
		st.ControllerEpoch = c.fence.Epoch
		st.ISREpochs = c.cluster.livesOf(st.ISR, nil)
		states[p.tp] = st
	}
	if len(states) == 0 {
		return nil
	}
	refused, err := c.zk.CreatePartitionStates(c.fence, states)
	if err != nil {
		return err
	}
	for _, p := range ps {
		st, ok := states[p.tp]
		if !ok {
			continue
		}
		if err := refused[p.tp]; err != nil {
			failed[p] = fmt.Errorf("its state could not be created: %w", err)
			continue
		}
		p.leadership = &st
		b.addLeaderAndISR(st.ISR, p, true)
		c.setPartitionState(p, onlinePartition)
	}
	return nil
}

// errNoCandidate: no replica may lead under the strategy.
var errNoCandidate = errors.New("no replica is eligible as leader")

// elect chooses leaders and writes them. A state that another wrote since we read it is read again and decided anew: a choice is written only over the state it
// was made from, and a partition for which there is none in the state as it is known gets another chance with the state as it is. Leaders below
// inter.broker.protocol.version 2.7-IV2 write the ISR themselves, and tell of it seconds later.
func (c *Controller) elect(b *batch, ps []*partition, choose strategy, failed map[*partition]error) error {
	reread := map[*partition]bool{}
	for len(ps) > 0 {
		chosen, none := c.choose(ps, choose, failed)
		stale := slices.DeleteFunc(none, func(p *partition) bool { return reread[p] })
		if err := c.readAgain(stale, reread, failed); err != nil {
			return err
		}
		states := map[protocol.TopicPartition]zk.PartitionState{}
		for p, e := range chosen {
			states[p.tp] = e.next
		}
		raced, err := c.writeLeadership(slices.Collect(maps.Keys(chosen)), states, failed)
		if err != nil {
			return err
		}
		for _, p := range ps {
			e, ok := chosen[p]
			if !ok || failed[p] != nil || slices.Contains(raced, p) {
				continue
			}
			if e.unclean {
				c.uncleanElections.Add(1)
				c.log.Warn(fmt.Sprintf("[Controller id=%d] Partition %s got leader %d from outside its ISR: records may be lost", c.config.BrokerID, p.tp, e.next.Leader))
			}
			b.addLeaderAndISR(e.recipients, p, false)
			c.setPartitionState(p, onlinePartition)
		}
		ps = append(raced, stale...)
	}
	return nil
}

// choose applies a strategy to partitions. Those without a choice are failed, and returned, too.
func (c *Controller) choose(ps []*partition, choose strategy, failed map[*partition]error) (chosen map[*partition]election, none []*partition) {
	chosen = map[*partition]election{}
	for _, p := range ps {
		if p.leadership == nil {
			failed[p] = errors.New("it has no leader and ISR information")
			continue
		}
		e, ok := choose(c.cluster, p)
		if !ok {
			failed[p] = fmt.Errorf("%w: assigned %v, in sync %v, live %v", errNoCandidate, p.assignment.replicas, p.leadership.ISR, c.cluster.liveBrokers())
			none = append(none, p)
			continue
		}
		e.next.ControllerEpoch = c.fence.Epoch
		if !c.config.Protocol.LeaderRecovery {
			e.next.Recovery = recovered
		}
		chosen[p] = e
	}
	return chosen, none
}

// readAgain reads the states of partitions once more, and takes their failures back.
func (c *Controller) readAgain(ps []*partition, reread map[*partition]bool, failed map[*partition]error) error {
	var tps []protocol.TopicPartition
	for _, p := range ps {
		reread[p] = true
		delete(failed, p)
		tps = append(tps, p.tp)
	}
	return c.readLeadership(tps)
}

// writeLeadership writes states (whose Version is the expected one) and takes what was written into the cluster. raced
// are the partitions whose znode had changed: they have been read again.
func (c *Controller) writeLeadership(ps []*partition, states map[protocol.TopicPartition]zk.PartitionState, failed map[*partition]error) (raced []*partition, err error) {
	if len(states) == 0 {
		return nil, nil
	}
	for _, p := range ps {
		if st, ok := states[p.tp]; ok {
			st.ISREpochs = c.cluster.livesOf(st.ISR, p.leadership)
			states[p.tp] = st
		}
	}
	refused, err := c.zk.UpdatePartitionStates(c.fence, states)
	if err != nil {
		return nil, err
	}
	var again []protocol.TopicPartition
	for _, p := range ps {
		switch err := refused[p.tp]; {
		case err == nil:
			st := states[p.tp]
			st.Version++
			p.leadership = &st
		case errors.Is(err, zk.ErrBadVersion):
			again = append(again, p.tp)
			raced = append(raced, p)
		default:
			failed[p] = fmt.Errorf("its state could not be written: %w", err)
		}
	}
	if err := c.readLeadership(again); err != nil {
		return nil, err
	}
	return raced, nil
}

// readLeadership reads the states of partitions from ZooKeeper into the cluster.
func (c *Controller) readLeadership(tps []protocol.TopicPartition) error {
	if len(tps) == 0 {
		return nil
	}
	states, err := c.zk.PartitionStates(sortedTPs(tps))
	if err != nil {
		return err
	}
	for tp, st := range states {
		if p := c.cluster.partition(tp); p != nil {
			if st.ControllerEpoch > c.fence.Epoch {
				return fmt.Errorf("%w: %s was written by epoch %d", zk.ErrControllerMoved, tp, st.ControllerEpoch)
			}
			p.leadership = &st
		}
	}
	return nil
}

// bringAllOnline tries to elect leaders for all partitions that have none, except those of topics in deletion.
func (c *Controller) bringAllOnline() error {
	ps := c.cluster.partitionsWhere(func(p *partition) bool {
		return (p.state == newPartition || p.state == offlinePartition) && !c.cluster.inDeletion(p.tp.Topic)
	})
	_, err := c.movePartitions(ps, onlinePartition, electOffline(c.config.UncleanLeaderElection))
	return err
}
