package storage

import (
	"fmt"
	"slices"

	"gregor/protocol"
)

// TruncateTail removes everything at and behind offset. A batch that offset lies in goes as a whole, and the log then ends where it began: a log that
// ended at offset would have a hole that nobody fills. The high watermark and the recovery point follow. An offset at or behind the log end removes no
// record, but leader epochs without records: this broker may have led an epoch that nobody else knows, and would answer a leader's question with it for ever.
//
// What is removed is so for good when it returns: bytes that come back after a power failure could lie behind those of a later leader epoch.
func (l *Log) TruncateTail(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("cannot truncate %s to %d: %w", l.tp, offset, protocol.OffsetOutOfRange)
	}
	if offset >= l.logEnd.Load() {
		l.mu.Lock()
		l.epochs.truncateTail(l.logEnd.Load())
		l.mu.Unlock()
		return l.saveEpochs()
	}
	if offset < l.segments.Load().list[0].base {
		return l.TruncateFullyAndStartAt(offset)
	}
	l.info(fmt.Sprintf("Truncating to offset %d", offset))
	l.flushMu.Lock()
	l.mu.Lock()
	dropped, err := l.truncateTailLocked(offset)
	l.mu.Unlock()
	if err == nil && dropped {
		err = syncDir(l.path)
	}
	l.flushMu.Unlock()
	return l.truncated(err)
}

// truncated brings the files that speak of the log's end behind a truncation.
func (l *Log) truncated(err error) error {
	if err != nil {
		return l.failed("truncate", err)
	}
	if err := l.saveEpochs(); err != nil {
		return err
	}
	return l.unclaim()
}

// truncateTailLocked reports whether whole segments went.
func (l *Log) truncateTailLocked(offset int64) (dropped bool, err error) {
	list := l.segments.Load()
	keep := max(list.floor(offset), 0) + 1
	cut := list.list[keep-1]
	if cut.size.Load() > 0 {
		if offset, err = cut.truncate(offset, int64(l.Config().IndexIntervalBytes)); err != nil {
			return false, err
		}
	}
	behind := list.list[keep:]
	l.segments.Store(&segmentList{slices.Clone(list.list[:keep])})
	l.epochs.truncateTail(offset)
	l.endAtLocked(cut, offset)
	if err := l.retireLocked(behind); err != nil {
		return false, err
	}
	return len(behind) > 0, l.reloadProducersLocked()
}

// endAtLocked makes offset the end of the log, with s as the active segment, and brings all marks into order.
func (l *Log) endAtLocked(s *segment, offset int64) {
	l.mu.truncations++
	lower := func(mark interface {
		Load() int64
		Store(int64)
	}) {
		if mark.Load() > offset {
			mark.Store(offset)
		}
	}
	lower(&l.logStart)
	lower(&l.highWatermark)
	lower(&l.recoveryPoint)
	l.tail.reset(s, offset)
	l.logEnd.Store(offset)
	l.cutCommitsLocked(offset)
}

// reloadProducersLocked builds the producer state anew for a log that has become shorter.
func (l *Log) reloadProducersLocked() error {
	end := l.logEnd.Load()
	offsets, err := snapshotOffsets(l.path)
	if err != nil {
		return err
	}
	for _, o := range offsets {
		if o > end {
			if err := removeIfExists(snapshotPath(l.path, o)); err != nil {
				return err
			}
		}
	}
	state, newest, err := l.buildProducers(l.segments.Load(), offsets, l.logStart.Load(), end)
	if err != nil {
		return err
	}
	l.mu.producers, l.mu.lastSnapshot = state, newest
	l.mu.producers.replicated(l.highWatermark.Load())
	l.publishUnstableLocked()
	return nil
}

// TruncateFullyAndStartAt empties the log; the next record gets offset. All marks move there.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("cannot start %s at %d: %w", l.tp, offset, protocol.OffsetOutOfRange)
	}
	l.info(fmt.Sprintf("Truncate and start at offset %d", offset))
	l.flushMu.Lock()
	l.mu.Lock()
	err := l.startAtLocked(offset)
	l.mu.Unlock()
	if err == nil {
		err = syncDir(l.path)
	}
	l.flushMu.Unlock()
	return l.truncated(err)
}

func (l *Log) startAtLocked(offset int64) error {
	list := l.segments.Load().list
	if err := l.retireLocked(list); err != nil {
		return err
	}
	offsets, err := snapshotOffsets(l.path)
	if err != nil {
		return err
	}
	for _, o := range offsets {
		if err := removeIfExists(snapshotPath(l.path, o)); err != nil {
			return err
		}
	}
	s := l.absentSegment(offset)
	if _, err := l.openActiveLocked(s); err != nil {
		return err
	}
	l.segments.Store(&segmentList{[]*segment{s}})
	l.epochs.clear()
	l.mu.producers, l.mu.lastSnapshot = producerState{}, -1
	l.publishUnstableLocked()
	l.endAtLocked(s, offset)
	for _, mark := range []interface{ Store(int64) }{&l.highWatermark, &l.logStart, &l.recoveryPoint} {
		mark.Store(offset)
	}
	return nil
}
