package storage

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// A growing segment takes its disk blocks ahead of its bytes, in steps of half its size: an append then costs up to a third less, and the file
// is laid out in large pieces. The length of the file is what was written all the same, so that a crash leaves no zeros behind. Small
// segments take nothing ahead, so that thousands of quiet partitions cost no space.
const (
	reserveFrom    = 8 << 20  // segments smaller than this take no blocks ahead
	reserveMaxStep = 64 << 20 // the most that is taken at once
)

// reserveAhead takes blocks for an append that ends at end, in a segment that grows to limit bytes at most. Failing to is no error: the append finds
// out itself whether the disk is full. The caller holds the log's lock.
func (s *segment) reserveAhead(f *os.File, end, limit int64) {
	if end < reserveFrom || end <= s.reserved {
		return
	}
	step := min(end/2, reserveMaxStep, limit-end)
	if step <= 0 {
		return
	}
	if err := allocate(f, end, step); err != nil {
		s.reserved = math.MaxInt64 // full, or a file system that cannot: not asked again for this segment
		return
	}
	s.reserved = end + step
}

// giveBack returns the blocks beyond the segment's bytes. The caller holds the log's lock.
func (s *segment) giveBack(f *os.File) error {
	size := s.size.Load()
	if s.reserved <= size {
		return nil
	}
	s.reserved = 0
	return f.Truncate(size)
}

// preallocate reserves a whole segment's blocks (preallocate=true). A file system that cannot is no error: appends simply grow the file.
func (s *segment) preallocate(bytes int64) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	err = allocate(f, 0, bytes)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = nil
	}
	if err == nil {
		s.reserved = bytes
	}
	return err
}

// allocate takes blocks without changing the file's length.
func allocate(f *os.File, offset, length int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length)
}
