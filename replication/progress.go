package replication

import (
	"sync"
	"time"

	"gregor/protocol"
)

// unknownOffset stands for an offset that a follower has not told yet.
const unknownOffset int64 = -1

// FollowerFetch is what a fetch says about the replica it comes from.
type FollowerFetch struct {
	ID             int32
	BrokerEpoch    int64  // of the life of the follower's broker (KIP-903); -1: not told, below Fetch v15
	LogStartOffset int64  // -1: not told, below Fetch v5
	Recorded       bool   // the position was recorded by an earlier look of the same fetch, which is no news of the follower
	Wakes          *Wakes // where the waiters go that its position wakes; nil: they are woken at once
}

// ReplicaProgress is what a leader knows about another replica of its partition, from that replica's fetches.
type ReplicaProgress struct {
	LogEndOffset   int64 // unknownOffset until the first fetch
	LogStartOffset int64 // unknownOffset until told
	BrokerEpoch    int64 // that the last fetch carried, -1 none
	// LastCaughtUp is the latest time at which the replica is known to have had everything the leader then had; zero: never while we lead.
	LastCaughtUp time.Time

	lastFetch        time.Time
	leaderEndAtFetch int64 // the leader's log end at the time of lastFetch
}

// progress is a ReplicaProgress that changes.
type progress struct {
	id int32
	mu struct {
		sync.Mutex
		s ReplicaProgress
	}
}

func newProgress(id int32) *progress {
	r := &progress{id: id}
	r.mu.s = ReplicaProgress{LogEndOffset: unknownOffset, LogStartOffset: unknownOffset, BrokerEpoch: -1, leaderEndAtFetch: unknownOffset}
	return r
}

func (r *progress) snapshot() ReplicaProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.s
}

// record takes over what a fetch from offset on says, at a moment when the leader's log ended at leaderEnd. A fetch of an earlier life of the
// follower's broker is NOT_LEADER_OR_FOLLOWER and says nothing: what that life had may be lost (KAFKA-14617).
//
// A follower that fetches from where the log ended at its previous fetch was caught up at the time of that fetch, although the log has grown since: that is
// how one that is always a little behind stays in sync.
func (r *progress) record(f *FollowerFetch, offset, leaderEnd int64, now time.Time) (endMoved, startMoved bool, code protocol.ErrorCode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.mu.s
	if f.BrokerEpoch != -1 && f.BrokerEpoch < s.BrokerEpoch {
		return false, false, protocol.NotLeaderOrFollower
	}
	switch {
	case offset >= leaderEnd:
		s.LastCaughtUp = later(s.LastCaughtUp, now)
	case offset >= s.leaderEndAtFetch:
		s.LastCaughtUp = later(s.LastCaughtUp, s.lastFetch)
	}
	endMoved, startMoved = s.LogEndOffset != offset, s.LogStartOffset != f.LogStartOffset
	s.LogEndOffset, s.LogStartOffset, s.BrokerEpoch = offset, f.LogStartOffset, f.BrokerEpoch
	s.leaderEndAtFetch, s.lastFetch = max(leaderEnd, s.leaderEndAtFetch), now
	return endMoved, startMoved, protocol.None
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// leaderEpochBegins starts over at a new leader epoch, in which a replica of the ISR counts as caught up now. The offsets stay when the leader stays: its log
// has only grown.
func (r *progress) leaderEpochBegins(sameLeader, inSync bool, leaderEnd int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.mu.s
	s.LastCaughtUp, s.lastFetch = time.Time{}, time.Time{}
	if inSync {
		s.LastCaughtUp = now
	}
	if !sameLeader {
		s.LogEndOffset, s.LogStartOffset, s.BrokerEpoch, s.leaderEndAtFetch = unknownOffset, unknownOffset, -1, unknownOffset
		return
	}
	s.leaderEndAtFetch = leaderEnd
	if inSync {
		s.lastFetch = now
	}
}

// caughtUp reports whether the replica has what the leader has, or had it at most maxLag (replica.lag.time.max.ms) ago. One at the leader's end is never behind,
// however long ago it fetched (KAFKA-7152).
func (s ReplicaProgress) caughtUp(leaderEnd int64, now time.Time, maxLag time.Duration) bool {
	return s.LogEndOffset == leaderEnd || now.Sub(s.LastCaughtUp) <= maxLag
}
