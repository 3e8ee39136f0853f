package storage

// close ends the log's use. clean: everything becomes durable, with a snapshot of the producers and whole indexes, so
// that the next start reads no record. Readers keep the files they hold.
func (l *Log) close(clean bool) error {
	if l.closed.Swap(true) {
		return nil
	}
	var err error
	if clean && l.dir.err() == nil {
		if err = l.complete(); err == nil {
			err = l.flush()
		}
	}
	l.discardSegments()
	return err
}

// complete writes what a clean stop wants to find in the directory of a log that takes no appends any more. Durable it becomes by flush, or by
// a sync of the whole file system.
func (l *Log) complete() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.segments.Load().active()
	if s.isAbsent() {
		return nil
	}
	err := s.seal()
	if end := l.logEnd.Load(); err == nil && end > 0 {
		err = l.snapshotLocked(end)
	}
	if err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// unsynced reports whether flush has something to do.
func (l *Log) unsynced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.logEnd.Load()
	return l.recoveryPoint.Load() < end || len(l.mu.dirtySnapshots) > 0 || l.mu.entriesChanged || l.epochs.changed(end)
}

// discardSegments gives up the log's references. New readers find the log closed.
func (l *Log) discardSegments() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments.Load().list {
		s.discard()
	}
}
