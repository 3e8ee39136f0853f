package replication

import (
	"slices"
	"sync"
	"sync/atomic"

	"gregor/protocol"
	"gregor/storage"
)

// Partition is one replica that lives on this broker: its role, its ISR and its log.
//
// Appends and reads hold the lock shared; changes of role and ISR hold it exclusively, so that no append of an old leader epoch can
// land in a new one. So do truncations, and the exchange of the log for its copy in another directory.
type Partition struct {
	m    *Manager
	tp   protocol.TopicPartition
	me   int32
	wait waiting

	current atomic.Pointer[Log] // never nil; replaced under mu when the log has moved to another directory

	mu struct {
		sync.RWMutex
		state  state
		leader leadership // zero while another broker leads
		future Log        // the copy of the log on its way to another directory (future.go); nil: none
		cuts   int        // counts truncations of the log
		// gone is set when the partition left this broker (StopReplica) or its directory failed; every later call answers it.
		gone protocol.ErrorCode
	}
}

// state is what the controller last told about a partition: LeaderAndIsr, and on the leader the answers to its ISR proposals.
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

// leadership is what a replica has only while it leads.
type leadership struct {
	since      int32 // first leader epoch of those that this broker led one after the other, without anybody between
	epochStart int64 // log end when the leader epoch began
	followers  []*progress
	pending    *ISRProposal // the ISR change that is not answered yet; nil: the ISR is as state says
}

// newPartition makes a replica of which the controller has told nothing yet.
func (m *Manager) newPartition(tp protocol.TopicPartition, log Log) *Partition {
	p := &Partition{m: m, tp: tp, me: m.cfg.BrokerID}
	p.current.Store(&log)
	p.mu.state.leader, p.mu.state.leaderEpoch = -1, -1
	return p
}

// TopicPartition names the partition.
func (p *Partition) TopicPartition() protocol.TopicPartition { return p.tp }

// Log is the replica's log. It is another one after the log has moved to another directory, and the one from before is closed then: who comes back to it asks anew.
func (p *Partition) Log() Log { return *p.current.Load() }

// TopicID is the topic's id as partition.metadata has it.
func (p *Partition) TopicID() protocol.TopicID { return p.Log().TopicID() }

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

// LeaderEpochStart is where the log ended when this broker's leader epoch began, -1 when another broker leads. While the high watermark is
// below it, clients could be told a smaller end than the leader before told them (KIP-207).
func (p *Partition) LeaderEpochStart() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.leadsLocked() {
		return unknownOffset
	}
	return p.mu.leader.epochStart
}

// ISR is a copy of the in-sync replicas.
func (p *Partition) ISR() []int32 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.mu.state.isr)
}

// InSync reports whether a broker's replica is in the ISR.
func (p *Partition) InSync(broker int32) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Contains(p.mu.state.isr, broker)
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
	if code := p.checkEpochLocked(epoch); code != protocol.None {
		return code
	}
	if p.mu.state.leader != p.me {
		return protocol.NotLeaderOrFollower
	}
	return protocol.None
}

// CheckReplica fences a request that a follower may answer, too (KIP-392): like CheckLeader, without NOT_LEADER_OR_FOLLOWER.
func (p *Partition) CheckReplica(epoch int32) protocol.ErrorCode {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.checkEpochLocked(epoch)
}

func (p *Partition) checkEpochLocked(epoch int32) protocol.ErrorCode {
	if p.mu.gone != protocol.None {
		return p.mu.gone
	}
	switch current := p.mu.state.leaderEpoch; {
	case epoch != -1 && epoch < current:
		return protocol.FencedLeaderEpoch
	case epoch > current:
		return protocol.UnknownLeaderEpoch
	}
	return protocol.None
}

// Append is AppendAll for one batch.
func (p *Partition) Append(set []byte, acks int16, origin storage.Origin, out *storage.AppendResult) error {
	one := []storage.Append{{Set: set}}
	p.AppendAll(one, acks, origin, nil)
	*out = one[0].AppendResult
	return one[0].Err
}

// AppendAll writes batches as leader, in order, and wakes who waits once for all of them: at once, or when wakes, if not nil, are delivered. With acks -1 it refuses with NOT_ENOUGH_REPLICAS
// before anything is written when the ISR is smaller than min.insync.replicas. Errors, in Err, are those of storage.Log.AppendAllAsLeader and of CheckLeader.
func (p *Partition) AppendAll(batches []storage.Append, acks int16, origin storage.Origin, wakes *Wakes) {
	done := p.appendAll(batches, acks, origin)
	if done.grown {
		wakes.grown(p)
	}
	if done.flushDue {
		if wakes != nil {
			wakes.Deliver() // the followers write while this disk does
		}
		done.committed = p.flushAppended(batches)
	}
	if done.committed {
		wakes.committed(p)
	}
}

