package replication

import (
	"errors"
	"fmt"

	"gregor/protocol"
	"gregor/storage"
)

// errNotFollowing says that a partition does not follow in the leader epoch that an answer belongs to: the answer counts for nothing.
var errNotFollowing = errors.New("the partition does not follow in this leader epoch")

// followsLocked reports whether this broker follows a leader of that epoch. The caller holds the lock.
func (p *Partition) followsLocked(leaderEpoch int32) bool {
	return p.mu.gone == protocol.None && p.mu.state.leader != p.me && p.mu.state.leaderEpoch == leaderEpoch
}

// replicate takes over what the leader of leaderEpoch sent for offset: records, its high watermark, its log start. It returns the log's new end and last epoch.
// Errors: errNotFollowing; CORRUPT_MESSAGE, after which nothing has changed; those of storage.Log.AppendAsFollower.
func (p *Partition) replicate(leaderEpoch int32, offset int64, got *protocol.FetchedPartition) (end int64, lastEpoch int32, err error) {
	if len(got.Records) > 0 {
		err = p.appendAsFollower(leaderEpoch, offset, got.Records)
		if errors.Is(err, storage.ErrBelowLogEnd) {
			err = p.restartInsideBatch(leaderEpoch, got.Records, err)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.followsLocked(leaderEpoch) {
		return 0, 0, errNotFollowing
	}
	before, start := p.Log().HighWatermark(), p.Log().LogStartOffset()
	hw := p.Log().SetHighWatermark(got.HighWatermark) // and no more than the log has
	if got.LogStartOffset > start {
		if err := p.Log().IncrementLogStartOffset(min(got.LogStartOffset, hw)); err != nil {
			return 0, 0, err
		}
	}
	if hw != before || p.Log().LogStartOffset() != start {
		p.wait.watermark.wakeAll() // consumers that fetch from this follower (KIP-392)
	}
	return p.Log().LogEndOffset(), p.Log().LatestEpoch(), nil
}

func (p *Partition) appendAsFollower(leaderEpoch int32, offset int64, records []byte) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.followsLocked(leaderEpoch) {
		return errNotFollowing
	}
	if end := p.Log().LogEndOffset(); end != offset {
		return fmt.Errorf("offset mismatch for partition %v: fetched offset = %d, log end offset = %d", p.tp, offset, end)
	}
	err := p.Log().AppendAsFollower(records)
	if err == nil {
		p.wait.logEnd.wakeAll()
	}
	return err
}

// restartInsideBatch appends the first records of an empty log whose leader begins inside their batch: DeleteRecords may have moved the leader's log start there. The log
// then begins with the batch (KAFKA-6975), until the leader's log start is taken over.
func (p *Partition) restartInsideBatch(leaderEpoch int32, records []byte, refused error) error {
	first, last, ok := storage.BatchOffsets(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.followsLocked(leaderEpoch) {
		return errNotFollowing
	}
	end := p.Log().LogEndOffset()
	if !ok || end != p.Log().LogStartOffset() || first >= end || last < end {
		return refused
	}
	err := p.Log().TruncateFullyAndStartAt(first)
	p.cutFutureLocked()
	if err != nil {
		return err
	}
	return p.Log().AppendAsFollower(records)
}

// truncateAsFollower cuts the log's tail, for a follower of a leader in leaderEpoch.
func (p *Partition) truncateAsFollower(leaderEpoch int32, offset int64) error {
	return p.cutAsFollower(leaderEpoch, func() error { return p.Log().TruncateTail(offset) })
}

// startAsFollowerAt empties the log, which then begins at offset.
func (p *Partition) startAsFollowerAt(leaderEpoch int32, offset int64) error {
	return p.cutAsFollower(leaderEpoch, func() error { return p.Log().TruncateFullyAndStartAt(offset) })
}

// cutAsFollower removes records while nobody reads or appends: this is the only place where a high watermark goes back.
func (p *Partition) cutAsFollower(leaderEpoch int32, cut func() error) error {
	p.mu.Lock()
	defer p.wait.wakeAll()
	defer p.mu.Unlock()
	if !p.followsLocked(leaderEpoch) {
		return errNotFollowing
	}
	defer p.cutFutureLocked()
	return cut()
}
