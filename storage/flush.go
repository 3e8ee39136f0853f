package storage

import "errors"

// Flush makes everything up to the log end durable: log files, indexes, producer snapshots and the directory's entries.
// The fsyncs run outside the log's lock. An error takes the directory offline: what an fsync failed to write is lost,
// and a second one would not say so.
func (l *Log) Flush() error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.flush()
}

// flush is Flush for a log that takes no appends any more, too.
func (l *Log) flush() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()

	l.mu.Lock()
	end, from := l.logEnd.Load(), l.recoveryPoint.Load()
	truncations, list := l.mu.truncations, l.segments.Load()
	snapshots, created := l.mu.dirtySnapshots, l.mu.entriesChanged
	l.mu.dirtySnapshots, l.mu.entriesChanged = nil, false
	l.mu.unflushed, l.mu.unflushedBytes, l.mu.lastFlushMs = 0, 0, l.manager.nowMs()
	l.mu.Unlock()

	if from >= end && len(snapshots) == 0 && !created && !l.epochs.changed(end) {
		return nil
	}
	err := l.epochs.save(end, writeFileAtomic)
	if err == nil {
		err = l.sync(list.list[max(list.floor(from), 0):], snapshots, created)
	}
	if err != nil {
		return l.failed("flush", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durableLocked(end, truncations)
	if l.mu.truncations == truncations && l.recoveryPoint.Load() < end {
		l.recoveryPoint.Store(end)
	}
	return nil
}

func (l *Log) sync(segments []*segment, snapshots []int64, created bool) error {
	for _, s := range segments {
		if err := s.flush(); err != nil {
			return err
		}
	}
	for _, o := range snapshots {
		if err := syncFile(snapshotPath(l.path, o)); err != nil {
			return err
		}
	}
	if created || len(snapshots) > 0 {
		return errors.Join(syncDir(l.path), l.dir.syncEntries())
	}
	return nil
}

// flushIfOld flushes when the last flush is flush.ms ago.
func (l *Log) flushIfOld(nowMs int64) error {
	l.mu.Lock()
	due := l.mu.unflushed > 0 && nowMs-l.mu.lastFlushMs >= l.Config().FlushMs
	l.mu.Unlock()
	if !due {
		return nil
	}
	return l.flush()
}
