package controller

import (
	"slices"

	"gregor/zk"
)

// brokerChange: the children of /brokers/ids changed.
type brokerChange struct{}

func (brokerChange) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	registered, err := c.zk.Brokers()
	if err != nil {
		return err
	}
	var fresh, bounced []zk.Broker
	for _, b := range registered {
		old, known := c.cluster.brokers[b.ID]
		switch {
		case !known:
			fresh = append(fresh, b)
		case old.Epoch < b.Epoch:
			bounced = append(bounced, b)
		}
	}
	var dead []int32
	for _, id := range c.cluster.liveOrShuttingDown() {
		if !slices.ContainsFunc(registered, func(b zk.Broker) bool { return b.ID == id }) {
			dead = append(dead, id)
		}
	}
	if len(fresh)+len(bounced)+len(dead) == 0 {
		return nil
	}
	c.info("Newly added brokers: %v, deleted brokers: %v, bounced brokers: %v, all live brokers: %v",
		ids(fresh), dead, ids(bounced), ids(registered))
	// A broker that came back so fast that its absence was not seen is handled as dead, then as new: whatever was sent to
	// its former life is void.
	if err := c.dismissBrokers(append(dead, ids(bounced)...)); err != nil {
		return err
	}
	return c.welcomeBrokers(append(fresh, bounced...))
}

// brokerModified: the data of /brokers/ids/N changed.
type brokerModified struct{ id int32 }

func (e brokerModified) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	old, known := c.cluster.brokers[e.id]
	b, err := c.zk.Broker(e.id)
	if err != nil || b == nil || !known || b.Epoch != old.Epoch {
		return err // a registration that vanished or was renewed is brokerChange's matter
	}
	if slices.Equal(b.Endpoints, old.Endpoints) {
		return nil
	}
	c.info("Updated broker metadata: %v -> %v", old.Endpoints, b.Endpoints)
	c.cluster.brokers[e.id] = *b
	was, _ := old.Endpoint(c.config.ControlPlaneListener)
	if now, ok := b.Endpoint(c.config.ControlPlaneListener); ok && now != was {
		c.unlink(e.id)
		c.link(*b)
		c.sendMetadata([]int32{e.id}, c.cluster.partitionsWhere(hasLeadership)...)
	}
	c.sendMetadata(c.cluster.liveOrShuttingDown())
	return nil
}

func ids(brokers []zk.Broker) []int32 {
	out := make([]int32, len(brokers))
	for i, b := range brokers {
		out[i] = b.ID
	}
	return out
}

func hasLeadership(p *partition) bool { return p.leadership != nil }

// admitBroker makes a broker known: watch and sender.
func (c *Controller) admitBroker(b zk.Broker) error {
	c.cluster.brokers[b.ID] = b
	c.link(b)
	return c.watch(zk.BrokerPath(b.ID), zk.WatchData, brokerModified{b.ID})
}

// welcomeBrokers brings brokers that joined up to date and uses them.
func (c *Controller) welcomeBrokers(brokers []zk.Broker) error {
	if len(brokers) == 0 {
		return nil
	}
	existing := c.cluster.liveOrShuttingDown()
	for _, b := range brokers {
		if err := c.admitBroker(b); err != nil {
			return err
		}
		delete(c.cluster.offlineDirs, b.ID)
	}
	fresh := ids(brokers)
	c.info("New broker startup callback for %v", fresh)
	c.sendMetadata(existing)
	c.sendMetadata(fresh, c.cluster.partitionsWhere(hasLeadership)...)
	if err := c.moveReplicas(c.cluster.replicasOn(fresh...), onlineReplica); err != nil {
		return err
	}
	if err := c.bringAllOnline(); err != nil {
		return err
	}
	onFresh := func(replicas []int32) bool {
		return slices.ContainsFunc(replicas, func(b int32) bool { return slices.Contains(fresh, b) })
	}
	if err := c.resumeReassignmentsOf(func(p *partition) bool { return onFresh(p.assignment.target()) }); err != nil {
		return err
	}
	for name := range c.cluster.toBeDeleted {
		// A topic that moves is let go by the end of its reassignment; Apache Kafka deletes it in the middle of that.
		if c.cluster.inDeletion(name) && slices.ContainsFunc(c.cluster.partitionsOf(name), func(p *partition) bool { return onFresh(p.assignment.replicas) }) {
			delete(c.cluster.ineligible, name)
		}
	}
	return c.resumeDeletions()
}

// dismissBrokers takes brokers that left out of everything.
func (c *Controller) dismissBrokers(dead []int32) error {
	if len(dead) == 0 {
		return nil
	}
	c.info("Broker failure callback for %v", dead)
	for _, id := range dead {
		c.cancelWatch(zk.BrokerPath(id))
		c.unlink(id)
		delete(c.cluster.brokers, id)
		delete(c.cluster.shuttingDown, id)
		delete(c.cluster.offlineDirs, id)
	}
	return c.replicasWentOffline(c.cluster.replicasOn(dead...))
}

// replicasWentOffline finds new leaders and shrinks ISRs after brokers or directories failed.
func (c *Controller) replicasWentOffline(rs []replica) error {
	var gone, inDeletion []replica
	for _, r := range rs {
		if c.cluster.inDeletion(r.partition.tp.Topic) {
			inDeletion = append(inDeletion, r)
		} else {
			gone = append(gone, r)
		}
	}
	leaderless := c.cluster.partitionsWithOfflineLeader()
	if _, err := c.movePartitions(leaderless, offlinePartition, nil); err != nil {
		return err
	}
	if err := c.bringAllOnline(); err != nil {
		return err
	}
	if err := c.moveReplicas(gone, offlineReplica); err != nil {
		return err
	}
	if err := c.failDeletion(inDeletion, "replicas on dead brokers or failed directories"); err != nil {
		return err
	}
	if len(leaderless) == 0 {
		c.sendMetadata(c.cluster.liveOrShuttingDown())
	}
	return nil
}

// uncleanEnabled: unclean leader election was switched on for some topic.
type uncleanEnabled struct{}

func (uncleanEnabled) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	return c.bringAllOnline()
}
