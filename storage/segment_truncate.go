package storage

import "os"

// truncate cuts the segment before the first batch that holds offset or a later one, and returns where the log then ends: at offset, or where the
// batch began that offset lies in. The caller holds the log's lock.
func (s *segment) truncate(offset, interval int64) (end int64, err error) {
	f, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer s.release()
	if err := s.openIndexes(interval); err != nil {
		return 0, err
	}
	var h batchHeader
	position, found, err := s.find(f, offset, s.size.Load(), &h)
	if err != nil {
		return 0, err
	}
	if end = offset; found {
		end = min(offset, firstKnown(&h))
	}
	return end, s.cut(f, end, position)
}

// cut makes position the end of the log file, and offset the bound of the indexes.
func (s *segment) cut(f *os.File, offset, position int64) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.mu.next, s.mu.cuts = boundary{}, s.mu.cuts+1 }() // at the end: a reader that looks now still sees the old bytes
	if err := f.Truncate(position); err != nil {
		return err
	}
	if position < s.size.Load() {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	s.reserved = 0
	s.size.Store(position)
	if err := s.indexLocked().truncate(offset); err != nil {
		return err
	}
	if err := s.timesLocked().truncate(offset); err != nil {
		return err
	}
	s.bytesSinceIndex = 0
	if position == 0 {
		s.firstTimestamp = noTimestamp
	}
	if s.mu.max, s.mu.maxOffset, err = s.timesLocked().lastEntry(); err != nil {
		return err
	}
	s.mu.maxKnown = true
	if err := s.rescanMaxLocked(f); err != nil {
		return err
	}
	return s.truncateTxnIndex(offset)
}

// rescanMaxLocked brings the largest timestamp up to date with the batches behind the last index entry.
func (s *segment) rescanMaxLocked(f *os.File) error {
	from, err := s.indexLocked().lastPosition(max(s.size.Load(), 1))
	if err != nil {
		return err
	}
	scan := newBatchScanner(f, from, s.size.Load())
	defer scan.done()
	var h batchHeader
	for {
		ok, err := scan.next(&h)
		if !ok || err != nil {
			return err
		}
		if h.maxTimestamp > s.mu.max {
			s.mu.max, s.mu.maxOffset = h.maxTimestamp, h.lastOffset
		}
	}
}
