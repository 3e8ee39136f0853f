package controller

import (
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// reassignTo starts or continues the move of p's replicas to the assignment next (KIP-455). While a replica of the
// target is not in sync, new replicas are started and it waits for the ISR; then it finishes.
func (c *Controller) reassignTo(p *partition, next assignment) error {
	c.cluster.ineligible[p.tp.Topic] = true // no deletion while a reassignment is in progress
	if err := c.updateReassignment(p, next); err != nil {
		return err
	}
	// The ISR as it is in ZooKeeper decides: a leader below inter.broker.protocol.version 2.7-IV2 writes it itself, and tells of it seconds later.
	if err := c.readLeadership([]protocol.TopicPartition{p.tp}); err != nil {
		return err
	}
	if !c.reassignmentComplete(p) {
		if err := c.announceReplicas(p); err != nil {
			return err
		}
		// One whose broker was away meanwhile has been started again already.
		return c.moveReplicas(slices.DeleteFunc(replicasOf(p, next.adding), func(r replica) bool { return p.replicas.of(r.broker) != nonExistentReplica }), newReplica)
	}
	return c.finishReassignment(p, next)
}

// announceReplicas tells of a changed replica set in a new leader epoch. A partition that never had a leader may get one among the new replicas; if none of them is alive
// either, it gets one with the first broker that comes. (Apache Kafka's controller gives its term up over such a partition, again and again.)
func (c *Controller) announceReplicas(p *partition) error {
	if p.leadership != nil {
		return c.raiseLeaderEpoch(p)
	}
	_, err := c.movePartitions([]*partition{p}, onlinePartition, electOffline(c.config.UncleanLeaderElection))
	return err
}

// updateReassignment writes a new target to ZooKeeper, then to memory. Replicas that only the former target wanted stop.
func (c *Controller) updateReassignment(p *partition, next assignment) error {
	current := p.assignment
	if !current.equal(next) {
		if err := c.writeAssignment(p, next); err != nil {
			return err
		}
		p.assignment = next
		if unneeded := without(current.replicas, next.replicas); len(unneeded) > 0 {
			if err := c.removeReplicas(p, unneeded); err != nil {
				return err
			}
		}
	}
	c.cluster.reassigning[p.tp] = true
	return nil
}

// reassignmentComplete: every target replica is in sync.
func (c *Controller) reassignmentComplete(p *partition) bool {
	if !p.assignment.isBeingReassigned() {
		return true
	}
	return p.leadership != nil && len(without(p.assignment.target(), p.leadership.ISR)) == 0
}

func (c *Controller) finishReassignment(p *partition, done assignment) error {
	if err := c.moveReplicas(replicasOf(p, done.adding), onlineReplica); err != nil {
		return err
	}
	p.assignment = assignment{replicas: done.target()}
	led, err := c.moveLeaderIntoTarget(p)
	if err != nil {
		return err
	}
	if !led {
		// The target is not in sync any more, or not alive: whoever has the records stays, until the ISR changes again or a broker comes.
		p.assignment = done
		return nil
	}
	if err := c.removeReplicas(p, done.removing); err != nil {
		return err
	}
	if err := c.writeAssignment(p, p.assignment); err != nil {
		return err
	}
	delete(c.cluster.reassigning, p.tp)
	err = c.dropFromZNode(func(r zk.Reassignment) bool {
		return r.TopicPartition == p.tp && slices.Equal(r.Replicas, p.assignment.replicas)
	})
	if err != nil {
		return err
	}
	c.sendMetadata(c.cluster.liveOrShuttingDown(), p)
	c.info("Reassignment of %s to %v is complete", p.tp, p.assignment.replicas)
	if !c.cluster.isMoving(p.tp.Topic) {
		delete(c.cluster.ineligible, p.tp.Topic)
	}
	return c.resumeDeletions()
}

// moveLeaderIntoTarget elects a leader among the target if the current one leaves or is dead; otherwise the leader stays
// and learns of the new replica set in a new epoch. led is false when no replica of the target may lead.
func (c *Controller) moveLeaderIntoTarget(p *partition) (led bool, err error) {
	if p.leadership == nil {
		return true, nil
	}
	leader := p.leadership.Leader
	if slices.Contains(p.assignment.replicas, leader) && c.cluster.isReplicaOnline(leader, p.tp) {
		return true, c.raiseLeaderEpoch(p)
	}
	failed, err := c.movePartitions([]*partition{p}, onlinePartition, electReassign)
	return failed[p] == nil, err
}

// raiseLeaderEpoch bumps the leader epoch in ZooKeeper, so that brokers take the LeaderAndIsr with the new replica set.
func (c *Controller) raiseLeaderEpoch(p *partition) error {
	failed := map[*partition]error{}
	for again := []*partition{p}; len(again) > 0; {
		next := following(p)
		next.ControllerEpoch = c.fence.Epoch
		raced, err := c.writeLeadership(again, map[protocol.TopicPartition]zk.PartitionState{p.tp: next}, failed)
		if err != nil {
			return err
		}
		again = raced
	}
	if err := failed[p]; err != nil {
		return err
	}
	b := newBatch(c.cluster)
	b.addLeaderAndISR(p.assignment.replicas, p, false)
	c.sendBatch(b)
	return nil
}

// removeReplicas takes replicas that are no longer assigned through all states of deletion.
func (c *Controller) removeReplicas(p *partition, brokers []int32) error {
	for _, to := range []replicaState{offlineReplica, deletionStarted, deletionSuccessful, nonExistentReplica} {
		if err := c.moveReplicas(replicasOf(p, brokers), to); err != nil {
			return err
		}
	}
	return nil
}

func replicasOf(p *partition, brokers []int32) []replica {
	rs := make([]replica, len(brokers))
	for i, b := range brokers {
		rs[i] = replica{p, b}
	}
	return rs
}

// writeAssignment writes a topic with one partition's assignment changed.
func (c *Controller) writeAssignment(p *partition, a assignment) error {
	t := c.cluster.topics[p.tp.Topic]
	z := c.cluster.topicOf(t, -1)
	n := p.tp.Partition
	z.Partitions[n] = a.replicas
	delete(z.Adding, n)
	delete(z.Removing, n)
	if a.isBeingReassigned() {
		z.Adding[n], z.Removing[n] = a.adding, a.removing
	}
	_, err := c.zk.SetTopic(c.fence, z)
	return err
}

// resumeReassignmentsOf continues reassignments of partitions, after a failover or when a broker came. One that cannot go on does not stop the others, nor the event.
func (c *Controller) resumeReassignmentsOf(keep func(*partition) bool) error {
	for _, p := range c.cluster.partitionsWhere(func(p *partition) bool { return c.cluster.reassigning[p.tp] && keep(p) }) {
		if err := c.reassignTo(p, p.assignment); err != nil {
			if transient(err) != nil {
				return err
			}
			c.warn("Failed to resume the reassignment of %s: %v", p.tp, err)
		}
	}
	return nil
}

// isrMayComplete finishes the reassignment of a partition whose ISR has changed, if it can be.
func (c *Controller) isrMayComplete(p *partition) error {
	if !c.cluster.reassigning[p.tp] || !c.reassignmentComplete(p) {
		return nil
	}
	c.info("Target replicas %v have all caught up with the leader for reassigning partition %s", p.assignment.target(), p.tp)
	return c.reassignTo(p, p.assignment)
}

// reassignmentRequested: a tool wrote /admin/reassign_partitions.
type reassignmentRequested struct{}

func (reassignmentRequested) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	requested, err := c.zk.Reassignments()
	if err != nil {
		c.warn("Ignoring partition reassignment due to invalid json: %v", err)
		return transient(err)
	}
	if requested == nil {
		return nil
	}
	refused := map[protocol.TopicPartition]bool{}
	for _, r := range requested {
		p := c.cluster.partition(r.TopicPartition)
		switch {
		case p == nil || c.cluster.toBeDeleted[r.Topic] || len(r.Replicas) == 0:
			c.warn("Failed reassignment through zk of %s to %v: the partition does not exist or no replica is named", r.TopicPartition, r.Replicas)
			refused[r.TopicPartition] = true
		case c.cluster.reassigning[p.tp] && slices.Equal(p.assignment.target(), r.Replicas):
			// Our own rewrite of the znode, or a request that is being served.
		default:
			if err := c.reassignTo(p, p.assignment.reassignTo(r.Replicas)); err != nil {
				if transient(err) != nil {
					return err
				}
				c.warn("Failed reassignment through zk of %s: %v", r.TopicPartition, err)
				refused[r.TopicPartition] = true
			}
		}
	}
	if len(refused) == 0 && len(requested) > 0 {
		return nil
	}
	return c.dropFromZNode(func(r zk.Reassignment) bool { return refused[r.TopicPartition] })
}

// dropFromZNode removes entries from /admin/reassign_partitions, and the znode when none is left.
func (c *Controller) dropFromZNode(drop func(zk.Reassignment) bool) error {
	all, err := c.zk.Reassignments()
	if err != nil || all == nil {
		return transient(err)
	}
	left := slices.DeleteFunc(slices.Clone(all), drop)
	if len(left) == len(all) && len(all) > 0 {
		return nil
	}
	return c.zk.SetReassignments(c.fence, left)
}
