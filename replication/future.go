package replication

import (
	"errors"
	"fmt"

	"gregor/protocol"
	"gregor/storage"
)

// A partition's log moves to another directory by way of a future log there (KIP-113), which is a follower of the log without a network between. From the log's start on
// it is a prefix of the log, at every moment: what the log loses by a truncation, the copy loses under the same lock. So there is nothing to agree on
// when it has reached the log's end, and the two change places.

// errNotMoving says that the partition has no future log any more, or is itself gone.
var errNotMoving = errors.New("the partition does not move")

// Future is the copy of the log on its way to another directory, nil when the log does not move.
func (p *Partition) Future() Log {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mu.future
}

// dirs are the directories of the log and of its future log, "" when there is none.
func (p *Partition) dirs() (current, future string) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.mu.future != nil {
		future = p.mu.future.Dir()
	}
	return p.Log().Dir(), future
}

// attachFuture makes a log the future log, after it was cut to a prefix of the log. It may have records from an earlier life of the broker, in which the log was cut, or lost
// its tail in a power failure.
func (p *Partition) attachFuture(future Log) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for done := false; !done; {
		var offset int64
		offset, done = prefixEnd(future, p.Log())
		if err := future.TruncateTail(offset); err != nil {
			return err
		}
	}
	p.mu.future = future
	return nil
}

// prefixEnd says where a copy parts from the log that it was made of, by their leader epochs. done is false when that has to be asked again after the cut.
func prefixEnd(copied, log Log) (offset int64, done bool) {
	unknown := min(copied.HighWatermark(), log.LogEndOffset())
	epoch := copied.LatestEpoch()
	if epoch < 0 {
		return unknown, true // written before there were epochs: what is committed is the same everywhere
	}
	found, end := log.EndOffsetForEpoch(epoch)
	return truncationPoint(copied, found, end, unknown)
}

// detachFuture ends the move; the future log is the caller's to delete.
func (p *Partition) detachFuture() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.future = nil
}

// cutFutureLocked takes from the future log what a truncation has taken from the log. A future log that cannot follow is given up: its directory has failed.
func (p *Partition) cutFutureLocked() {
	p.mu.cuts++
	if p.mu.future == nil {
		return
	}
	if end := p.Log().LogEndOffset(); end < p.mu.future.LogEndOffset() {
		if err := p.mu.future.TruncateTail(end); err != nil {
			p.m.partitionLog.Error(fmt.Sprintf("Cannot truncate the future log of partition %v: %v", p.tp, err))
			p.mu.future = nil
		}
	}
}

// copyFuture copies what comes next, buffer bytes at most but one batch at least, and reports how many bytes that were and whether the future log now has all that the log
// had before. The bytes are read without the lock. Errors: errNotMoving; those of storage.Log.AppendAsFollower.
func (p *Partition) copyFuture(buffer *[]byte) (bytes int, all bool, err error) {
	p.mu.RLock()
	log, future, cuts := p.Log(), p.mu.future, p.mu.cuts
	end := log.LogEndOffset()
	var offset int64
	if err = p.movingLocked(); err == nil {
		offset, err = nextToCopy(log, future)
	}
	p.mu.RUnlock()
	if err != nil {
		return 0, false, err
	}
	set, err := readToCopy(log, offset, buffer)

	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.mu.cuts != cuts || p.mu.future != future {
		return 0, false, p.movingLocked() // what was read may be gone: it is read again
	}
	if err == nil {
		err = p.movingLocked()
	}
	if err == nil {
		err = appendCopy(log, future, set)
	}
	return len(set), err == nil && future.LogEndOffset() >= end, err
}

// moving reports whether there is something to copy.
func (p *Partition) moving() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.movingLocked() == nil
}

func (p *Partition) movingLocked() error {
	if p.mu.gone != protocol.None || p.mu.future == nil {
		return errNotMoving
	}
	return nil
}

// nextToCopy is where the copy goes on. One that ends before the log begins starts over there.
func nextToCopy(log, future Log) (int64, error) {
	start, end := log.LogStartOffset(), future.LogEndOffset()
	if end >= start {
		return end, nil
	}
	return start, future.TruncateFullyAndStartAt(start)
}

// readToCopy keeps in buffer what memory the read took.
func readToCopy(log Log, offset int64, buffer *[]byte) ([]byte, error) {
	set, err := log.ReadBytes(offset, cap(*buffer), *buffer)
	if cap(set) > cap(*buffer) {
		*buffer = set // for one large batch others will follow
	}
	return set, err
}

// appendCopy writes batches of the log to its future log, and takes over the log's watermark and start. A copy without records begins with the batch that the log's start
// lies in.
func appendCopy(log, future Log, set []byte) error {
	if len(set) > 0 {
		err := future.AppendAsFollower(set)
		if errors.Is(err, storage.ErrBelowLogEnd) {
			first, last, ok := storage.BatchOffsets(set)
			if end := future.LogEndOffset(); !ok || end != future.LogStartOffset() || last < end {
				return err
			}
			if err = future.TruncateFullyAndStartAt(first); err == nil {
				err = future.AppendAsFollower(set)
			}
		}
		if err != nil {
			return err
		}
	}
	hw := future.SetHighWatermark(log.HighWatermark())
	return future.IncrementLogStartOffset(min(log.LogStartOffset(), hw))
}

// replaceWithFuture has the future log take the log's place, when all of the log that it lacks fits the buffer; otherwise it reports false. Nobody appends, reads or
// truncates meanwhile. bytes is how many were copied. Errors: errNotMoving; those of copyFuture; storage.ErrStorage.
func (p *Partition) replaceWithFuture(buffer *[]byte) (bytes int, done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.movingLocked(); err != nil {
		return 0, false, err
	}
	log, future := p.Log(), p.mu.future
	offset, err := nextToCopy(log, future)
	if err != nil {
		return 0, false, err
	}
	set, err := readToCopy(log, offset, buffer)
	if err == nil {
		err = appendCopy(log, future, set)
	}
	if err != nil || future.LogEndOffset() != log.LogEndOffset() {
		return len(set), false, err
	}
	moved, err := p.m.cfg.Logs.ReplaceWithFuture(p.tp)
	if err != nil {
		return len(set), false, err
	}
	p.current.Store(&moved)
	p.mu.future = nil
	return len(set), true, nil
}
