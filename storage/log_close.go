package storage

import "errors"

// close ends the log's use. clean: everything becomes durable, with a snapshot of the producers and whole indexes, so
// that the next start reads no record. Readers keep the files they hold.
func (l *Log) close(clean bool) error {
	if l.closed.Swap(true) {
		return nil
	}
	var err error
	if clean && l.dir.err() == nil {
		err = l.finish()
	}
	l.discardSegments()
	return err
}

// finish brings the directory of a log that takes no appends any more into the state of a clean stop.
func (l *Log) finish() error {
	l.mu.Lock()
	end := l.logEnd.Load()
	s := l.segments.Load().active()
	var err error
	if !s.isAbsent() {
		err = s.seal()
		if err == nil && end > 0 {
			err = l.snapshotLocked(end)
		}
	}
	l.mu.Unlock()
	if err == nil {
		err = errors.Join(l.flush(), l.epochs.save())
	}
	if err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// discardSegments gives up the log's references. New readers find the log closed.
func (l *Log) discardSegments() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments.Load().list {
		s.discard()
	}
}
