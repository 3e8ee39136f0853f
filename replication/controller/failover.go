package controller

import (
	"errors"
	"fmt"
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// failover takes over the cluster: reads everything from ZooKeeper, tells the brokers, and finishes what a predecessor
// began. The order is Kafka's (KafkaController.onControllerFailover) and matters: watches before reading, so that no
// change is missed; metadata with the live brokers before the first LeaderAndIsr (KAFKA-4443).
func (c *Controller) failover() error {
	c.cluster = newCluster()
	c.links = map[int32]Link{}
	c.watches = map[string]func(){}
	var reborn []zk.Broker
	steps := []func() error{
		func() error { return c.zk.SetFeatures(c.fence, c.config.Protocol.Features) },
		c.watchTree,
		c.dropNotifications,
		c.loadBrokers,
		c.loadTopics,
		func() error { reborn = c.setAsideReborn(); return nil },
		c.loadDeletions,
		c.tellBrokers,
		c.startReplicas,
		c.startPartitions,
		c.resumeReassignments,
		c.resumeDeletions,
		func() error { return c.welcomeBrokers(reborn) },
		func() error { return (preferredElectionRequested{}).process(c) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	c.startTimers()
	c.info("Ready to serve as the new controller with epoch %d", c.fence.Epoch)
	return nil
}

func (c *Controller) watchTree() error {
	c.info("Registering handlers")
	for _, w := range []struct {
		path string
		kind zk.WatchKind
		ev   event
	}{
		{zk.BrokerIDsPath, zk.WatchChildren, brokerChange{}},
		{zk.TopicsPath, zk.WatchChildren, topicChange{}},
		{zk.DeleteTopicsPath, zk.WatchChildren, topicDeletion{}},
		{zk.ISRChangeNotificationPath, zk.WatchChildren, isrChanged{}},
		{zk.LogDirEventNotificationPath, zk.WatchChildren, logDirFailed{}},
		{zk.PreferredReplicaElectionPath, zk.WatchData, preferredElectionRequested{}},
		{zk.ReassignPartitionsPath, zk.WatchData, reassignmentRequested{}},
	} {
		if err := c.watch(w.path, w.kind, w.ev); err != nil {
			return err
		}
	}
	return nil
}

// dropNotifications removes notifications meant for the predecessor: their content is read from the states anyway.
func (c *Controller) dropNotifications() error {
	c.info("Deleting log dir event notifications")
	if _, err := c.zk.TakeLogDirEvents(c.fence); err != nil {
		return err
	}
	c.info("Deleting isr change notifications")
	_, err := c.zk.TakeISRChanges(c.fence)
	return err
}

func (c *Controller) loadBrokers() error {
	c.info("Initializing controller context")
	brokers, err := c.zk.Brokers()
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if err := c.admitBroker(b); err != nil {
			return err
		}
	}
	c.info("Initialized broker epochs cache: %v", brokerEpochs(brokers))
	return nil
}

// loadTopics reads assignments, ids and states. A topic without id gets the one that a replica of it has, or a new one.
func (c *Controller) loadTopics() error {
	names, err := c.zk.Topics()
	if err != nil {
		return err
	}
	slices.Sort(names)
	topics, err := c.knowTopics(names, true)
	if err != nil {
		return err
	}
	var tps []protocol.TopicPartition
	for _, t := range topics {
		for n := range t.partitions {
			tps = append(tps, protocol.TopicPartition{Topic: t.name, Partition: n})
		}
	}
	if err := c.readLeadership(tps); err != nil {
		return err
	}
	c.info("Currently active brokers in the cluster: %v", c.cluster.liveBrokers())
	c.info("Current list of topics in the cluster: %v", names)
	return nil
}

// knowTopics takes topics into the cluster, with a watch on each, and sees that each has an id.
func (c *Controller) knowTopics(names []string, askReplicas bool) ([]*topic, error) {
	for _, name := range names {
		c.watches[zk.TopicPath(name)] = func() {} // replaced below; a failure in between ends the term
	}
	cancels, err := c.zk.WatchMany(names, zk.TopicPath, zk.WatchData, func(name string) { c.events.push(partitionModifications{name}) })
	if err != nil {
		return nil, err
	}
	for name, cancel := range cancels {
		c.watches[zk.TopicPath(name)] = cancel
	}
	read, err := c.zk.ReadTopics(names)
	if err != nil {
		return nil, err
	}
	var topics []*topic
	for _, name := range names {
		z := read[name]
		if z == nil {
			c.cancelWatch(zk.TopicPath(name)) // gone again, or unreadable: a later change is seen through its parent
			continue
		}
		if err := c.ensureTopicID(z, askReplicas); err != nil {
			return nil, err
		}
		t := c.cluster.addTopic(name, z.ID)
		for n, replicas := range z.Partitions {
			p := c.cluster.addPartition(t, n, assignment{replicas: replicas, adding: z.Adding[n], removing: z.Removing[n]})
			if p.assignment.isBeingReassigned() {
				c.cluster.reassigning[p.tp] = true
			}
		}
		topics = append(topics, t)
	}
	return topics, nil
}

// ensureTopicID gives a topic without id (created by a tool older than 2.8) one, and writes it down, once all brokers know of ids.
func (c *Controller) ensureTopicID(z *zk.Topic, askReplicas bool) error {
	if !z.ID.IsZero() || !c.config.Protocol.TopicIDs {
		return nil
	}
	z.ID = zk.NewTopicID()
	if askReplicas && c.config.TopicIDHint != nil {
		if id, ok := c.config.TopicIDHint(z.Name); ok && !id.IsZero() {
			z.ID = id
		}
	}
	c.info("Topic %s has no topic id in ZooKeeper; writing %s", z.Name, z.ID)
	version, err := c.zk.SetTopic(c.fence, z)
	if errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNoNode) {
		return nil // changed meanwhile: the watch brings it back, and the id in memory is written then
	}
	z.Version = version
	return err
}

// loadDeletions reads the requests to delete topics.
func (c *Controller) loadDeletions() error {
	names, err := c.zk.TopicsToBeDeleted()
	if err != nil {
		return err
	}
	c.info("Fetching topic deletions in progress")
	if !c.config.DeleteTopicEnable() {
		c.info("Removing %v since delete topic is disabled", names)
		return c.zk.DeleteTopicDeletions(c.fence, names)
	}
	for _, name := range names {
		if c.cluster.topics[name] == nil {
			continue // a watch event follows and removes the request
		}
		c.cluster.toBeDeleted[name] = true
		if c.deletionMustWait(name) {
			c.cluster.ineligible[name] = true
		}
	}
	if len(names) > 0 {
		c.events.push(topicDeletion{})
	}
	return nil
}

// deletionMustWait: a replica is on a dead broker, or a partition is being reassigned.
func (c *Controller) deletionMustWait(name string) bool {
	return slices.ContainsFunc(c.cluster.partitionsOf(name), func(p *partition) bool {
		return c.cluster.reassigning[p.tp] || slices.ContainsFunc(p.assignment.replicas, func(b int32) bool { return !c.cluster.isReplicaOnline(b, p.tp) })
	})
}

// tellBrokers sends the list of brokers before anything else.
func (c *Controller) tellBrokers() error {
	c.info("Sending update metadata request")
	c.sendMetadata(c.cluster.liveOrShuttingDown())
	return nil
}

// startReplicas gives each replica its first state from what is known of its broker.
func (c *Controller) startReplicas() error {
	var online, offline []replica
	for _, p := range c.cluster.partitionsWhere(func(*partition) bool { return true }) {
		for _, b := range p.assignment.replicas {
			if c.cluster.isReplicaOnline(b, p.tp) {
				p.replicas.set(b, onlineReplica)
				online = append(online, replica{p, b})
			} else {
				p.replicas.set(b, deletionIneligible)
				offline = append(offline, replica{p, b})
			}
		}
	}
	if err := c.moveReplicas(online, onlineReplica); err != nil {
		return err
	}
	return c.moveReplicas(offline, offlineReplica)
}

// startPartitions gives each partition its first state, and elects leaders where there is none.
func (c *Controller) startPartitions() error {
	for _, p := range c.cluster.partitionsWhere(func(*partition) bool { return true }) {
		switch {
		case p.leadership == nil:
			p.state = newPartition
		case c.cluster.isReplicaOnline(p.leadership.Leader, p.tp):
			p.state = onlinePartition
		default:
			p.state = offlinePartition
		}
	}
	return c.bringAllOnline()
}

// resumeReassignments takes up what is in /admin/reassign_partitions first, then what the topics say.
func (c *Controller) resumeReassignments() error {
	if err := (reassignmentRequested{}).process(c); err != nil {
		return err
	}
	return c.resumeReassignmentsOf(func(*partition) bool { return true })
}

func brokerEpochs(brokers []zk.Broker) string {
	s := ""
	for i, b := range brokers {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%d -> %d", b.ID, b.Epoch)
	}
	return "{" + s + "}"
}
