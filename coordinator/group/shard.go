package group

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// shard holds the groups of one partition of __consumer_offsets for one term of leadership.
type shard struct {
	partition int32
	epoch     atomic.Int32 // leader epoch
	loaded    atomic.Bool  // the groups are complete and can be served
	ctx       context.Context
	cancel    context.CancelFunc

	closed atomic.Bool // the term is over: nothing more is appended, no group is made
	// appends counts the batches on their way to the log, so that whoever loads the partition anew can wait until nothing of
	// this term comes into the log any more.
	appends struct {
		sync.Mutex
		n    int
		none *sync.Cond // n has become 0
	}
	// loadEnded is closed when nothing loads this term any more.
	loadEnded chan struct{}

	mu struct {
		sync.RWMutex
		groups map[string]*slot
	}
}

func newShard(parent context.Context, partition, epoch int32) *shard {
	sh := &shard{partition: partition, loadEnded: make(chan struct{})}
	sh.appends.none = sync.NewCond(&sh.appends)
	sh.epoch.Store(epoch)
	sh.ctx, sh.cancel = context.WithCancel(parent)
	sh.mu.groups = map[string]*slot{}
	return sh
}

// beginAppend asks to append; endAppend must follow when it may.
func (sh *shard) beginAppend() bool {
	sh.appends.Lock()
	defer sh.appends.Unlock()
	if sh.closed.Load() {
		return false
	}
	sh.appends.n++
	return true
}

func (sh *shard) endAppend() {
	sh.appends.Lock()
	defer sh.appends.Unlock()
	if sh.appends.n--; sh.appends.n == 0 {
		sh.appends.none.Broadcast()
	}
}

// quiesce waits until nothing of a closed term is on its way to the log.
func (sh *shard) quiesce() {
	sh.appends.Lock()
	defer sh.appends.Unlock()
	for sh.appends.n > 0 {
		sh.appends.none.Wait()
	}
}

// get finds a group, nil without one.
func (sh *shard) get(id string) *slot {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.mu.groups[id]
}

// getOrCreate finds a group or makes an empty one. It is nil when the term has ended.
func (sh *shard) getOrCreate(id string, r *rules, now int64) *slot {
	if s := sh.get(id); s != nil {
		return s
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed.Load() {
		return nil
	}
	s := sh.mu.groups[id]
	if s == nil {
		s = newSlot(sh, newGroup(id, sh.partition, r, now))
		sh.mu.groups[id] = s
	}
	return s
}

func (sh *shard) remove(s *slot) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.mu.groups[s.id] == s {
		delete(sh.mu.groups, s.id)
	}
}

func (sh *shard) all() []*slot {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	list := make([]*slot, 0, len(sh.mu.groups))
	for _, s := range sh.mu.groups {
		list = append(list, s)
	}
	return list
}

// Elected tells that this broker leads a partition of __consumer_offsets since leaderEpoch. The groups are loaded in the
// background; the newest epoch wins. When the epoch follows immediately on one that this broker led too, nobody else can
// have led in between, and the groups stay as they are.
func (c *Coordinator) Elected(partition, leaderEpoch int32) {
	c.groupLog.Info(c.groupIdent + fmt.Sprintf("Elected as the group coordinator for partition %d in epoch %d", partition, leaderEpoch))
	c.mu.Lock()
	old := c.mu.shards[partition]
	led := old != nil && !old.closed.Load()
	known, heard := c.mu.epochs[partition]
	if c.mu.stopped || heard && (leaderEpoch < known || leaderEpoch == known && led) {
		c.mu.Unlock()
		c.storeLog.Info(c.storeIdent + fmt.Sprintf("Not loading offsets and group metadata for %s-%d in epoch %d since current epoch is %d", offsetsTopic, partition, leaderEpoch, known))
		return
	}
	c.mu.epochs[partition] = leaderEpoch
	if led && leaderEpoch == old.epoch.Load()+1 {
		old.epoch.Store(leaderEpoch)
		c.mu.Unlock()
		return
	}
	if led {
		old.closed.Store(true)
	}
	sh := newShard(c.ctx, partition, leaderEpoch)
	c.mu.shards[partition] = sh
	c.running.Go(func() { c.load(sh, old) })
	c.mu.Unlock()
	c.storeLog.Info(c.storeIdent + fmt.Sprintf("Scheduling loading of offsets and group metadata from %s-%d for epoch %d", offsetsTopic, partition, leaderEpoch))
	if led {
		c.unload(old)
	}
}

