package broker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Values that a controller puts into a partition's Leader field.
const (
	noLeader             int32 = -1 // no replica may lead at present
	leaderDuringDeletion int32 = -2 // the topic is being deleted: the partition leaves the cache
)

// MetadataCache is this broker's image of the cluster as the controller told it by UpdateMetadata. Readers load an immutable image without a lock; Update
// makes the next image by copying only what changed, so that its cost follows the size of the request and not the size of the cluster.
type MetadataCache struct {
	image atomic.Pointer[clusterImage]

	mu sync.Mutex // serialises Update
}

// clusterImage is one state of the cluster. Invariant: it and everything it points to never change after it was published.
type clusterImage struct {
	controllerID int32 // -1: unknown
	brokers      map[int32]*brokerImage
	topics       shardedMap[*topicImage]
	names        [256]map[protocol.TopicID]string // sharded by the first byte of the id
	superseded   chan struct{}                    // closed when the next image is there
}

// brokerImage is one live broker.
type brokerImage struct {
	id        int32
	rack      *string
	endpoints map[string]endpoint // by listener name
}

// endpoint is where a broker is reached through one listener.
type endpoint struct {
	host string
	port int32
}

// topicImage is one topic; partitions is in order of the partition number, without the ones that no update has mentioned.
type topicImage struct {
	name       string
	id         protocol.TopicID // zero when the topic has none
	partitions []partitionImage
}

// partitionImage is one partition's state. The slices are never written to.
type partitionImage struct {
	partition       int32
	leader          int32 // noLeader when there is none
	leaderEpoch     int32
	partitionEpoch  int32 // version of the state znode
	controllerEpoch int32
	isr             []int32
	replicas        []int32
	offline         []int32
}

// newMetadataCache returns the image of a cluster nobody told us of yet.
func newMetadataCache() *MetadataCache {
	c := &MetadataCache{}
	c.image.Store(&clusterImage{controllerID: -1, superseded: make(chan struct{})})
	return c
}

// Update applies a controller's request, which the caller has fenced, and returns the partitions that it removed (leader -2).
func (c *MetadataCache) Update(r *kmsg.UpdateMetadataRequest) (deleted []protocol.TopicPartition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.image.Load()
	next := &clusterImage{
		controllerID: r.ControllerID, brokers: brokerImages(r), topics: old.topics, names: old.names, superseded: make(chan struct{}),
	}
	u := imageUpdate{next: next}
	for topic, states := range updatedTopics(r) {
		deleted = u.applyTopic(deleted, topic, states)
	}
	c.image.Store(next)
	close(old.superseded)
	return deleted
}

// Await blocks until done holds for the current image or the context ends; it reports whether done held. done must not block.
func (c *MetadataCache) Await(ctx context.Context, done func() bool) bool {
	for {
		image := c.image.Load()
		if done() {
			return true
		}
		select {
		case <-image.superseded:
		case <-ctx.Done():
			return done()
		}
	}
}

// ControllerID is the broker id of the controller, -1 while unknown.
func (c *MetadataCache) ControllerID() int32 { return c.image.Load().controllerID }

// HasTopic reports whether any partition of the topic is known.
func (c *MetadataCache) HasTopic(topic string) bool { return c.image.Load().topics.get(topic) != nil }

// Topics lists the names of all topics in lexical order.
func (c *MetadataCache) Topics() []string {
	var names []string
	c.image.Load().topics.each(func(name string, _ *topicImage) { names = append(names, name) })
	slices.Sort(names)
	return names
}

// TopicID is the id of a topic, zero when the topic is unknown or has none.
func (c *MetadataCache) TopicID(topic string) protocol.TopicID {
	if t := c.image.Load().topics.get(topic); t != nil {
		return t.id
	}
	return protocol.TopicID{}
}

// TopicName finds a topic by its id.
func (c *MetadataCache) TopicName(id protocol.TopicID) (string, bool) {
	name, ok := c.image.Load().names[id[0]][id]
	return name, ok
}

