// Package group is the classic consumer group coordinator of Kafka 3.9 (ZooKeeper mode): who is in a group, who consumes
// what, and how far each group has come, all of it kept in the topic __consumer_offsets.
//
// It has a pure core and a thin shell. The core is the type group (group.go, join.go, sync.go, rebalance.go, membership.go,
// offsets.go, expire.go, timeouts.go): one state machine per group without clock, I/O or lock; an event and the time go in,
// effects come out (effects.go). The shell gives every group a lock and a queue of writes (slot.go), puts groups into the
// shard of their partition (shard.go), loads shards from the log (load.go), and wakes groups at their deadlines (timers.go).
// Above it stands one file per API, named after it.
package group

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gregor/protocol"
)

// Coordinator serves all groups whose __consumer_offsets partition this broker leads. Every method may block until its answer
// is due; ctx ends when the client's connection closes. Methods answer COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR and
// COORDINATOR_LOAD_IN_PROGRESS themselves. It is safe for concurrent use.
//
// Lock order: slot, then shard; Coordinator.mu is never held with either.
type Coordinator struct {
	config Config
	rules  rules
	log    Log
	timers timers

	groupLog   *slog.Logger // kafka.coordinator.group.GroupCoordinator
	groupIdent string       // what every line of it begins with
	storeLog   *slog.Logger // kafka.coordinator.group.GroupMetadataManager
	storeIdent string

	active atomic.Bool // between Start and Stop
	ctx    context.Context
	cancel context.CancelFunc
	// loaders bounds how many partitions are loaded at once.
	loaders chan struct{}

	mu struct {
		sync.RWMutex
		shards  map[int32]*shard // newest term of every partition that this broker ever led: loading, loaded or closed
		epochs  map[int32]int32  // newest leader epoch that was heard of a partition
		stopped bool             // no goroutine may start any more
	}
	running sync.WaitGroup // all goroutines of the coordinator
}

// concurrentLoads is how many partitions are loaded at once: a load decodes, so more than a few only compete.
const concurrentLoads = 4

// New makes a coordinator that leads nothing yet. It serves after Start.
func New(c Config, l Log) *Coordinator {
	c = c.withDefaults()
	co := &Coordinator{
		config: c, log: l,
		rules: rules{
			initialRebalanceDelayMs: int64(c.InitialRebalanceDelayMs),
			maxSize:                 int(c.MaxSize),
			offsetMetadataMax:       int(c.OffsetMetadataMaxBytes),
			offsetsRetentionMs:      c.OffsetsRetentionMs,
			offsetValueVersion:      c.OffsetValueVersion,
			groupValueVersion:       c.GroupValueVersion,
		},
		groupLog:   c.Logger("kafka.coordinator.group.GroupCoordinator"),
		groupIdent: "[GroupCoordinator " + strconv.Itoa(int(c.BrokerID)) + "]: ",
		storeLog:   c.Logger("kafka.coordinator.group.GroupMetadataManager"),
		storeIdent: "[GroupMetadataManager brokerId=" + strconv.Itoa(int(c.BrokerID)) + "] ",
		loaders:    make(chan struct{}, concurrentLoads),
	}
	co.mu.shards, co.mu.epochs = map[int32]*shard{}, map[int32]int32{}
	co.timers.init()
	co.ctx, co.cancel = context.WithCancel(context.Background())
	return co
}

// Start begins to serve. Elected may be called before.
func (c *Coordinator) Start() {
	c.groupLog.Info(c.groupIdent + "Starting up.")
	c.active.Store(true)
	c.spawn(c.runTimers)
	c.spawn(c.runExpiry)
	c.groupLog.Info(c.groupIdent + "Startup complete.")
}

// Stop answers everybody who waits and ends all goroutines. The coordinator cannot be started again.
func (c *Coordinator) Stop() {
	c.groupLog.Info(c.groupIdent + "Shutting down.")
	c.active.Store(false)
	c.mu.Lock()
	c.mu.stopped = true
	var open []*shard
	for _, sh := range c.mu.shards {
		if !sh.closed.Swap(true) {
			open = append(open, sh)
		}
	}
	c.mu.Unlock()
	for _, sh := range open {
		c.unload(sh)
	}
	c.cancel()
	c.running.Wait()
	c.groupLog.Info(c.groupIdent + "Shutdown complete.")
}

// spawn runs f in a goroutine that Stop waits for. After Stop it reports false and does nothing.
func (c *Coordinator) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.stopped {
		return false
	}
	c.running.Go(f)
	return true
}

// PartitionFor is the __consumer_offsets partition of a group.
func (c *Coordinator) PartitionFor(group string) int32 { return partitionOf(group, c.log.Partitions()) }

func (c *Coordinator) now() int64 { return c.config.Clock().UnixMilli() }

// until is how long a deadline is away.
func (c *Coordinator) until(at int64) time.Duration {
	if at == never {
		return never
	}
	return time.Duration(max(at-c.now(), 0)) * time.Millisecond
}

// locate finds the shard of a group and checks that it can be served. Only the APIs that have to do with offsets alone know
// the empty group id; Kafka keeps it for simple consumers of old.
func (c *Coordinator) locate(group string, emptyAllowed bool) (*shard, protocol.ErrorCode) {
	if group == "" && !emptyAllowed || len(group) > maxString {
		return nil, protocol.InvalidGroupID
	}
	if !c.active.Load() {
		return nil, protocol.CoordinatorNotAvailable
	}
	partition := c.PartitionFor(group)
	c.mu.RLock()
	sh := c.mu.shards[partition]
	c.mu.RUnlock()
	switch {
	case sh == nil || sh.closed.Load():
		return nil, protocol.NotCoordinator
	case !sh.loaded.Load():
		return nil, protocol.CoordinatorLoadInProgress
	}
	return sh, protocol.None
}

// unsupportedStatic tells that the cluster cannot keep static members yet (inter.broker.protocol.version below 2.3, KIP-345).
func (c *Coordinator) unsupportedStatic(instanceID *string) bool {
	return instanceID != nil && c.config.GroupValueVersion < 3
}

// find is locate and the group itself, which is nil when there is none.
func (c *Coordinator) find(group string, emptyAllowed bool) (*slot, protocol.ErrorCode) {
	sh, code := c.locate(group, emptyAllowed)
	if code != protocol.None {
		return nil, code
	}
	s := sh.get(group)
	if s == nil && sh.closed.Load() {
		return nil, protocol.NotCoordinator
	}
	return s, protocol.None
}

// findOrCreate is locate and the group itself, which is made when there is none.
func (c *Coordinator) findOrCreate(group string, emptyAllowed bool) (*slot, protocol.ErrorCode) {
	sh, code := c.locate(group, emptyAllowed)
	if code != protocol.None {
		return nil, code
	}
	s := sh.getOrCreate(group, &c.rules, c.now())
	if s == nil {
		return nil, protocol.NotCoordinator
	}
	return s, protocol.None
}

// allShards lists the partitions that are led, and tells whether one of them is still being loaded.
func (c *Coordinator) allShards() (list []*shard, loading bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, sh := range c.mu.shards {
		switch {
		case sh.closed.Load():
		case sh.loaded.Load():
			list = append(list, sh)
		default:
			loading = true
		}
	}
	return list, loading
}
