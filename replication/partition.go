package replication

import (
	"context"
	"slices"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

// Partition is one replica that lives on this broker: its role, its ISR and its log.
//
// Appends and reads hold the lock shared; changes of role and ISR hold it exclusively, so that no append of an old leader epoch can
// land in a new one.
type Partition struct {
	tp   protocol.TopicPartition
	me   int32
	log  Log
	wait watchers

	mu struct {
		sync.RWMutex
		state state
		// gone is set when the partition left this broker (StopReplica) or its directory failed; every later call answers it.
		gone protocol.ErrorCode
	}
}

// state is what the controller last told about a partition (LeaderAndIsr).
type state struct {
	controllerEpoch int32
	leader          int32
	leaderEpoch     int32
	partitionEpoch  int32 // dataVersion of the state znode
	isr             []int32
	replicas        []int32
	adding          []int32
	removing        []int32
}

// TopicPartition names the partition.
func (p *Partition) TopicPartition() protocol.TopicPartition { return p.tp }

// Log is the replica's log.
func (p *Partition) Log() Log { return p.log }

// TopicID is the topic's id as partition.metadata has it.
func (p *Partition) TopicID() protocol.TopicID { return p.log.TopicID() }

// IsLeader reports whether this broker leads the partition.
func (p *Partition) IsLeader() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.leadsLocked()
}

func (p *Partition) leadsLocked() bool {
	return p.mu.gone == protocol.None && p.mu.state.leader == p.me
}

// Leader returns the leader's broker id (-1 none) and the leader epoch.
func (p *Partition) Leader() (id, epoch int32) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mu.state.leader, p.mu.state.leaderEpoch
}

// LeaderEpoch is the leader epoch the controller last announced.
func (p *Partition) LeaderEpoch() int32 {
	_, epoch := p.Leader()
	return epoch
}

// ISR is a copy of the in-sync replicas.
func (p *Partition) ISR() []int32 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.mu.state.isr)
}

// Replicas is a copy of the assignment.
func (p *Partition) Replicas() []int32 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.mu.state.replicas)
}

// CheckLeader fences a request (KIP-320): None when this broker leads and epoch is -1 or current, otherwise NOT_LEADER_OR_FOLLOWER,
// FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
func (p *Partition) CheckLeader(epoch int32) protocol.ErrorCode {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.checkLeaderLocked(epoch)
}

func (p *Partition) checkLeaderLocked(epoch int32) protocol.ErrorCode {
	if p.mu.gone != protocol.None {
		return p.mu.gone
	}
	switch current := p.mu.state.leaderEpoch; {
	case epoch != -1 && epoch < current:
		return protocol.FencedLeaderEpoch
	case epoch > current:
		return protocol.UnknownLeaderEpoch
	case p.mu.state.leader != p.me:
		return protocol.NotLeaderOrFollower
	}
	return protocol.None
}

// Append writes one batch as leader. With acks -1 it refuses with NOT_ENOUGH_REPLICAS before anything is written when the ISR is
// smaller than min.insync.replicas. Errors are those of storage.Log.AppendAsLeader and of CheckLeader.
func (p *Partition) Append(set []byte, acks int16, origin storage.Origin, out *storage.AppendResult) error {
	p.mu.RLock()
	if code := p.checkLeaderLocked(-1); code != protocol.None {
		p.mu.RUnlock()
		return code
	}
	if acks == -1 && len(p.mu.state.isr) < p.effectiveMinISRLocked() {
		p.mu.RUnlock()
		return protocol.NotEnoughReplicas
	}
	err := p.log.AppendAsLeader(set, p.mu.state.leaderEpoch, origin, out)
	if err == nil {
		p.advanceHighWatermarkLocked()
	}
	p.mu.RUnlock()
	if err == nil && !out.Duplicate {
		p.wait.wakeAll()
	}
	return err
}

// effectiveMinISRLocked is min.insync.replicas, but never more than there are replicas.
func (p *Partition) effectiveMinISRLocked() int {
	return min(int(p.log.Config().MinInsyncReplicas), len(p.mu.state.replicas))
}

// advanceHighWatermarkLocked raises the high watermark to what the whole ISR has. A leader that is alone in the ISR commits at once; the
// watermark stands still while the ISR is below min.insync.replicas (KAFKA-15583).
func (p *Partition) advanceHighWatermarkLocked() {
	isr := p.mu.state.isr
	if len(isr) == 1 && isr[0] == p.me && len(isr) >= p.effectiveMinISRLocked() {
		p.log.SetHighWatermark(p.log.LogEndOffset())
	}
}

// committed reports whether an acks=-1 append that ends at lastOffset may be acknowledged: None when yes, an error code when it never
// will be, and ok false while it still has to wait.
func (p *Partition) committed(lastOffset int64, leaderEpoch int32) (code protocol.ErrorCode, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.leadsLocked() || p.mu.state.leaderEpoch != leaderEpoch {
		return protocol.NotLeaderOrFollower, true
	}
	if p.log.HighWatermark() <= lastOffset {
		return protocol.None, false
	}
	if len(p.mu.state.isr) < p.effectiveMinISRLocked() {
		return protocol.NotEnoughReplicasAfterAppend, true
	}
	return protocol.None, true
}

// Committed reports, without waiting, whether an acks=-1 append that ends at lastOffset is committed.
func (p *Partition) Committed(lastOffset int64) bool { return p.log.HighWatermark() > lastOffset }