// Resigned tells that this broker does not lead the partition any more: because another does since leaderEpoch, or because
// the replica was stopped. Then leaderEpoch may be that of its own term, or negative when the partition is gone, and what
// comes after counts its epochs anew.
func (c *Coordinator) Resigned(partition, leaderEpoch int32) {
	c.groupLog.Info(c.groupIdent + fmt.Sprintf("Resigned as the group coordinator for partition %d in epoch %d", partition, leaderEpoch))
	c.mu.Lock()
	if known := c.mu.epochs[partition]; leaderEpoch >= 0 && leaderEpoch < known {
		c.mu.Unlock()
		c.storeLog.Info(c.storeIdent + fmt.Sprintf("Not removing offsets and group metadata for %s-%d in epoch %d since current epoch is %d", offsetsTopic, partition, leaderEpoch, known))
		return
	}
	if leaderEpoch >= 0 {
		c.mu.epochs[partition] = leaderEpoch
	} else {
		delete(c.mu.epochs, partition)
	}
	sh := c.mu.shards[partition]
	led := sh != nil && !sh.closed.Swap(true)
	c.mu.Unlock()
	if led {
		c.unload(sh)
	}
}

// unload ends a term that was closed: everybody who waits is told NOT_COORDINATOR.
func (c *Coordinator) unload(sh *shard) {
	sh.cancel()
	groups := sh.all()
	for _, s := range groups {
		s.do(c, func(g *group, _ int64, out *effects) { g.unload(out) })
	}
	sh.mu.Lock()
	sh.mu.groups = map[string]*slot{}
	sh.mu.Unlock()
	c.storeLog.Info(c.storeIdent + fmt.Sprintf("Finished unloading %s-%d. Removed %d cached groups.", offsetsTopic, sh.partition, len(groups)))
}

// loadRetryDelay is the pause after a load that failed.
const loadRetryDelay = time.Second

// load fills a shard from the log. It waits first until the former term, if any, has written its last. While it fails the
// shard stays "loading": an answer without the offsets would send consumers to auto.offset.reset. (Kafka serves what it has
// read so far.)
func (c *Coordinator) load(sh, old *shard) {
	defer close(sh.loadEnded)
	if old != nil {
		<-old.loadEnded // it waits for the term before it
		old.quiesce()
	}
	for !c.tryLoad(sh) {
		select {
		case <-time.After(loadRetryDelay):
		case <-sh.ctx.Done():
			return
		}
	}
}

// tryLoad reports false when it is to be tried again.
func (c *Coordinator) tryLoad(sh *shard) bool {
	scheduled := c.now()
	select {
	case c.loaders <- struct{}{}:
	case <-sh.ctx.Done():
		return true
	}
	defer func() { <-c.loaders }()
	started := c.now()
	r, err := load(sh.ctx, c.log, sh.partition)
	if sh.ctx.Err() != nil {
		return true
	}
	if err != nil {
		c.storeLog.Error(c.storeIdent + fmt.Sprintf("Error loading offsets from %s-%d: %v", offsetsTopic, sh.partition, err))
		return false
	}
	if r.skipped > 0 {
		c.storeLog.Error(c.storeIdent + fmt.Sprintf("Skipped %d records of %s-%d that cannot be read, the first: %v",
			r.skipped, offsetsTopic, sh.partition, r.first))
	}
	c.install(sh, r)
	ended := c.now()
	c.storeLog.Info(c.storeIdent + fmt.Sprintf("Finished loading offsets and group metadata from %s-%d in %d milliseconds for epoch %d, of which %d milliseconds was spent in the scheduler.",
		offsetsTopic, sh.partition, ended-scheduled, sh.epoch.Load(), started-scheduled))
	return true
}

// install puts the groups that were read into the shard and lets it be served.
func (c *Coordinator) install(sh *shard, r *replay) {
	groups := r.build(sh.partition, &c.rules, c.now())
	slots := make([]*slot, 0, len(groups))
	sh.mu.Lock()
	if sh.closed.Load() {
		sh.mu.Unlock()
		return
	}
	for id, g := range groups {
		s := newSlot(sh, g)
		sh.mu.groups[id] = s
		slots = append(slots, s)
	}
	sh.mu.Unlock()
	for _, s := range slots {
		s.do(c, func(g *group, now int64, out *effects) {
			if !g.is(Dead) {
				g.resume(now, out)
			}
		})
	}
	sh.loaded.Store(true)
}
