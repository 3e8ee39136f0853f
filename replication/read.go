package replication

import (
	"slices"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

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
	MinOneBatch        bool           // the first batch comes whole even when larger than MaxBytes
	AnyReplica         bool           // a follower may answer, too (KIP-392)
	Follower           *FollowerFetch // the replica that fetches; nil: a client
}

// Read reads up to what the isolation allows, and records where a follower's log ends. Errors: those of CheckLeader, OFFSET_OUT_OF_RANGE,
// storage.ErrStorage; for a replica outside the assignment NOT_LEADER_OR_FOLLOWER, or UNKNOWN_LEADER_EPOCH when it names our leader epoch.
func (p *Partition) Read(ask Ask, out *Read) error {
	if ask.Follower == nil {
		p.mu.RLock()
		defer p.mu.RUnlock()
		return p.readLocked(&ask, nil, out)
	}
	var seen effect
	p.mu.RLock()
	err := p.readLocked(&ask, &seen, out)
	p.mu.RUnlock()
	if seen.committed {
		ask.Follower.Wakes.committed(p)
	}
	if seen.joins {
		p.expandISR(ask.Follower.ID)
	}
	return err
}

// effect is what a follower's fetch brings about.
type effect struct {
	committed bool // the high watermark or the low watermark may have moved
	joins     bool // the follower is to be proposed for the ISR
}

func (p *Partition) readLocked(ask *Ask, seen *effect, out *Read) error {
	code := p.checkEpochLocked(ask.CurrentLeaderEpoch)
	if code == protocol.None && !ask.AnyReplica && p.mu.state.leader != p.me {
		code = protocol.NotLeaderOrFollower
	}
	if code != protocol.None {
		return code
	}
	var follower *progress
	if ask.Follower != nil {
		if follower = p.mu.leader.follower(ask.Follower.ID); follower == nil {
			return outsideAssignment(ask.CurrentLeaderEpoch)
		}
	}
	out.LogStartOffset = p.Log().LogStartOffset()
	out.Diverging = false
	if ask.LastFetchedEpoch != -1 {
		if err := p.compareEpoch(ask, out); err != nil || out.Diverging {
			// A log that differs from ours says nothing about what the follower has of ours (KAFKA-13141).
			p.offsetsLocked(out)
			return err
		}
	}
	if follower != nil {
		if err := p.recordLocked(ask, follower, out.LogStartOffset, seen); err != nil {
			return err
		}
	}
	p.offsetsLocked(out)
	maxOffset := out.HighWatermark
	switch ask.Isolation {
	case LogEnd:
		maxOffset = p.Log().LogEndOffset()
	case LastStableOffset:
		maxOffset = out.LastStableOffset
	}
	return p.Log().Read(ask.Offset, ask.MaxBytes, maxOffset, ask.MinOneBatch, &out.Result)
}

// outsideAssignment answers a replica that the leader does not know. One that knows our leader epoch has heard of an assignment that we have not heard of yet:
// it is to try again.
func outsideAssignment(currentLeaderEpoch int32) protocol.ErrorCode {
	if currentLeaderEpoch != -1 {
		return protocol.UnknownLeaderEpoch
	}
	return protocol.NotLeaderOrFollower
}

// recordLocked takes down where the follower's log ends, which is where it fetches from. That comes before the watermark is read, so that the answer brings the
// follower the newest one.
func (p *Partition) recordLocked(ask *Ask, r *progress, logStart int64, seen *effect) error {
	end := p.Log().LogEndOffset()
	if ask.Offset < logStart || ask.Offset > end {
		return protocol.OffsetOutOfRange
	}
	if ask.Follower.Recorded {
		return nil
	}
	ask.Follower.Recorded = true
	endMoved, startMoved, code := r.record(ask.Follower, ask.Offset, end, p.m.cfg.Clock())
	if code != protocol.None {
		return code
	}
	seen.committed = startMoved
	if endMoved && p.advanceHighWatermarkLocked() {
		seen.committed = true
	}
	seen.joins = p.joinsLocked(r)
	return nil
}

// compareEpoch finds out whether the reader's log, which ends at ask.Offset in ask.LastFetchedEpoch, is a prefix of ours. OFFSET_OUT_OF_RANGE beats divergence (KAFKA-12996).
func (p *Partition) compareEpoch(ask *Ask, out *Read) error {
	epoch, end := p.Log().EndOffsetForEpoch(ask.LastFetchedEpoch)
	if epoch == -1 || end < 0 || ask.Offset < out.LogStartOffset {
		return protocol.OffsetOutOfRange
	}
	if epoch < ask.LastFetchedEpoch || end < ask.Offset {
		out.Diverging, out.DivergingEpoch, out.DivergingEnd = true, epoch, end
	}
	return nil
}

// ReadReplica is a replica that a consumer may fetch from.
type ReadReplica struct {
	ID           int32
	LogEndOffset int64
	LastCaughtUp time.Time // of the leader: zero
}

// ReadReplicas lists who can serve a fetch from offset on: this leader, then the in-sync followers that have the offset as far as their fetches told. A follower outside the
// ISR may lag without end, and its consumers with it. Nil when another broker leads.
func (p *Partition) ReadReplicas(offset int64) []ReadReplica {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.leadsLocked() {
		return nil
	}
	replicas := []ReadReplica{{ID: p.me, LogEndOffset: p.Log().LogEndOffset()}}
	for _, r := range p.mu.leader.followers {
		s := r.snapshot()
		if slices.Contains(p.mu.state.isr, r.id) && s.LogEndOffset >= offset && s.LogStartOffset <= offset {
			replicas = append(replicas, ReadReplica{ID: r.id, LogEndOffset: s.LogEndOffset, LastCaughtUp: s.LastCaughtUp})
		}
	}
	return replicas
}

// Offsets fills in the offsets of a read that reads nothing, of any replica. Codes: those of CheckReplica.
func (p *Partition) Offsets(currentLeaderEpoch int32, out *Read) protocol.ErrorCode {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if code := p.checkEpochLocked(currentLeaderEpoch); code != protocol.None {
		return code
	}
	p.offsetsLocked(out)
	return protocol.None
}

// offsetsLocked reads the watermark once: a second look could be later than what is read (KAFKA-9807).
func (p *Partition) offsetsLocked(out *Read) {
	out.LogStartOffset = p.Log().LogStartOffset()
	out.HighWatermark = p.Log().HighWatermark()
	out.LastStableOffset = min(p.Log().LastStableOffset(), out.HighWatermark)
}