// WaitCommitted waits until the high watermark passes lastOffset. It returns None, REQUEST_TIMED_OUT at the deadline or when ctx ends,
// NOT_ENOUGH_REPLICAS_AFTER_APPEND, or NOT_LEADER_OR_FOLLOWER when leadership moved meanwhile.
func (p *Partition) WaitCommitted(ctx context.Context, lastOffset int64, leaderEpoch int32, timeout time.Duration) protocol.ErrorCode {
	if code, ok := p.committed(lastOffset, leaderEpoch); ok {
		return code
	}
	w := NewWaiter()
	p.wait.add(w)
	defer p.wait.remove(w)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		if code, ok := p.committed(lastOffset, leaderEpoch); ok {
			return code
		}
		select {
		case <-w.C:
		case <-timer.C:
			return protocol.RequestTimedOut
		case <-ctx.Done():
			return protocol.RequestTimedOut
		}
	}
}

// Isolation bounds what a read may see.
type Isolation int8

const (
	LogEnd           Isolation = iota // a replica, or a debugging consumer
	HighWatermark                     // read_uncommitted
	LastStableOffset                  // read_committed
)

// Read is one partition's part of a fetch. Result's slice is the caller's to release.
type Read struct {
	Result           storage.ReadResult
	Diverging        bool // the reader's log ends otherwise than ours: DivergingEpoch and DivergingEnd say where to truncate, nothing was read
	DivergingEpoch   int32
	DivergingEnd     int64
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
}

// Ask is what a fetch wants of one partition.
type Ask struct {
	Offset             int64
	CurrentLeaderEpoch int32 // -1: not checked
	LastFetchedEpoch   int32 // -1: the reader does not know its log's last epoch, or does not want it compared (KIP-595)
	Isolation          Isolation
	MaxBytes           int
	MinOneBatch        bool // the first batch comes whole even when larger than MaxBytes
}

// Read reads up to what the isolation allows. Errors: those of CheckLeader, OFFSET_OUT_OF_RANGE, storage.ErrStorage.
func (p *Partition) Read(ask Ask, out *Read) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if code := p.checkLeaderLocked(ask.CurrentLeaderEpoch); code != protocol.None {
		return code
	}
	out.LogStartOffset = p.log.LogStartOffset()
	// The watermark is read once: a second look could be later than what is read (KAFKA-9807).
	out.HighWatermark = p.log.HighWatermark()
	out.LastStableOffset = min(p.log.LastStableOffset(), out.HighWatermark)
	out.Diverging = false
	if ask.LastFetchedEpoch != -1 {
		if err := p.compareEpoch(ask, out); err != nil || out.Diverging {
			return err
		}
	}
	maxOffset := out.HighWatermark
	switch ask.Isolation {
	case LogEnd:
		maxOffset = p.log.LogEndOffset()
	case LastStableOffset:
		maxOffset = out.LastStableOffset
	}
	return p.log.Read(ask.Offset, ask.MaxBytes, maxOffset, ask.MinOneBatch, &out.Result)
}

// compareEpoch finds out whether the reader's log, which ends at ask.Offset in ask.LastFetchedEpoch, is a prefix of ours. OFFSET_OUT_OF_RANGE beats divergence (KAFKA-12996).
func (p *Partition) compareEpoch(ask Ask, out *Read) error {
	epoch, end := p.log.EndOffsetForEpoch(ask.LastFetchedEpoch)
	if epoch == -1 || end < 0 || ask.Offset < out.LogStartOffset {
		return protocol.OffsetOutOfRange
	}
	if epoch < ask.LastFetchedEpoch || end < ask.Offset {
		out.Diverging, out.DivergingEpoch, out.DivergingEnd = true, epoch, end
	}
	return nil
}

// DeleteRecords raises the log start offset (-1: to the high watermark) and returns the new low watermark. Errors: those of CheckLeader, OFFSET_OUT_OF_RANGE.
func (p *Partition) DeleteRecords(before int64) (lowWatermark int64, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if code := p.checkLeaderLocked(-1); code != protocol.None {
		return -1, code
	}
	if before == -1 {
		before = p.log.HighWatermark()
	}
	if before < 0 || before > p.log.HighWatermark() {
		return -1, protocol.OffsetOutOfRange
	}
	if err := p.log.IncrementLogStartOffset(before); err != nil {
		return -1, err
	}
	return p.log.LogStartOffset(), nil
}

// Watch wakes w whenever the partition moves: an append, a higher watermark, a change of role. Unwatch ends that.
func (p *Partition) Watch(w *Waiter)   { p.wait.add(w) }
func (p *Partition) Unwatch(w *Waiter) { p.wait.remove(w) }

// leave makes every later call answer code and wakes all who wait.
func (p *Partition) leave(code protocol.ErrorCode) {
	p.mu.Lock()
	p.mu.gone = code
	p.mu.Unlock()
	p.wait.wakeAll()
}

// become takes over a new state from the controller. As leader it starts the epoch in the log's epoch cache before any append can happen
// (KAFKA-7415).
func (p *Partition) become(s state) error {
	p.mu.Lock()
	defer p.wait.wakeAll()
	defer p.mu.Unlock()
	if s.leader == p.me {
		if err := p.log.AssignEpochStart(s.leaderEpoch); err != nil {
			return err
		}
	}
	p.mu.state = s
	if s.leader == p.me {
		p.advanceHighWatermarkLocked()
	}
	return nil
}

// snapshot is the state in force. Its slices are never changed in place.
func (p *Partition) snapshot() state {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mu.state
}
