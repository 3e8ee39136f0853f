package controller

import (
	"maps"
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// cluster is what the elected controller knows (kafka.controller.ControllerContext). It is plain state: no clock, no
// I/O, no lock; the event goroutine owns it, and it is thrown away at resignation.
type cluster struct {
	brokers      map[int32]zk.Broker // registered brokers, those shutting down included
	shuttingDown map[int32]bool      // brokers that asked for a controlled shutdown
	offlineDirs  map[int32]map[protocol.TopicPartition]bool
	topics       map[string]*topic
	topicsByID   map[protocol.TopicID]*topic // those whose id is known

	// Topic deletion (kafka.controller.TopicDeletionManager).
	toBeDeleted  map[string]bool // queued; the only set that is also in ZooKeeper
	deletionOpen map[string]bool // partitions were taken offline already
	ineligible   map[string]bool // waits for a broker or a reassignment

	reassigning map[protocol.TopicPartition]bool
}

type topic struct {
	name       string
	id         protocol.TopicID // zero when unknown
	partitions map[int32]*partition
}

// partition is one partition with its assignment, its leadership and the states of both machines.
type partition struct {
	tp         protocol.TopicPartition
	assignment assignment
	state      partitionState
	replicas   replicaStates
	leadership *zk.PartitionState // nil: no leader was ever elected
}

func newCluster() *cluster {
	return &cluster{
		brokers: map[int32]zk.Broker{}, shuttingDown: map[int32]bool{},
		offlineDirs: map[int32]map[protocol.TopicPartition]bool{},
		topics:      map[string]*topic{}, topicsByID: map[protocol.TopicID]*topic{},
		toBeDeleted: map[string]bool{}, deletionOpen: map[string]bool{}, ineligible: map[string]bool{},
		reassigning: map[protocol.TopicPartition]bool{},
	}
}

// isLive: registered and not about to leave.
func (c *cluster) isLive(broker int32) bool {
	_, ok := c.brokers[broker]
	return ok && !c.shuttingDown[broker]
}

// liveBrokers lists live brokers in order; liveOrShuttingDown also those about to leave, which still take requests.
func (c *cluster) liveBrokers() []int32 {
	return slices.DeleteFunc(c.liveOrShuttingDown(), func(b int32) bool { return c.shuttingDown[b] })
}

func (c *cluster) liveOrShuttingDown() []int32 { return slices.Sorted(maps.Keys(c.brokers)) }

// isReplicaOnline: its broker is live and the replica is not in a failed directory.
func (c *cluster) isReplicaOnline(broker int32, tp protocol.TopicPartition) bool {
	return c.isLive(broker) && !c.offlineDirs[broker][tp]
}

// isReplicaReachable is isReplicaOnline with brokers that are shutting down counted in.
func (c *cluster) isReplicaReachable(broker int32, tp protocol.TopicPartition) bool {
	_, ok := c.brokers[broker]
	return ok && !c.offlineDirs[broker][tp]
}

func (c *cluster) onlineReplicas(p *partition) []int32 {
	return filter(p.assignment.replicas, func(b int32) bool { return c.isReplicaOnline(b, p.tp) })
}

// partition looks a partition up; nil when it is unknown.
func (c *cluster) partition(tp protocol.TopicPartition) *partition {
	if t := c.topics[tp.Topic]; t != nil {
		return t.partitions[tp.Partition]
	}
	return nil
}

// compareTopics says which of the names in ZooKeeper are new, in order, and which known topics are not among them. It costs little where almost all are known,
// as it is asked whenever a topic was made.
func (c *cluster) compareTopics(names []string) (fresh, gone []string) {
	for _, name := range names {
		if c.topics[name] == nil {
			fresh = append(fresh, name)
		}
	}
	slices.Sort(fresh)
	if len(names)-len(fresh) == len(c.topics) {
		return fresh, nil
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for name := range c.topics {
		if !there[name] {
			gone = append(gone, name)
		}
	}
	return fresh, gone
}

// addTopic makes a topic known, without partitions.
func (c *cluster) addTopic(name string, id protocol.TopicID) *topic {
	t := &topic{name: name, id: id, partitions: map[int32]*partition{}}
	c.topics[name] = t
	if !id.IsZero() {
		c.topicsByID[id] = t
	}
	return t
}

// addPartition makes a partition known, in no state yet.
func (c *cluster) addPartition(t *topic, number int32, a assignment) *partition {
	p := &partition{tp: protocol.TopicPartition{Topic: t.name, Partition: number}, assignment: a,
		state: nonExistentPartition}
	t.partitions[number] = p
	return p
}

// removeTopic forgets everything about a topic.
func (c *cluster) removeTopic(name string) {
	for _, p := range c.partitionsOf(name) {
		delete(c.reassigning, p.tp)
		for _, dirs := range c.offlineDirs {
			delete(dirs, p.tp)
		}
	}
	if t := c.topics[name]; t != nil && c.topicsByID[t.id] == t {
		delete(c.topicsByID, t.id)
	}
	delete(c.topics, name)
	delete(c.toBeDeleted, name)
	delete(c.deletionOpen, name)
	delete(c.ineligible, name)
}

// inDeletion: a topic is queued for deletion and nothing but dead replicas is in the way. While one of its partitions is being reassigned a topic lives on
// as if nobody had asked: were brokers told to forget it, as Apache Kafka tells them, its new replicas could not fetch, and the move would never end.
func (c *cluster) inDeletion(name string) bool {
	return c.toBeDeleted[name] && !c.isMoving(name)
}

// isMoving: a partition of the topic is being reassigned.
func (c *cluster) isMoving(name string) bool {
	return slices.ContainsFunc(c.partitionsOf(name), func(p *partition) bool { return c.reassigning[p.tp] })
}

// partitionsOf lists a topic's partitions in order.
func (c *cluster) partitionsOf(name string) []*partition {
	t := c.topics[name]
	if t == nil {
		return nil
	}
	ps := make([]*partition, 0, len(t.partitions))
	for _, n := range slices.Sorted(maps.Keys(t.partitions)) {
		ps = append(ps, t.partitions[n])
	}
	return ps
}

// partitionsWhere lists all partitions that satisfy keep, in order.
func (c *cluster) partitionsWhere(keep func(*partition) bool) []*partition {
	var ps []*partition
	for _, name := range slices.Sorted(maps.Keys(c.topics)) {
		for _, p := range c.partitionsOf(name) {
			if keep(p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

// replicasOn lists the replicas that are assigned to any of the brokers.
func (c *cluster) replicasOn(brokers ...int32) []replica {
	var rs []replica
	for _, p := range c.partitionsWhere(func(*partition) bool { return true }) {
		for _, b := range brokers {
			if slices.Contains(p.assignment.replicas, b) {
				rs = append(rs, replica{p, b})
			}
		}
	}
	return rs
}

// partitionsWithOfflineLeader lists the partitions that need a new leader. Those of topics in deletion do not.
func (c *cluster) partitionsWithOfflineLeader() []*partition {
	return c.partitionsWhere(func(p *partition) bool {
		return p.leadership != nil && !c.isReplicaOnline(p.leadership.Leader, p.tp) && !c.inDeletion(p.tp.Topic)
	})
}

// anyReplicaIn and allReplicasIn look at the replica states of a topic.
func (c *cluster) anyReplicaIn(name string, s replicaState) bool {
	return len(c.replicasIn(name, s)) > 0
}

func (c *cluster) allReplicasIn(name string, s replicaState) bool {
	for _, p := range c.partitionsOf(name) {
		for _, b := range p.assignment.replicas {
			if p.replicas.of(b) != s {
				return false
			}
		}
	}
	return true
}

func (c *cluster) replicasIn(name string, s replicaState) []replica {
	var rs []replica
	for _, p := range c.partitionsOf(name) {
		for _, b := range p.assignment.replicas {
			if p.replicas.of(b) == s {
				rs = append(rs, replica{p, b})
			}
		}
	}
	return rs
}

// topicOf builds the znode of a topic from what is known, for writing it back.
func (c *cluster) topicOf(t *topic, version int32) *zk.Topic {
	z := &zk.Topic{Name: t.name, ID: t.id, Version: version, Partitions: map[int32][]int32{}, Adding: map[int32][]int32{}, Removing: map[int32][]int32{}}
	for n, p := range t.partitions {
		z.Partitions[n] = p.assignment.replicas
		if p.assignment.isBeingReassigned() {
			z.Adding[n], z.Removing[n] = p.assignment.adding, p.assignment.removing
		}
	}
	return z
}

func filter(in []int32, keep func(int32) bool) []int32 {
	out := make([]int32, 0, len(in))
	for _, v := range in {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// without returns a minus b, in a's order.
func without(a, b []int32) []int32 {
	return filter(a, func(v int32) bool { return !slices.Contains(b, v) })
}