// HasPartition reports whether the partition is known.
func (c *MetadataCache) HasPartition(tp protocol.TopicPartition) bool {
	_, ok := c.partition(tp)
	return ok
}

// PartitionCount is the number of known partitions of a topic, 0 for an unknown topic.
func (c *MetadataCache) PartitionCount(topic string) int32 {
	if t := c.image.Load().topics.get(topic); t != nil {
		return int32(len(t.partitions))
	}
	return 0
}

// Leader is the leader's broker id and the leader epoch of a partition. ok is false when the partition is unknown; the leader is -1 when it has none.
func (c *MetadataCache) Leader(tp protocol.TopicPartition) (leader, leaderEpoch int32, ok bool) {
	p, ok := c.partition(tp)
	return p.leader, p.leaderEpoch, ok
}

// AllLed reports whether the topic has at least n partitions and all of those have a leader.
func (c *MetadataCache) AllLed(topic string, n int32) bool {
	t := c.image.Load().topics.get(topic)
	if t == nil || int32(len(t.partitions)) < n {
		return false
	}
	return !slices.ContainsFunc(t.partitions, func(p partitionImage) bool { return p.leader == noLeader })
}

// AliveBrokers lists the ids of the live brokers in ascending order.
func (c *MetadataCache) AliveBrokers() []int32 {
	image := c.image.Load()
	ids := make([]int32, 0, len(image.brokers))
	for id := range image.brokers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Alive reports whether the cluster has the broker.
func (c *MetadataCache) Alive(broker int32) bool { return c.image.Load().brokers[broker] != nil }

// Endpoint is where a live broker is reached through the listener of that name; false when it is not alive or has no such listener.
func (c *MetadataCache) Endpoint(broker int32, listener string) (host string, port int32, ok bool) {
	e, ok := c.image.Load().endpoint(broker, listener)
	return e.host, e.port, ok
}

func (c *MetadataCache) partition(tp protocol.TopicPartition) (partitionImage, bool) {
	if t := c.image.Load().topics.get(tp.Topic); t != nil {
		if i, ok := t.find(tp.Partition); ok {
			return t.partitions[i], true
		}
	}
	return partitionImage{}, false
}

func (i *clusterImage) endpoint(broker int32, listener string) (endpoint, bool) {
	b := i.brokers[broker]
	if b == nil {
		return endpoint{}, false
	}
	e, ok := b.endpoints[listener]
	return e, ok
}

// find is the index of a partition, or where it would be inserted.
func (t *topicImage) find(partition int32) (int, bool) {
	return slices.BinarySearchFunc(t.partitions, partition, func(p partitionImage, n int32) int { return int(p.partition) - int(n) })
}

// imageUpdate fills an image that shares its maps with its predecessor: a shard is copied before it is written for the first time.
//
// A request can be overtaken: its sender gave up waiting and sent it and others over another connection, and then the first connection brings it after all. So
// a partition's state does not go back to a lower version of its znode. Apache Kafka takes it, and keeps it until the partition changes again. Only topic ids tell
// a state that is old from one of a new topic of the same name; without them everything is taken here, too.
type imageUpdate struct {
	next        *clusterImage
	topicCopied [shards]bool
	namesCopied [256]bool
}

// topicUpdate is what one request says about one topic. The id is zero in requests before version 7.
type topicUpdate struct {
	id     protocol.TopicID
	states []*kmsg.UpdateMetadataRequestTopicPartition
}

// updatedTopics brings the two shapes of the request (partitions with topic names before version 5, grouped by topic from then on) into one.
func updatedTopics(r *kmsg.UpdateMetadataRequest) map[string]*topicUpdate {
	topics := make(map[string]*topicUpdate, len(r.TopicStates))
	group := func(name string) *topicUpdate {
		t := topics[name]
		if t == nil {
			t = &topicUpdate{}
			topics[name] = t
		}
		return t
	}
	for i := range r.PartitionStates {
		t := group(r.PartitionStates[i].Topic)
		t.states = append(t.states, &r.PartitionStates[i])
	}
	for i := range r.TopicStates {
		state := &r.TopicStates[i]
		t := group(state.Topic)
		t.id = state.TopicID
		for j := range state.PartitionStates {
			t.states = append(t.states, &state.PartitionStates[j])
		}
	}
	return topics
}

// applyTopic makes the topic's next image and files it, and appends the removed partitions to deleted.
func (u *imageUpdate) applyTopic(deleted []protocol.TopicPartition, name string, update *topicUpdate) []protocol.TopicPartition {
	old := u.next.topics.get(name)
	next := &topicImage{name: name, id: update.id}
	if old != nil {
		next.partitions = slices.Clone(old.partitions)
		if next.id.IsZero() {
			next.id = old.id
		}
	}
	sameTopic := old != nil && !update.id.IsZero() && update.id == old.id
	for _, s := range update.states {
		i, known := next.find(s.Partition)
		switch {
		case s.Leader == leaderDuringDeletion:
			deleted = append(deleted, protocol.TopicPartition{Topic: name, Partition: s.Partition})
			if known {
				next.partitions = slices.Delete(next.partitions, i, i+1)
			}
		case known && sameTopic && s.ZKVersion < next.partitions[i].partitionEpoch:
			// It was overtaken: see imageUpdate.
		case known:
			next.partitions[i] = newPartitionImage(s)
		default:
			next.partitions = slices.Insert(next.partitions, i, newPartitionImage(s))
		}
	}
	if old != nil && !old.id.IsZero() && (old.id != next.id || len(next.partitions) == 0) {
		delete(u.namesOf(old.id), old.id)
	}
	topics := u.topicsOf(name)
	if len(next.partitions) == 0 {
		delete(topics, name)
		return deleted
	}
	topics[name] = next
	if !next.id.IsZero() {
		u.namesOf(next.id)[next.id] = name
	}
	return deleted
}

func (u *imageUpdate) topicsOf(name string) map[string]*topicImage {
	i := shardOf(name)
	if !u.topicCopied[i] {
		u.next.topics[i] = cloneMap(u.next.topics[i])
		u.topicCopied[i] = true
	}
	return u.next.topics[i]
}

func (u *imageUpdate) namesOf(id protocol.TopicID) map[protocol.TopicID]string {
	i := id[0]
	if !u.namesCopied[i] {
		u.next.names[i] = cloneMap(u.next.names[i])
		u.namesCopied[i] = true
	}
	return u.next.names[i]
}

func newPartitionImage(s *kmsg.UpdateMetadataRequestTopicPartition) partitionImage {
	return partitionImage{
		partition: s.Partition, leader: s.Leader, leaderEpoch: s.LeaderEpoch, partitionEpoch: s.ZKVersion, controllerEpoch: s.ControllerEpoch,
		isr: s.ISR, replicas: s.Replicas, offline: s.OfflineReplicas,
	}
}

// securityProtocols names the listeners of requests that carry only the id of a security protocol (before version 3): the listener is then named like it.
var securityProtocols = map[int16]string{0: "PLAINTEXT", 1: "SSL", 2: "SASL_PLAINTEXT", 3: "SASL_SSL"}

// brokerImages reads the live brokers of a request of any version; every request lists all of them.
func brokerImages(r *kmsg.UpdateMetadataRequest) map[int32]*brokerImage {
	brokers := make(map[int32]*brokerImage, len(r.LiveBrokers))
	for i := range r.LiveBrokers {
		b := &r.LiveBrokers[i]
		image := &brokerImage{id: b.ID, rack: b.Rack, endpoints: make(map[string]endpoint, len(b.Endpoints))}
		if r.Version == 0 {
			image.endpoints[securityProtocols[0]] = endpoint{b.Host, b.Port}
		}
		for _, e := range b.Endpoints {
			name := e.ListenerName
			if r.Version < 3 {
				name = securityProtocols[e.SecurityProtocol]
			}
			image.endpoints[name] = endpoint{e.Host, e.Port}
		}
		brokers[b.ID] = image
	}
	return brokers
}
