package replication

import (
	"context"
	"time"

	"gregor/protocol"
)

// DeleteRecords raises the log start offset to before (-1: to the high watermark) and returns the offset that every live replica's log then has to start at.
// Errors: those of CheckLeader, OFFSET_OUT_OF_RANGE.
func (p *Partition) DeleteRecords(before int64) (required int64, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if code := p.checkLeaderLocked(-1); code != protocol.None {
		return -1, code
	}
	if before == -1 {
		before = p.Log().HighWatermark()
	}
	if before < 0 || before > p.Log().HighWatermark() {
		return -1, protocol.OffsetOutOfRange
	}
	return before, p.Log().IncrementLogStartOffset(before)
}

// LowWatermark is the smallest log start offset among the live replicas, -1 while one has not told its own, or while another broker leads. A dead
// replica deletes when it comes back.
func (p *Partition) LowWatermark() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.leadsLocked() {
		return unknownOffset
	}
	low := p.Log().LogStartOffset()
	for _, r := range p.mu.leader.followers {
		if start := r.snapshot().LogStartOffset; start < low && p.m.cfg.Alive(r.id) {
			low = start
		}
	}
	return low
}

// WaitDeleted waits until the low watermark has reached required. It looks again when a log start has moved, and when brokers have come or gone: a dead follower is not
// waited for. Codes: None, REQUEST_TIMED_OUT at the deadline or when ctx ends, NOT_LEADER_OR_FOLLOWER.
func (p *Partition) WaitDeleted(ctx context.Context, required int64, timeout time.Duration) protocol.ErrorCode {
	w := NewWaiter()
	p.m.deletions.add(w)
	defer p.m.deletions.remove(w)
	return p.await(ctx, w, time.Now().Add(timeout), func() (protocol.ErrorCode, bool) {
		if !p.IsLeader() {
			return protocol.NotLeaderOrFollower, true
		}
		return protocol.None, p.LowWatermark() >= required
	})
}
