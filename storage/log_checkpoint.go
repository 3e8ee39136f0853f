package storage

import (
	"cmp"
	"slices"
	"time"
)

// checkpointBytes is how much a log grows before the flusher makes it durable and raises its recovery point: a start after a crash has that much to check for
// each log that was written, and what was appended while the flusher was at it.
const checkpointBytes = 64 << 20

// grownLocked counts appended bytes, and has the log checkpointed when they are many.
func (l *Log) grownLocked(bytes int64) {
	if l.mu.unflushedBytes += bytes; l.mu.unflushedBytes >= checkpointBytes {
		l.mu.unflushedBytes = 0
		l.manager.scheduleFlush(l)
	}
}

// checkpoint makes the log durable up to its end, with a snapshot of the producers there, so that a start after a crash needs nothing of what lies below. The
// snapshot before it goes, unless it belongs to a segment.
func (l *Log) checkpoint() error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	previous, end := l.mu.spareSnapshot, l.logEnd.Load()
	var err error
	if s := l.segments.Load().active(); !s.isAbsent() && end > s.base {
		err = l.snapshotLocked(end)
		l.mu.spareSnapshot = end
	}
	l.mu.Unlock()
	if err != nil {
		return l.failed("snapshot", err)
	}
	if err := l.flush(); err != nil {
		return err
	}
	if previous == 0 || previous == end || l.isBase(previous) {
		return nil
	}
	if err := removeIfExists(snapshotPath(l.path, previous)); err != nil {
		return l.failed("remove a snapshot", err)
	}
	return nil
}

// isBase reports whether a segment begins at offset.
func (l *Log) isBase(offset int64) bool {
	_, found := slices.BinarySearchFunc(l.segments.Load().list, offset, func(s *segment, o int64) int { return cmp.Compare(s.base, o) })
	return found
}

// checkpointShare is how many times longer than a checkpoint file takes the flusher waits before it writes the next one: with thousands of logs it is long.
const checkpointShare = 20

// flusher serves scheduleFlush: it makes logs durable, and then stores their recovery points.
func (b *background) flusher() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last, took time.Duration // since began: when the checkpoint was written, how long that took
	began, raised := time.Now(), false
	for {
		select {
		case <-b.done:
			return
		case <-b.wake:
			raised = b.flushQueue() || raised
		case <-timer.C:
		}
		switch wait := last + checkpointShare*took - time.Since(began); {
		case !raised:
		case wait > 0:
			timer.Reset(wait)
		default:
			at := time.Since(began)
			b.checkpoint(recoveryPointCheckpoint)
			last, raised = time.Since(began), false
			took = last - at
		}
	}
}

// flushQueue makes the queued logs durable. It is false when there were none.
func (b *background) flushQueue() bool {
	b.mu.Lock()
	queue := b.mu.flush
	b.mu.flush = nil
	b.mu.Unlock()
	for _, l := range queue {
		l.flushQueued.Store(false)
		l.checkpoint() // its error is the directory's; a log that was closed meanwhile needs nothing
	}
	return len(queue) > 0
}
