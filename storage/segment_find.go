package storage

import (
	"io"
	"os"
)

// positionOf finds where the first batch begins whose last offset is not below offset; end when there is none.
// The indexes are open.
func (s *segment) positionOf(f *os.File, offset, end int64) (int64, error) {
	position, _, err := s.find(f, offset, end, nil)
	return position, err
}

// find is positionOf, with the header of that batch in h when it is not nil; found is false at the end.
func (s *segment) find(f *os.File, offset, end int64, h *batchHeader) (position int64, found bool, err error) {
	var local batchHeader
	if h == nil {
		h = &local
	}
	s.mu.Lock()
	index, next := s.indexLocked(), s.mu.next
	s.mu.Unlock()
	if next.offset == offset && next.position > 0 && next.position < end {
		position, found, ok, err := s.scanFor(f, offset, next.position, end, h)
		if ok || err != nil {
			return position, found, err
		}
		// Offsets are missing behind the boundary.
	}
	from, err := index.lookup(offset)
	if err != nil && err != io.EOF { // cut while it was read: do without it
		return 0, false, err
	}
	if from > 0 {
		position, found, ok, err := s.scanFor(f, offset, from, end, h)
		if ok || err != nil {
			return position, found, err
		}
		// The index points to no batch, or behind the offset: do without it.
	}
	position, found, ok, err := s.scanFor(f, offset, 0, end, h)
	if err == nil && !ok {
		err = corrupt("segment %s has no batch at position %d", s.path(logSuffix), position)
	}
	return position, found, err
}

// boundary is where a batch ends and the next one begins: the offset behind the former, and the position of the latter.
type boundary struct{ offset, position int64 }

// boundaryBehind remembers the end of a batch that a reader found: who reads batch by batch asks for that offset next. cuts is what s.mu.cuts was
// before the batch was looked up; a truncation since then forbids it.
func (s *segment) boundaryBehind(b *tailBatch, cuts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cuts == cuts {
		s.mu.next = boundary{b.lastOffset + 1, b.position + b.size}
	}
}

// cutsSoFar counts truncations of the segment.
func (s *segment) cutsSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.cuts
}

// scanFor walks from a position. ok is false when the bytes there are no batch of this segment, or one that lies behind
// offset although it is not the first.
func (s *segment) scanFor(f *os.File, offset, from, end int64, h *batchHeader) (position int64, found, ok bool, err error) {
	scan := newBatchScanner(f, from, end)
	defer scan.done()
	for scan.pos < end {
		got, err := scan.next(h)
		if err != nil {
			return scan.pos, false, false, err
		}
		if !got || h.lastOffset < s.base {
			return scan.pos, false, false, nil
		}
		if h.lastOffset >= offset {
			trusted := h.position != from || from == 0 || h.baseOffset <= offset
			return h.position, true, trusted, nil
		}
	}
	return end, false, scan.pos == end, nil
}
