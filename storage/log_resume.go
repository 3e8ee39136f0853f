package storage

import (
	"errors"
	"io/fs"
	"os"
)

// resume finds where in segment i the batches from the recovery point on begin, builds the producers as of there, and cuts the indexes. What lies below is durable,
// with indexes and producers, and is not looked at again, apart from the batches behind the last index entry. The position is 0 when something does not fit together,
// or the log has seen transactions, whose index only a look at all batches can tell to be whole: then the whole segment is to be checked.
func (l *Log) resume(list *segmentList, i int, point int64, snapshots []int64) (position int64, state producerState, newest int64, err error) {
	s := list.list[i]
	if point <= s.base || s.isAbsent() {
		return 0, state, -1, nil
	}
	if _, err := os.Stat(s.txnIndexPath()); !errors.Is(err, fs.ErrNotExist) {
		return 0, state, -1, err
	}
	f, err := s.acquire()
	if err != nil {
		return 0, state, -1, err
	}
	defer s.release()
	if position, err = s.resume(f, point); err != nil || position == 0 {
		return 0, state, -1, err
	}
	state, newest, err = l.buildProducers(list, snapshots, l.logStart.Load(), point)
	if err != nil || state.transactional() {
		return 0, state, -1, err
	}
	return position, state, newest, nil
}

// resume is Log.resume without the producers.
func (s *segment) resume(f *os.File, point int64) (position int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, last, err := s.cutIndexesLocked(point)
	if err == nil {
		position, err = s.resumeFrom(f, point, from, last)
	}
	if err != nil && isEnvironment(err) {
		return 0, err
	}
	s.mu.indexed = position > 0
	return position, nil
}

// cutIndexesLocked drops the entries for batches that reach to point or beyond. It returns the position of the batch that the last one speaks of, and that batch's
// last offset; 0 and -1 when there is none left.
func (s *segment) cutIndexesLocked(point int64) (position, lastOffset int64, err error) {
	if err := s.checkIndexesLocked(); err != nil {
		return 0, -1, err
	}
	if err := errors.Join(s.indexLocked().truncate(point), s.timesLocked().truncate(point)); err != nil {
		return 0, -1, err
	}
	if s.mu.max, s.mu.maxOffset, err = s.timesLocked().lastEntry(); err != nil {
		return 0, -1, err
	}
	s.mu.maxKnown = true
	return s.indexLocked().lastEntry(s.size.Load())
}

// resumeFrom walks from the batch at position from, which ends with offset last (-1: not known), to the first one at or behind point, whose position it returns, and
// enters those between into what is gathered for the next index entry.
func (s *segment) resumeFrom(f *os.File, point, from, last int64) (position int64, err error) {
	s.bytesSinceIndex = 0
	scan := newBatchScanner(f, from, s.size.Load())
	defer scan.done()
	var h batchHeader
	for next := int64(-1); ; next = h.lastOffset + 1 {
		position = scan.pos
		got, err := scan.next(&h)
		switch {
		case err != nil:
			return 0, err
		case !got && next == point: // the log ends here, or is torn from here on
			return position, nil
		case !got, position == from && last >= 0 && h.lastOffset != last, h.lastOffset < max(next, s.base):
			return 0, nil
		case h.lastOffset >= point && firstKnown(&h) >= point:
			return position, nil
		case h.lastOffset >= point:
			return 0, nil
		}
		if h.maxTimestamp > s.mu.max {
			s.mu.max, s.mu.maxOffset = h.maxTimestamp, h.lastOffset
		}
		s.bytesSinceIndex += h.size
	}
}
