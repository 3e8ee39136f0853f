package storage

import (
	"errors"
	"fmt"
	"os"

	"gregor/protocol"
)

// FileSlice is a run of whole batches, of which the last may be cut, in a segment file. It holds the file open, even when
// the segment is deleted meanwhile: Release it once.
type FileSlice struct {
	File   *os.File
	Offset int64
	Size   int

	segment *segment
}

// Release lets go of the file. A slice that holds none, or that was released, needs nothing.
func (s *FileSlice) Release() {
	if s.segment != nil {
		s.segment.release()
		s.segment, s.File, s.Size = nil, nil, 0
	}
}

// ReadResult is what Read found.
type ReadResult struct {
	Slice                FileSlice // Size 0, and nothing to release, when there is nothing between offset and maxOffset
	BaseOffset           int64     // base offset of the segment that was read
	FirstBatchIncomplete bool      // maxBytes cut the first batch; cannot be when minOneBatch was asked for
}

// Read finds at most maxBytes beginning with the batch that holds offset, never past maxOffset (exclusive: the high
// watermark, last stable offset or log end): the slice ends at or below the boundary of the batch that maxOffset lies
// in. With minOneBatch the first batch comes whole even when it is larger than maxBytes.
//
// Errors: OFFSET_OUT_OF_RANGE when offset is below the log start or above the log end; CORRUPT_MESSAGE when the file
// holds something else than batches there; ErrStorage.
func (l *Log) Read(offset int64, maxBytes int, maxOffset int64, minOneBatch bool, out *ReadResult) error {
	for {
		*out = ReadResult{}
		if err := l.usable(); err != nil {
			return err
		}
		if start, end := l.logStart.Load(), l.logEnd.Load(); offset < start || offset > end {
			return fmt.Errorf("offset %d is outside [%d, %d] of %s: %w", offset, start, end, l.tp, protocol.OffsetOutOfRange)
		}
		err := l.read(offset, maxBytes, maxOffset, minOneBatch, out)
		if !errors.Is(err, errSegmentGone) {
			return l.readError(err)
		}
		// The segment was dropped after it was looked up: the list and the log start have changed.
	}
}

// readError tells the disk's errors, which take the directory offline, from the content's.
func (l *Log) readError(err error) error {
	if err == nil {
		return nil
	}
	var code protocol.ErrorCode // on the heap, so not before there is an error
	if errors.As(err, &code) {
		return err
	}
	return l.failed("read", err)
}

func (l *Log) read(offset int64, maxBytes int, maxOffset int64, minOneBatch bool, out *ReadResult) error {
	end := l.tail.now()
	maxOffset = min(maxOffset, end.end)
	list := l.segments.Load()
	from := list.floor(offset)
	if from < 0 && offset < l.logStart.Load() {
		return errSegmentGone
	}
	for i := max(from, 0); i < len(list.list) && offset < maxOffset; i++ {
		s := list.list[i]
		if s.base >= maxOffset {
			return nil
		}
		limit := s.size.Load()
		if s == end.segment {
			limit = end.size
		}
		if limit == 0 {
			continue
		}
		found, err := l.readSegment(s, offset, maxOffset, limit, list.end(i, end.end), maxBytes, minOneBatch, out)
		if found || err != nil {
			return err
		}
	}
	return nil
}

// readSegment reads in one segment, of which limit bytes count and which ends before offset next. found is false when all
// its batches end before offset.
func (l *Log) readSegment(s *segment, offset, maxOffset, limit, next int64, maxBytes int, minOneBatch bool, out *ReadResult) (found bool, err error) {
	f, err := s.acquire()
	if err != nil {
		return false, err
	}
	cuts := s.cutsSoFar()
	first, found, err := l.locate(s, f, offset, limit)
	if err != nil || !found || first.baseOffset >= maxOffset {
		s.release()
		return found, err
	}
	if maxOffset < next {
		bound, _, err := l.locate(s, f, maxOffset, limit)
		if err != nil {
			s.release()
			return true, err
		}
		limit = bound.position
	}
	size := min(int64(max(maxBytes, 0)), limit-first.position)
	if size < first.size {
		if minOneBatch {
			size = min(first.size, limit-first.position)
		}
		out.FirstBatchIncomplete = size < first.size
	}
	if size <= 0 {
		s.release()
		return true, nil
	}
	s.boundaryBehind(&first, cuts)
	l.lookAhead(s, f, first.position, size, limit)
	out.BaseOffset = s.base
	out.Slice = FileSlice{File: f, Offset: first.position, Size: int(size), segment: s}
	return true, nil
}

// locate finds the first batch that ends at or behind offset. Without one, found is false and position is limit.
func (l *Log) locate(s *segment, f *os.File, offset, limit int64) (b tailBatch, found bool, err error) {
	if b, ok := l.tail.find(s, offset); ok && b.position+b.size <= limit {
		return b, true, nil
	}
	if err := s.openIndexes(int64(l.Config().IndexIntervalBytes)); err != nil {
		return b, false, err
	}
	var h batchHeader
	position, found, err := s.find(f, offset, limit, &h)
	if err != nil || !found {
		return tailBatch{position: position}, false, err
	}
	return tailBatch{h.baseOffset, h.lastOffset, position, h.size}, true, nil
}
