package controller

import (
	"errors"
	"slices"

	"gregor/zk"
)

// topicChange: the children of /brokers/topics changed.
type topicChange struct{}

func (topicChange) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	names, err := c.zk.Topics()
	if err != nil {
		return err
	}
	fresh, gone := c.cluster.compareTopics(names)
	for _, name := range gone { // deleted by hand, behind everyone's back
		c.cancelWatch(zk.TopicPath(name))
		c.cluster.removeTopic(name)
	}
	if len(fresh)+len(gone) == 0 {
		return nil
	}
	topics, err := c.knowTopics(fresh, false)
	if err != nil {
		return err
	}
	c.info("New topics: %v, deleted topics: %v", fresh, gone)
	var ps []*partition
	for _, t := range topics {
		ps = append(ps, c.cluster.partitionsOf(t.name)...)
	}
	return c.partitionsCreated(ps)
}

// partitionsCreated takes new partitions through New to Online.
func (c *Controller) partitionsCreated(ps []*partition) error {
	if len(ps) == 0 {
		return nil
	}
	c.info("New partition creation callback for %d partitions from %s to %s", len(ps), ps[0].tp, ps[len(ps)-1].tp)
	var rs []replica
	for _, p := range ps {
		for _, b := range p.assignment.replicas {
			rs = append(rs, replica{p, b})
		}
	}
	if _, err := c.movePartitions(ps, newPartition, nil); err != nil {
		return err
	}
	if err := c.moveReplicas(rs, newReplica); err != nil {
		return err
	}
	if _, err := c.movePartitions(ps, onlinePartition, electOffline(c.config.UncleanLeaderElection)); err != nil {
		return err
	}
	return c.moveReplicas(rs, onlineReplica)
}

// partitionModifications: the data of /brokers/topics/T changed, by us, by an admin request or by a tool.
type partitionModifications struct{ topic string }

func (e partitionModifications) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	t := c.cluster.topics[e.topic]
	z, err := c.zk.Topic(e.topic)
	if err != nil {
		c.warn("Ignoring a change of topic %s: %v", e.topic, err)
		return transient(err)
	}
	if t == nil || z == nil {
		return nil
	}
	var added []int32
	for _, n := range z.SortedPartitions() {
		if t.partitions[n] == nil {
			added = append(added, n)
		}
	}
	if c.cluster.toBeDeleted[e.topic] {
		if len(added) == 0 {
			return nil
		}
		c.warn("Restoring the assignment of topic %s, which is being deleted: partitions %v were added", e.topic, added)
		return c.writeBack(c.cluster.topicOf(t, z.Version))
	}
	if err := c.restoreFields(t, z); err != nil {
		return err
	}
	if len(added) == 0 {
		return nil
	}
	c.info("New partitions to be added to topic %s: %v", e.topic, added)
	var ps []*partition
	for _, n := range added {
		p := c.cluster.addPartition(t, n, assignment{replicas: z.Partitions[n], adding: z.Adding[n], removing: z.Removing[n]})
		if p.assignment.isBeingReassigned() {
			c.cluster.reassigning[p.tp] = true
		}
		ps = append(ps, p)
	}
	return c.partitionsCreated(ps)
}

// restoreFields puts back what a tool older than 2.8 drops when it rewrites a topic as version 1: the topic's id, and
// the replicas that a running reassignment adds and removes. Apache Kafka does not, and invents a new id at the next
// failover (KAFKA-14190).
func (c *Controller) restoreFields(t *topic, z *zk.Topic) error {
	fixed := z.Clone()
	changed := false
	if z.ID.IsZero() && !t.id.IsZero() {
		fixed.ID, changed = t.id, true
	} else if z.ID != t.id {
		c.warn("The id of topic %s in ZooKeeper is %s, known is %s: ignoring the change", t.name, z.ID, t.id)
	}
	if z.ID.IsZero() {
		for n, p := range t.partitions {
			if p.assignment.isBeingReassigned() && slices.Equal(z.Partitions[n], p.assignment.replicas) && z.Adding[n] == nil && z.Removing[n] == nil {
				fixed.Adding[n], fixed.Removing[n], changed = p.assignment.adding, p.assignment.removing, true
			}
		}
	}
	if !changed {
		return nil
	}
	c.info("Restoring what a tool dropped from /brokers/topics/%s: topic id %s", t.name, fixed.ID)
	return c.writeBack(fixed)
}

// writeBack overwrites a topic. A newer change of it is left alone: its watch comes next.
func (c *Controller) writeBack(z *zk.Topic) error {
	_, err := c.zk.SetTopic(c.fence, z)
	if errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// transient keeps the errors that concern session and fence, and drops those about a znode's content.
func transient(err error) error {
	if errors.Is(err, zk.ErrSessionExpired) || errors.Is(err, zk.ErrControllerMoved) || errors.Is(err, zk.ErrClosed) {
		return err
	}
	return nil
}
