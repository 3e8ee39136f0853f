package storage

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// segment is one .log file with its indexes. Its files open when first needed and close when the log and every reader
// have let go of it.
type segment struct {
	base int64
	dir  string       // the partition's directory
	size atomic.Int64 // bytes of the .log file that are part of the log; stored after they are written
	refs atomic.Int32 // one for the log, one for each reader; 0 is final
	gone atomic.Bool  // the log has dropped it; its files may have another name

	// Guarded by the log's lock.
	bytesSinceIndex int64
	firstTimestamp  int64 // largest timestamp of the first batch, which the age of the segment counts from; -1 unknown
	createdMs       int64
	reserved        int64 // disk blocks are taken up to here (reserve.go)

	mu struct {
		sync.Mutex
		file      *os.File
		absent    bool         // the .log file is made by the first append
		index     *offsetIndex // see indexLocked
		times     *timeIndex
		indexed   bool // the indexes are open and plausible
		maxKnown  bool
		max       int64    // largest timestamp, -1 none
		maxOffset int64    // last offset of the batch that bears it
		next      boundary // behind the batch that was read last; zero: unknown
		cuts      int      // counts truncations
	}
}

func newSegment(dir string, base, size, createdMs int64) *segment {
	s := &segment{base: base, dir: dir, firstTimestamp: noTimestamp, createdMs: createdMs}
	s.size.Store(size)
	s.refs.Store(1)
	s.mu.max, s.mu.maxOffset = noTimestamp, base
	return s
}

func (s *segment) path(suffix string) string {
	return filepath.Join(s.dir, offsetFileName(s.base, suffix))
}

// acquire takes a reference and opens the file. errSegmentGone: the log dropped the segment meanwhile.
func (s *segment) acquire() (*os.File, error) {
	for {
		n := s.refs.Load()
		if n == 0 {
			return nil, errSegmentGone
		}
		if s.refs.CompareAndSwap(n, n+1) {
			break
		}
	}
	f, err := s.open()
	if err != nil {
		if s.gone.Load() {
			err = errSegmentGone
		}
		s.release()
	}
	return f, err
}

// discard gives up the log's own reference.
func (s *segment) discard() {
	if !s.gone.Swap(true) {
		s.release()
	}
}

// release gives a reference back; the last one closes the files.
func (s *segment) release() {
	if s.refs.Add(-1) != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked()
}

// open returns the .log file. The caller holds a reference.
func (s *segment) open() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.file != nil {
		return s.mu.file, nil
	}
	flags := os.O_RDWR
	if s.mu.absent {
		flags |= os.O_CREATE
	}
	f, err := openFile(s.path(logSuffix), flags)
	if err != nil {
		return nil, err
	}
	s.mu.file, s.mu.absent = f, false
	return f, nil
}

// rest closes the files of a segment whose indexes were looked at and not changed. The next use opens them again.
func (s *segment) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.index != nil && s.mu.index.changed() || s.mu.times != nil && s.mu.times.changed() {
		return
	}
	s.closeLocked()
	s.mu.indexed, s.mu.index, s.mu.times = false, nil, nil
}

// indexLocked and timesLocked are the segment's indexes, made when they are first needed: most of thousands of logs are idle.
func (s *segment) indexLocked() *offsetIndex {
	if s.mu.index == nil {
		s.mu.index = newOffsetIndex(s.dir, s.base)
	}
	return s.mu.index
}

func (s *segment) timesLocked() *timeIndex {
	if s.mu.times == nil {
		s.mu.times = newTimeIndex(s.dir, s.base)
	}
	return s.mu.times
}

// closeLocked closes the files; what the indexes have gathered is lost.
func (s *segment) closeLocked() {
	if s.mu.file != nil {
		s.mu.file.Close()
		s.mu.file = nil
	}
	if s.mu.index != nil {
		s.mu.index.abandon()
	}
	if s.mu.times != nil {
		s.mu.times.abandon()
	}
}

// openIndexes opens both indexes, or builds them anew when one is missing or damaged. The caller holds a reference.
func (s *segment) openIndexes(interval int64) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.indexed {
		return nil
	}
	err = s.checkIndexesLocked()
	if errors.Is(err, errIndexDamaged) {
		_, err = s.rebuildIndexesLocked(f, interval)
	}
	s.mu.indexed = err == nil
	return err
}

func (s *segment) checkIndexesLocked() error {
	for _, x := range []*indexFile{&s.indexLocked().indexFile, &s.timesLocked().indexFile} {
		present, whole, err := x.open()
		if err != nil {
			return err
		}
		if !whole || !present {
			return errIndexDamaged
		}
	}
	size := s.size.Load()
	if _, err := s.indexLocked().lastPosition(size); err != nil {
		return err
	}
	if s.indexLocked().count() == 0 && size > neverWithoutIndex {
		return errIndexDamaged
	}
	return s.timesLocked().check()
}

