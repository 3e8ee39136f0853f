package storage

import (
	"errors"
	"math/rand/v2"
	"os"
)

// writing returns the open file of the active segment, nil when it is not open or its indexes are not.
func (s *segment) writing() *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.indexed {
		return nil
	}
	return s.mu.file
}

// openActiveLocked prepares the active segment for writing: the first append of a log makes its files.
func (l *Log) openActiveLocked(s *segment) (*os.File, error) {
	s.mu.Lock()
	fresh := s.mu.absent
	s.mu.Unlock()
	cfg := l.Config()
	if fresh {
		if err := l.storeTopicIDLocked(); err != nil {
			return nil, err
		}
	}
	f, err := s.open()
	if err != nil {
		return nil, err
	}
	if fresh {
		l.mu.entriesChanged = true
		s.createdMs = l.manager.nowMs()
		if cfg.Preallocate {
			if err := s.preallocate(int64(cfg.SegmentBytes)); err != nil {
				return nil, err
			}
		}
		return f, s.startIndexes()
	}
	return f, s.openIndexes(int64(cfg.IndexIntervalBytes))
}

// startIndexes gives a new segment empty indexes, whatever files a removed segment of that base left.
func (s *segment) startIndexes() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.indexed {
		return nil
	}
	err := s.resetIndexesLocked()
	if err == nil {
		err = errors.Join(s.indexLocked().write(), s.timesLocked().write()) // Kafka's tools expect both files beside every .log
	}
	s.mu.indexed = err == nil
	return err
}

// rollIfDueLocked begins a new segment when the active one cannot or should not take size bytes more (LogSegment.shouldRoll):
// segment.bytes, segment.ms less jitter, a full index, or an offset that is too far from the base.
func (l *Log) rollIfDueLocked(size, firstOffset, lastOffset, maxTimestamp int64) error {
	s := l.segments.Load().active()
	used := s.size.Load()
	if !l.rollDueLocked(s, l.Config(), used, size, lastOffset, maxTimestamp) || used == 0 && s.base == firstOffset {
		return nil
	}
	return l.rollLocked(firstOffset)
}

// rollDueLocked decides for a segment with used bytes.
func (l *Log) rollDueLocked(s *segment, cfg *LogConfig, used, size, lastOffset, maxTimestamp int64) bool {
	if used > int64(cfg.SegmentBytes)-size || !fitsIndex(s.base, lastOffset, used+size) {
		return true
	}
	return used > 0 && (l.tooOldLocked(s, cfg, maxTimestamp) || s.indexFull(int64(cfg.SegmentIndexBytes)))
}

// tooOldLocked compares timestamps where there are any: a segment's age is the time between its first batch and the
// one to come, so that a log that is filled from elsewhere rolls like the original.
func (l *Log) tooOldLocked(s *segment, cfg *LogConfig, maxTimestamp int64) bool {
	if l.mu.currentJitterFor != s.base {
		l.mu.currentJitterFor, l.mu.currentJitterMs = s.base, 0
		if bound := min(cfg.SegmentJitterMs, cfg.SegmentMs); bound > 0 {
			l.mu.currentJitterMs = rand.Int64N(bound)
		}
	}
	age := l.manager.nowMs() - s.createdMs
	if s.firstTimestamp >= 0 && maxTimestamp >= 0 {
		age = maxTimestamp - s.firstTimestamp
	}
	return age > cfg.SegmentMs-l.mu.currentJitterMs
}

// indexFull reports whether one of the indexes has as many entries as segment.index.bytes allows.
func (s *segment) indexFull(maxBytes int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.indexed {
		return false
	}
	return s.indexLocked().count() >= maxBytes/offsetEntrySize || s.timesLocked().count() >= maxBytes/timeEntrySize-1
}

// rollLocked begins a new segment at base, which is not below the log end. The old one is complete on disk, though not durable:
// the flusher sees to that.
func (l *Log) rollLocked(base int64) error {
	list := l.segments.Load().list
	old := list[len(list)-1]
	if old.size.Load() > 0 {
		if err := old.openIndexes(int64(l.Config().IndexIntervalBytes)); err != nil {
			return err
		}
	}
	if err := old.seal(); err != nil {
		return err
	}
	if err := l.snapshotLocked(base); err != nil {
		return err
	}
	if old.size.Load() == 0 && (old.isAbsent() || old.base == base) {
		list = list[:len(list)-1]
		old.discard()
	}
	next := l.absentSegment(base)
	if _, err := l.openActiveLocked(next); err != nil {
		return err
	}
	l.segments.Store(&segmentList{append(list[:len(list):len(list)], next)})
	l.tail.reset(next, l.logEnd.Load())
	l.manager.scheduleFlush(l)
	return nil
}

func (s *segment) isAbsent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.absent
}

// snapshotLocked stores the producers as of offset, the log end.
func (l *Log) snapshotLocked(offset int64) error {
	if l.mu.lastSnapshot == offset {
		return nil
	}
	if err := l.mu.producers.writeSnapshot(l.path, offset); err != nil {
		return err
	}
	l.mu.lastSnapshot = offset
	l.mu.dirtySnapshots = append(l.mu.dirtySnapshots, offset)
	return nil
}
