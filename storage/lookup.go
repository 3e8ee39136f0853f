package storage

import (
	"errors"
	"io"
	"os"

	"gregor/protocol"
	"gregor/protocol/record"
)

// TimestampOffset is an answer of ListOffsets; Offset -1 when nothing was found.
type TimestampOffset struct {
	Timestamp, Offset int64
	LeaderEpoch       int32 // -1 unknown
}

var nothingFound = TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}

// errStop ends an iteration over records.
var errStop = errors.New("stop")

// OffsetForTimestamp finds the first record with a timestamp of at least ts whose offset is below maxOffset.
// UNSUPPORTED_FOR_MESSAGE_FORMAT when the search meets a compressed message set of format 0 or 1.
func (l *Log) OffsetForTimestamp(ts int64, maxOffset int64) (TimestampOffset, error) {
	for {
		found, err := l.offsetForTimestamp(ts, maxOffset)
		if !errors.Is(err, errSegmentGone) {
			return found, l.readError(err)
		}
	}
}

func (l *Log) offsetForTimestamp(ts, maxOffset int64) (TimestampOffset, error) {
	if err := l.usable(); err != nil {
		return nothingFound, err
	}
	end, start := l.tail.now(), l.logStart.Load()
	maxOffset = min(maxOffset, end.end)
	list := l.segments.Load()
	for i := max(list.floor(start), 0); i < len(list.list); i++ {
		s := list.list[i]
		if s.base >= maxOffset {
			break
		}
		largest, _, err := s.largestTimestamp(int64(l.Config().IndexIntervalBytes))
		if err != nil {
			return nothingFound, err
		}
		if largest < ts {
			continue
		}
		limit := s.size.Load()
		if s == end.segment {
			limit = end.size
		}
		found, err := s.searchTimestamp(ts, start, limit, int64(l.Config().IndexIntervalBytes))
		if err != nil {
			return nothingFound, err
		}
		if found.Offset >= 0 {
			if found.Offset >= maxOffset {
				break
			}
			return found, nil
		}
	}
	return nothingFound, nil
}

// searchTimestamp finds the first record of the segment that is at least as young as ts and not below start.
func (s *segment) searchTimestamp(ts, start, limit, interval int64) (TimestampOffset, error) {
	f, err := s.acquire()
	if err != nil {
		return nothingFound, err
	}
	defer s.release()
	if err := s.openIndexes(interval); err != nil {
		return nothingFound, err
	}
	s.mu.Lock()
	times := s.timesLocked()
	s.mu.Unlock()
	from, err := times.lookup(ts)
	if err != nil && err != io.EOF { // cut while it was read: begin at the base
		return nothingFound, err
	}
	position, err := s.positionOf(f, max(from, start), limit)
	if err != nil {
		return nothingFound, err
	}
	scan := newBatchScanner(f, position, limit)
	defer scan.done()
	var h batchHeader
	for {
		ok, err := scan.next(&h)
		if err != nil || !ok {
			return nothingFound, err
		}
		if h.maxTimestamp < ts || h.lastOffset < start {
			continue
		}
		found, err := recordAtLeast(f, &h, ts, start)
		if err != nil || found.Offset >= 0 {
			return found, err
		}
	}
}

// recordAtLeast looks for the record inside a batch.
func recordAtLeast(f *os.File, h *batchHeader, ts, start int64) (TimestampOffset, error) {
	found := nothingFound
	if h.magic < 2 {
		if h.attributes&7 != 0 {
			return found, protocol.UnsupportedForMessageFormat
		}
		return TimestampOffset{h.maxTimestamp, h.lastOffset, noEpoch}, nil
	}
	err := eachRecord(f, h, func(timestamp, offset int64) bool {
		if timestamp >= ts && offset >= start {
			found = TimestampOffset{timestamp, offset, h.leaderEpoch}
		}
		return found.Offset < 0
	})
	return found, err
}

// eachRecord calls fn with the timestamp and offset of every record of a batch until it returns false.
func eachRecord(f *os.File, h *batchHeader, fn func(timestamp, offset int64) bool) error {
	b, err := readBatch(f, h, nil)
	if err != nil {
		return err
	}
	err = b.Each(0, func(r record.Record) error {
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		if b.LogAppendTime() {
			timestamp = h.maxTimestamp
		}
		if !fn(timestamp, h.baseOffset+int64(r.OffsetDelta)) {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return corrupt("batch at offset %d: %s", h.baseOffset, err)
	}
	return nil
}

// OffsetOfMaxTimestamp finds the record with the largest timestamp, the first of them when there are several in its
// batch (ListOffsets -3, KIP-734).
func (l *Log) OffsetOfMaxTimestamp() (TimestampOffset, error) {
	for {
		found, err := l.offsetOfMaxTimestamp()
		if !errors.Is(err, errSegmentGone) {
			return found, l.readError(err)
		}
	}
}

func (l *Log) offsetOfMaxTimestamp() (TimestampOffset, error) {
	if err := l.usable(); err != nil {
		return nothingFound, err
	}
	interval := int64(l.Config().IndexIntervalBytes)
	var newest *segment
	largest, at := int64(noTimestamp), int64(0)
	for _, s := range l.segments.Load().list {
		timestamp, offset, err := s.largestTimestamp(interval)
		if err != nil {
			return nothingFound, err
		}
		if timestamp > largest {
			newest, largest, at = s, timestamp, offset
		}
	}
	if newest == nil {
		return nothingFound, nil
	}
	f, err := newest.acquire()
	if err != nil {
		return nothingFound, err
	}
	defer newest.release()
	if err := newest.openIndexes(interval); err != nil {
		return nothingFound, err
	}
	var h batchHeader
	_, found, err := newest.find(f, at, newest.size.Load(), &h)
	if err != nil || !found {
		return nothingFound, err
	}
	best := TimestampOffset{h.maxTimestamp, h.lastOffset, h.leaderEpoch}
	if h.magic < 2 {
		return best, nil
	}
	err = eachRecord(f, &h, func(timestamp, offset int64) bool {
		if timestamp == h.maxTimestamp {
			best.Offset = offset
		}
		return timestamp != h.maxTimestamp
	})
	return best, err
}
