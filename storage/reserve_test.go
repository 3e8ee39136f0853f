package storage

import (
	"os"
	"syscall"
	"testing"
)

// blocks is what a file occupies on disk, in bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// TestReserveAhead: a large segment holds blocks beyond its length while it grows, and none once it is sealed.
func TestReserveAhead(t *testing.T) {
	s := newSegment(t.TempDir(), 0, 0, 0)
	s.mu.absent = true
	f, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if err := s.startIndexes(); err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	const limit = 64 << 20
	for at := int64(0); at < 10<<20; at += int64(len(chunk)) {
		end := at + int64(len(chunk))
		s.reserveAhead(f, end, limit)
		if end < reserveFrom && s.reserved != 0 {
			t.Fatalf("a segment of %d bytes took blocks up to %d", end, s.reserved)
		}
		if _, err := f.WriteAt(chunk, at); err != nil {
			t.Fatal(err)
		}
		s.size.Store(end)
	}
	if s.reserved <= s.size.Load() {
		t.Fatalf("nothing is taken ahead of %d bytes", s.size.Load())
	}
	if info, err := f.Stat(); err != nil || info.Size() != s.size.Load() {
		t.Fatalf("the file is %d bytes long, %v; want %d", info.Size(), err, s.size.Load())
	}
	if err := s.seal(); err != nil {
		t.Fatal(err)
	}
	if got := blocks(t, s.path(logSuffix)); got > s.size.Load()+1<<20 {
		t.Fatalf("the sealed segment of %d bytes occupies %d", s.size.Load(), got)
	}
}
