package storage

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// recover checks every batch from the recovery point on: a log that was not closed cleanly may end
// in bytes that never were a batch. It cuts the log before the first batch that is not whole, not in order, or fails
// its checksum, drops the segments behind, and builds indexes, leader epochs and producers anew on the way.
// snapshots are the offsets of those in the directory; newest is that of the one that the producers at its offset came from, -1 when there is none.
func (l *Log) recover(recoveryPoint int64, snapshots []int64) (producers *producerState, newest int64, err error) {
	list := l.segments.Load()
	from := max(list.floor(recoveryPoint), 0)
	next := list.list[from].base
	position, state, newest, err := l.resume(list, from, recoveryPoint, snapshots)
	if position > 0 {
		next = recoveryPoint
	} else if err == nil {
		state, newest, err = l.buildProducers(list, snapshots, l.logStart.Load(), next)
	}
	if err != nil {
		return nil, -1, err
	}
	l.epochs.truncateTail(next) // those of the batches to come are built anew; the file may have some that were cut since
	for i := from; i < len(list.list); i++ {
		s := list.list[i]
		end, cut, err := l.recoverSegment(s, position, max(next, s.base), &state)
		if err != nil {
			return nil, -1, err
		}
		next, position = end, 0
		if cut && i+1 < len(list.list) {
			if err := l.dropTail(list, i+1); err != nil {
				return nil, -1, err
			}
			break
		}
	}
	return &state, newest, nil
}

// recoverSegment checks one segment from a position on, of which the first offset is at least next, and returns the offset behind it.
func (l *Log) recoverSegment(s *segment, from, next int64, state *producerState) (end int64, cut bool, err error) {
	if s.isAbsent() {
		return s.base, false, nil
	}
	f, err := s.acquire()
	if err != nil {
		return next, false, err
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == 0 {
		if err := errors.Join(s.resetIndexesLocked(), removeIfExists(s.txnIndexPath())); err != nil {
			return next, false, err
		}
		s.mu.indexed = true
	}
	scan := newBatchScanner(f, from, s.size.Load())
	defer scan.done()
	good, why := from, ""
	for good < s.size.Load() {
		var h batchHeader
		if why, err = checkNext(&scan, &h, s, next); err != nil || why != "" {
			break
		}
		if err = l.recoverBatch(f, &h, s, state); err != nil {
			break
		}
		good, next = h.end(), h.lastOffset+1
	}
	if err != nil {
		return next, false, err
	}
	if why != "" {
		l.warn(fmt.Sprintf("Corruption found in segment %d at position %d (%s): cutting %d bytes, the segment ends at offset %d",
			s.base, good, why, s.size.Load()-good, next))
		if err := f.Truncate(good); err != nil {
			return next, true, err
		}
		if err := f.Sync(); err != nil {
			return next, true, err
		}
		s.size.Store(good)
	} else if err := f.Truncate(good); err != nil { // gives back blocks that were taken ahead (reserve.go)
		return next, false, err
	}
	if err := s.timesLocked().maybeAppend(s.mu.max, s.mu.maxOffset); err != nil {
		return next, false, err
	}
	if err := s.indexLocked().write(); err != nil {
		return next, false, err
	}
	return next, why != "", s.timesLocked().write()
}

// checkNext reads and checks the next batch; why says what is wrong with it.
func checkNext(scan *batchScanner, h *batchHeader, s *segment, next int64) (why string, err error) {
	ok, err := scan.next(h)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "no whole batch", nil
	case h.lastOffset < next || h.magic >= 2 && h.baseOffset < next:
		return fmt.Sprintf("offset %d where %d or a later one must come", h.baseOffset, next), nil
	case !fitsIndex(s.base, h.lastOffset, h.position):
		return fmt.Sprintf("offset %d is too far from the segment's base", h.lastOffset), nil
	}
	if ok, err = scan.validCRC(h); err == nil && !ok {
		why = fmt.Sprintf("wrong checksum at offset %d", h.baseOffset)
	}
	return why, err
}

// recoverBatch enters a checked batch into everything that is built from batches. The caller holds s.mu.
func (l *Log) recoverBatch(f io.ReaderAt, h *batchHeader, s *segment, state *producerState) error {
	if err := s.noteBatchLocked(h, int64(l.Config().IndexIntervalBytes)); err != nil {
		return err
	}
	if h.leaderEpoch > l.epochs.latest() {
		l.epochs.assign(h.leaderEpoch, h.baseOffset)
	}
	if h.producerID < 0 {
		return nil
	}
	marker, err := readTxnMarker(f, h)
	if err != nil {
		return err
	}
	return applyBatch(state, h, marker, s)
}

// dropTail removes the segments from index n on.
func (l *Log) dropTail(list *segmentList, n int) error {
	dropped := list.list[n:]
	l.segments.Store(&segmentList{slices.Clone(list.list[:n])})
	l.warn(fmt.Sprintf("Deleting %d segments behind the corruption, from offset %d on", len(dropped), dropped[0].base))
	return l.retireLocked(dropped)
}
