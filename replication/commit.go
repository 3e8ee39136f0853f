package replication

import (
	"context"
	"slices"
	"time"

	"gregor/protocol"
)

// effectiveMinISRLocked is min.insync.replicas, but never more than there are replicas.
func (p *Partition) effectiveMinISRLocked() int {
	return min(int(p.Log().Config().MinInsyncReplicas), len(p.mu.state.replicas))
}

func (p *Partition) underMinISRLocked() bool {
	return len(p.mu.state.isr) < p.effectiveMinISRLocked()
}

// maximalISRLocked is every replica that may be in the ISR: the committed one, and whom a pending proposal adds. Whom it removes stays in until the controller
// has agreed (KIP-497), because until then that replica may become leader.
func (p *Partition) maximalISRLocked() []int32 {
	if pending := p.mu.leader.pending; pending != nil {
		return pending.maximal
	}
	return p.mu.state.isr
}

// advanceHighWatermarkLocked raises the high watermark to what the whole maximal ISR has, and reports whether it moved. A replica that is caught up, but not
// yet in the ISR, is waited for, too: otherwise it would be behind the watermark again before it could join. The watermark stands still while the ISR
// is below min.insync.replicas (KAFKA-15583), and while a member of the ISR is not in the assignment: at the end of a reassignment the controller tells of the new
// assignment before it takes who leaves out of the ISR, and should it die in between, its successor may elect one of those.
func (p *Partition) advanceHighWatermarkLocked() bool {
	if p.underMinISRLocked() {
		return false
	}
	end := p.Log().LogEndOffset()
	mark := p.Log().CommitBound()
	isr, outsiders := p.maximalISRLocked(), 0
	for _, id := range isr {
		if id != p.me {
			outsiders++
		}
	}
	for _, r := range p.mu.leader.followers {
		inSync := slices.Contains(isr, r.id)
		if inSync {
			outsiders--
		}
		s := r.snapshot()
		if s.LogEndOffset < mark && (inSync || s.caughtUp(end, p.m.cfg.Clock(), p.m.cfg.ReplicaLagTimeMax) && p.m.cfg.Alive(r.id)) {
			mark = s.LogEndOffset
		}
	}
	if outsiders > 0 {
		return false
	}
	before := p.Log().HighWatermark()
	return mark > before && p.Log().SetHighWatermark(mark) > before
}

// CommitStatus reports whether an acks=-1 append of this leader epoch that ends at lastOffset may be acknowledged: None when yes, an error code when it
// never will be, and done false while it still has to wait. It waits on when this broker got a new leader epoch directly after the one before: nobody else
// can have led, so the append is still in the log.
func (p *Partition) CommitStatus(lastOffset int64, leaderEpoch int32) (code protocol.ErrorCode, done bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.leadsLocked() || leaderEpoch < p.mu.leader.since {
		return protocol.NotLeaderOrFollower, true
	}
	if p.Log().HighWatermark() <= lastOffset {
		return protocol.None, false
	}
	if len(p.maximalISRLocked()) < p.effectiveMinISRLocked() {
		return protocol.NotEnoughReplicasAfterAppend, true
	}
	return protocol.None, true
}

// Committed reports, without waiting, whether an acks=-1 append that ends at lastOffset is committed.
func (p *Partition) Committed(lastOffset int64) bool { return p.Log().HighWatermark() > lastOffset }

// WaitCommitted waits, parked in w, until the high watermark passes lastOffset. It returns None, REQUEST_TIMED_OUT at the deadline or when ctx ends,
// NOT_ENOUGH_REPLICAS_AFTER_APPEND, or NOT_LEADER_OR_FOLLOWER when leadership moved meanwhile.
func (p *Partition) WaitCommitted(ctx context.Context, w *Waiter, lastOffset int64, leaderEpoch int32, deadline time.Time) protocol.ErrorCode {
	return p.await(ctx, w, deadline, func() (protocol.ErrorCode, bool) { return p.CommitStatus(lastOffset, leaderEpoch) })
}

// await waits, parked in w, until look is done, looking again whenever the watermark, the low watermark, the ISR or the role moves; REQUEST_TIMED_OUT at the deadline or when
// ctx ends.
func (p *Partition) await(ctx context.Context, w *Waiter, deadline time.Time, look func() (code protocol.ErrorCode, done bool)) protocol.ErrorCode {
	if code, done := look(); done {
		return code
	}
	p.wait.watermark.add(w)
	defer p.wait.watermark.remove(w)
	for {
		if code, done := look(); done {
			return code
		}
		if !w.Wait(ctx, deadline) {
			return protocol.RequestTimedOut
		}
	}
}
