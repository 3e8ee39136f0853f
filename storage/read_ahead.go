package storage

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A consumer far behind reads files that are not in the page cache, an answer at a time and several partitions in turn. Linux reads 128 KiB ahead of it in each file unless it is told otherwise, so that
// every answer waits for the disk many times. Where the kernel reads less far ahead than readAheadLeast, the broker has the two answers behind each one read, on goroutines of
// its own, as soon as it sees that they are not cached. Where the kernel reads further by itself it is left alone: it takes memory in larger pieces than it does on request, for less CPU.
const (
	readAheadLeast  = 1 << 20
	readAheadBlock  = 128 << 10 // a reader is looked at whenever it comes to another one of these
	readAheadAnswer = 256 << 10 // smaller answers count as this much
	readAheadAtOnce = 8         // reads ahead of one directory; further ones are left to the kernel
	readAheadRecall = time.Second
)

// readAhead is how the files of one directory are read ahead. Its functions are replaced by tests.
type readAhead struct {
	window func() int64                             // how far the kernel reads ahead by itself, in bytes
	cached func(f *os.File, position int64) bool    // whether the page is in the page cache, or on its way there
	load   func(f *os.File, position, length int64) // has bytes read into the page cache
	slots  chan struct{}
}

func newReadAhead(dir string) readAhead {
	return readAhead{window: kernelReadAhead(dir), cached: isCached, load: loadPages, slots: make(chan struct{}, readAheadAtOnce)}
}

// lookAhead is told of a read of length bytes at position in s, of which limit bytes count. The caller holds a reference to s.
func (l *Log) lookAhead(s *segment, f *os.File, position, length, limit int64) {
	next := position + length
	if next >= limit || position/readAheadBlock == next/readAheadBlock {
		return
	}
	a := &l.dir.ahead
	if a.window() >= readAheadLeast {
		return
	}
	end := min(next+2*max(length, readAheadAnswer), limit)
	if a.cached(f, end-1) {
		return
	}
	select {
	case a.slots <- struct{}{}:
	default:
		return
	}
	s.refs.Add(1)
	go func() {
		defer func() { <-a.slots }()
		defer s.release()
		a.load(f, position, end-position)
	}()
}

// isCached reports true, too, where the kernel does not tell: before Linux 6.5, or where a sandbox forbids the question.
func isCached(f *os.File, position int64) bool {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(position), Len: 1}, &st, 0)
	return err != nil || st.Cache > 0
}

// loadPages begins to read what is not cached yet. An error is left to who comes to read the bytes.
func loadPages(f *os.File, position, length int64) {
	_ = unix.Fadvise(int(f.Fd()), position, length, unix.FADV_WILLNEED)
}

// kernelReadAhead makes a function that tells how far the kernel reads ahead in a directory, in bytes. It asks anew from time to time. Where the kernel does not tell, as far as anybody may want.
func kernelReadAhead(dir string) func() int64 {
	var window, askedAt atomic.Int64
	window.Store(askKernelReadAhead(dir))
	begun := time.Now()
	return func() int64 {
		now, last := int64(time.Since(begun)), askedAt.Load()
		if now < last+int64(readAheadRecall) || !askedAt.CompareAndSwap(last, now) {
			return window.Load()
		}
		window.Store(askKernelReadAhead(dir))
		return window.Load()
	}
}

func askKernelReadAhead(dir string) int64 {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return readAheadLeast
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	// Of a file system on a whole disk, and on a partition, whose entry stands in that of its disk.
	for _, file := range []string{"/sys/class/bdi/" + device + "/read_ahead_kb", "/sys/dev/block/" + device + "/../queue/read_ahead_kb"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if kib, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			return kib << 10
		}
	}
	return readAheadLeast
}