// neverWithoutIndex is a size at which a segment has index entries, unless its batches are uncommonly large; then
// building the index costs next to nothing.
const neverWithoutIndex = 4 << 20

// rebuildIndexesLocked reads all batch headers and writes both indexes anew. The log's bytes are taken as they are.
func (s *segment) rebuildIndexesLocked(f *os.File, interval int64) (end int64, err error) {
	if err := s.resetIndexesLocked(); err != nil {
		return 0, err
	}
	scan := newBatchScanner(f, 0, s.size.Load())
	defer scan.done()
	var h batchHeader
	for {
		ok, err := scan.next(&h)
		if err != nil {
			return 0, err
		}
		if !ok || !fitsIndex(s.base, h.lastOffset, h.position) {
			break
		}
		if err := s.noteBatchLocked(&h, interval); err != nil {
			return 0, err
		}
	}
	if err := s.timesLocked().maybeAppend(s.mu.max, s.mu.maxOffset); err != nil {
		return 0, err
	}
	return scan.pos, errors.Join(s.indexLocked().write(), s.timesLocked().write())
}

// resetIndexesLocked empties both indexes on disk and in memory.
func (s *segment) resetIndexesLocked() error {
	s.indexLocked().abandon()
	s.timesLocked().abandon()
	for _, suffix := range []string{indexSuffix, timeIndexSuffix} {
		if err := removeIfExists(s.path(suffix)); err != nil {
			return err
		}
	}
	s.bytesSinceIndex = 0
	s.mu.max, s.mu.maxOffset, s.mu.maxKnown = noTimestamp, s.base, true
	return nil
}

// noteBatchLocked enters a batch of the log into the indexes: LogSegment.append and recover.
func (s *segment) noteBatchLocked(h *batchHeader, interval int64) error {
	if h.maxTimestamp > s.mu.max {
		s.mu.max, s.mu.maxOffset = h.maxTimestamp, h.lastOffset
	}
	if h.position == 0 {
		s.firstTimestamp = h.maxTimestamp
	}
	if s.bytesSinceIndex > interval {
		if err := s.indexLocked().append(h.lastOffset, h.position); err != nil {
			return err
		}
		if err := s.timesLocked().maybeAppend(s.mu.max, s.mu.maxOffset); err != nil {
			return err
		}
		s.bytesSinceIndex = 0
	}
	s.bytesSinceIndex += h.size
	return nil
}

// noteBatch is noteBatchLocked for the log's writer.
func (s *segment) noteBatch(h *batchHeader, interval int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noteBatchLocked(h, interval)
}

// largestTimestamp returns the largest timestamp of the segment and the last offset of the batch that bears it; -1 when
// no batch has one. A segment that is no longer written has it in the last entry of its time index.
func (s *segment) largestTimestamp(interval int64) (timestamp, offset int64, err error) {
	if s.size.Load() == 0 {
		return noTimestamp, s.base, nil
	}
	s.mu.Lock()
	timestamp, offset, known := s.mu.max, s.mu.maxOffset, s.mu.maxKnown
	s.mu.Unlock()
	if known {
		return timestamp, offset, nil
	}
	if _, err := s.acquire(); err != nil {
		return noTimestamp, s.base, err
	}
	defer s.release()
	if err := s.openIndexes(interval); err != nil {
		return noTimestamp, s.base, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.maxKnown {
		s.mu.max, s.mu.maxOffset, err = s.timesLocked().lastEntry()
		if err != nil {
			return noTimestamp, s.base, err
		}
		s.mu.maxKnown = true
	}
	return s.mu.max, s.mu.maxOffset, nil
}

// seal ends writing: the time index gets its last entry, all entries go to the files, and blocks that were taken ahead go back. The
// caller holds the log's lock.
func (s *segment) seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.absent || !s.mu.indexed {
		return nil
	}
	if err := s.timesLocked().maybeAppend(s.mu.max, s.mu.maxOffset); err != nil {
		return err
	}
	var err error
	if s.mu.file != nil {
		err = s.giveBack(s.mu.file)
	}
	return errors.Join(err, s.indexLocked().write(), s.timesLocked().write())
}

// flush makes the log file's bytes and both indexes durable. It runs outside the log's lock, on a reference.
func (s *segment) flush() error {
	if s.size.Load() == 0 {
		return nil
	}
	f, err := s.acquire()
	if err != nil {
		if errors.Is(err, errSegmentGone) {
			return nil
		}
		return err
	}
	defer s.release()
	if err := f.Sync(); err != nil {
		return err
	}
	s.mu.Lock()
	index, times, indexed := s.mu.index, s.mu.times, s.mu.indexed
	s.mu.Unlock()
	if !indexed {
		return nil
	}
	return errors.Join(index.sync(), times.sync())
}
