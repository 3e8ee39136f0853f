package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// topicDeletion: the children of /admin/delete_topics changed.
type topicDeletion struct{}

func (topicDeletion) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	names, err := c.zk.TopicsToBeDeleted()
	if err != nil || len(names) == 0 {
		return err
	}
	unknown := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return c.cluster.topics[n] != nil })
	if len(unknown) > 0 {
		// A topic created a moment ago may be known to ZooKeeper only.
		for _, n := range unknown {
			t, err := c.zk.Topic(n)
			if transient(err) != nil {
				return err
			}
			if t != nil {
				if err := (topicChange{}).process(c); err != nil {
					return err
				}
				break
			}
		}
		unknown = slices.DeleteFunc(unknown, func(n string) bool { return c.cluster.topics[n] != nil })
		if len(unknown) > 0 {
			c.warn("Ignoring request to delete non-existing topics %v", unknown)
			if err := c.zk.DeleteTopicDeletions(c.fence, unknown); err != nil {
				return err
			}
		}
	}
	known := slices.DeleteFunc(names, func(n string) bool { return c.cluster.topics[n] == nil || c.cluster.toBeDeleted[n] })
	if len(known) == 0 {
		return nil
	}
	if !c.config.DeleteTopicEnable() {
		c.info("Removing %v since delete topic is disabled", known)
		return c.zk.DeleteTopicDeletions(c.fence, known)
	}
	c.info("Starting topic deletion for topics %v", known)
	for _, name := range known {
		c.cluster.toBeDeleted[name] = true
		if c.cluster.isMoving(name) {
			c.cluster.ineligible[name] = true
		}
	}
	return c.resumeDeletions()
}

// resumeDeletions takes every queued deletion as far as it can go now.
func (c *Controller) resumeDeletions() error {
	var retry []replica
	var eligible []string
	for _, name := range slices.Sorted(maps.Keys(c.cluster.toBeDeleted)) {
		switch {
		case c.cluster.deletionOpen[name] && c.cluster.allReplicasIn(name, deletionSuccessful):
			if err := c.completeDeletion(name); err != nil {
				return err
			}
			continue
		case !c.cluster.anyReplicaIn(name, deletionStarted) && !c.cluster.ineligible[name]:
			retry = append(retry, c.cluster.replicasIn(name, deletionIneligible)...)
			eligible = append(eligible, name)
		}
	}
	if err := c.moveReplicas(retry, offlineReplica); err != nil {
		return err
	}
	return c.deleteTopics(eligible)
}

// deleteTopics takes the partitions of topics offline, makes brokers forget them, and has the replicas deleted.
func (c *Controller) deleteTopics(names []string) error {
	var unseen, all []*partition
	for _, name := range names {
		ps := c.cluster.partitionsOf(name)
		all = append(all, ps...)
		if !c.cluster.deletionOpen[name] {
			unseen = append(unseen, ps...)
		}
	}
	if len(names) == 0 {
		return nil
	}
	c.info("Topic deletion callback for %v", names)
	if _, err := c.movePartitions(unseen, offlinePartition, nil); err != nil {
		return err
	}
	if _, err := c.movePartitions(unseen, nonExistentPartition, nil); err != nil {
		return err
	}
	for _, name := range names {
		c.cluster.deletionOpen[name] = true
	}
	c.sendMetadata(c.cluster.liveOrShuttingDown(), all...)

	var alive, dead []replica
	for _, p := range all {
		for _, b := range p.assignment.replicas {
			switch {
			case !c.cluster.isReplicaOnline(b, p.tp):
				dead = append(dead, replica{p, b})
				c.cluster.ineligible[p.tp.Topic] = true
			case p.replicas.of(b) != deletionSuccessful:
				alive = append(alive, replica{p, b})
			}
		}
	}
	dead = slices.DeleteFunc(dead, func(r replica) bool { return r.partition.replicas.of(r.broker) == deletionIneligible })
	for _, step := range []struct {
		rs []replica
		to replicaState
	}{{dead, deletionIneligible}, {alive, offlineReplica}, {alive, deletionStarted}} {
		if err := c.moveReplicas(step.rs, step.to); err != nil {
			return err
		}
	}
	// A topic without a single replica (an empty manual assignment) has nothing to wait for.
	for _, name := range names {
		if c.cluster.allReplicasIn(name, deletionSuccessful) {
			if err := c.completeDeletion(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// completeDeletion removes a topic whose replicas are all deleted from ZooKeeper and from memory.
func (c *Controller) completeDeletion(name string) error {
	// Its watch goes first: the znode's own deletion is no change to react to.
	c.cancelWatch(zk.TopicPath(name))
	if err := c.moveReplicas(c.cluster.replicasIn(name, deletionSuccessful), nonExistentReplica); err != nil {
		return err
	}
	if err := c.zk.DeleteTopic(c.fence, name); err != nil {
		return err
	}
	c.cluster.removeTopic(name)
	c.info("Deletion of topic %s successfully completed", name)
	return nil
}

// failDeletion sets replicas of topics in deletion aside until their broker comes back.
func (c *Controller) failDeletion(rs []replica, reason string) error {
	rs = slices.DeleteFunc(rs, func(r replica) bool { return !c.cluster.toBeDeleted[r.partition.tp.Topic] })
	if len(rs) == 0 {
		return nil
	}
	topics := map[string]bool{}
	var movable []replica
	for _, r := range rs {
		topics[r.partition.tp.Topic] = true
		if mayReach(replicaFrom, r.partition.replicas.of(r.broker), deletionIneligible) {
			movable = append(movable, r)
		}
	}
	maps.Copy(c.cluster.ineligible, topics)
	c.info("Halted deletion of topics %s due to %s", strings.Join(slices.Sorted(maps.Keys(topics)), ","), reason)
	if err := c.moveReplicas(movable, deletionIneligible); err != nil {
		return err
	}
	return c.resumeDeletions()
}

// replicasStopped: a broker answered StopReplica.
type replicasStopped struct {
	broker   int32
	epoch    int32 // of the controller that asked
	request  *kmsg.StopReplicaRequest
	response *kmsg.StopReplicaResponse
}

func (e replicasStopped) process(c *Controller) error {
	if !c.elected || e.epoch != c.fence.Epoch {
		return nil
	}
	failures := map[protocol.TopicPartition]int16{}
	for _, p := range e.response.Partitions {
		if p.ErrorCode != 0 {
			failures[protocol.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = p.ErrorCode
		}
	}
	var deleted, failed []replica
	for _, t := range e.request.Topics {
		for _, s := range t.PartitionStates {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: s.Partition}
			p := c.cluster.partition(tp)
			if !s.Delete || p == nil || !c.cluster.toBeDeleted[t.Topic] || p.replicas.of(e.broker) != deletionStarted {
				continue
			}
			code := e.response.ErrorCode
			if code == 0 {
				code = failures[tp]
			}
			if code != 0 {
				c.warn("Broker %d could not delete its replica of %s: %v", e.broker, tp, protocol.ErrorCode(code))
				failed = append(failed, replica{p, e.broker})
			} else {
				deleted = append(deleted, replica{p, e.broker})
			}
		}
	}
	if err := c.moveReplicas(deleted, deletionSuccessful); err != nil {
		return err
	}
	if err := c.failDeletion(failed, "replica deletion failure"); err != nil {
		return err
	}
	if len(deleted) > 0 {
		return c.resumeDeletions()
	}
	return nil
}