// appended is what appends did to the partition.
type appended struct {
	grown     bool // the log has more records
	committed bool // the high watermark has moved
	flushDue  bool // flush.messages wants the log flushed before the watermark moves
}

// appendAll is AppendAll under the lock.
func (p *Partition) appendAll(batches []storage.Append, acks int16, origin storage.Origin) (done appended) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	code := p.checkLeaderLocked(-1)
	if code == protocol.None && acks == -1 && p.underMinISRLocked() {
		code = protocol.NotEnoughReplicas
	}
	if code != protocol.None {
		for i := range batches {
			batches[i].Err = code
		}
		return done
	}
	p.Log().AppendAllAsLeader(batches, p.mu.state.leaderEpoch, origin)
	succeeded := false
	for i := range batches {
		succeeded = succeeded || batches[i].Err == nil
		done.grown = done.grown || batches[i].Err == nil && !batches[i].Duplicate
	}
	if succeeded {
		done.flushDue = p.Log().CommitBound() < p.Log().LogEndOffset()
		done.committed = !done.flushDue && p.advanceHighWatermarkLocked()
	}
	return done
}

// flushAppended waits for the flush that flush.messages asks for, without the partition's lock: a change of role does not wait for the disk. It reports whether the high
// watermark moved then.
func (p *Partition) flushAppended(batches []storage.Append) (committed bool) {
	if err := p.flushDue(); err != nil {
		for i := range batches {
			if batches[i].Err == nil {
				batches[i].Err = err
			}
		}
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.leadsLocked() && p.advanceHighWatermarkLocked()
}

// flushDue is FlushDue of the log, whichever directory that has moved to meanwhile.
func (p *Partition) flushDue() error {
	for {
		log := p.Log()
		if err := log.FlushDue(); err == nil || p.Log() == log {
			return err
		}
	}
}

// Watch wakes w whenever what a read with this isolation may see has moved, and after a change of role. Unwatch ends that.
func (p *Partition) Watch(w *Waiter, isolation Isolation) {
	if isolation == LogEnd {
		p.wait.logEnd.add(w)
	} else {
		p.wait.watermark.add(w)
	}
}

// Unwatch undoes Watch.
func (p *Partition) Unwatch(w *Waiter) {
	p.wait.logEnd.remove(w)
	p.wait.watermark.remove(w)
}

// leave makes every later call answer code and wakes all who wait.
func (p *Partition) leave(code protocol.ErrorCode) {
	p.mu.Lock()
	p.mu.gone = code
	p.mu.leader.pending = nil
	p.mu.Unlock()
	p.wait.wakeAll()
}

// become takes over a new state from the controller, whose leader epoch is higher than the one before. As leader it starts the epoch in the log's epoch
// cache before any append can happen (KAFKA-7415).
func (p *Partition) become(s state) error {
	p.mu.Lock()
	defer p.wait.wakeAll()
	defer p.mu.Unlock()
	if s.leader != p.me {
		p.mu.state, p.mu.leader = s, leadership{}
		return nil
	}
	if err := p.Log().AssignEpochStart(s.leaderEpoch); err != nil {
		return err
	}
	p.mu.leader = p.nextLeadershipLocked(&s)
	p.mu.state = s
	p.advanceHighWatermarkLocked()
	return nil
}

// nextLeadershipLocked begins a leader epoch. Only when it follows directly on one that this broker led nobody else can have led in between: what is known
// of the followers' logs still holds then, and so does what was appended.
func (p *Partition) nextLeadershipLocked(s *state) leadership {
	old, now := &p.mu.leader, p.m.cfg.Clock()
	same := p.leadsLocked() && s.leaderEpoch == p.mu.state.leaderEpoch+1
	next := leadership{since: s.leaderEpoch, epochStart: p.Log().LogEndOffset()}
	if same {
		next.since = old.since
	}
	for _, id := range s.replicas {
		if id == p.me {
			continue
		}
		r := old.follower(id)
		if r == nil || !same {
			r = newProgress(id)
		}
		r.leaderEpochBegins(same, slices.Contains(s.isr, id), next.epochStart, now)
		next.followers = append(next.followers, r)
	}
	return next
}

// follower is what is known of another replica; nil when the broker has none in the assignment.
func (l *leadership) follower(id int32) *progress {
	for _, r := range l.followers {
		if r.id == id {
			return r
		}
	}
	return nil
}

// snapshot is the state in force. Its slices are never changed in place.
func (p *Partition) snapshot() state {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mu.state
}
