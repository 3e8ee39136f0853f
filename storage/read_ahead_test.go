package storage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// aheadRig is a log of 8 MiB in a directory where the kernel reads 128 KiB ahead and nothing is cached, or what a test says instead.
type aheadRig struct {
	*Log
	asked int           // how often the page cache was asked
	loads chan [2]int64 // position and length of what was read ahead
}

func newAheadRig(t *testing.T) *aheadRig {
	r := &aheadRig{Log: newRig(t, 1, nil).log(), loads: make(chan [2]int64, 1000)}
	filled(t, r.Log, 8<<20)
	a := &r.dir.ahead
	a.window = func() int64 { return 128 << 10 }
	a.cached = func(*os.File, int64) bool { r.asked++; return false }
	a.load = func(_ *os.File, position, length int64) { r.loads <- [2]int64{position, length} }
	return r
}

// read reads from an offset on and returns the slice's position and the offset behind it. Reads ahead are over when it returns.
func (r *aheadRig) read(t *testing.T, offset int64, maxBytes int) (position, size int64) {
	t.Helper()
	var in ReadResult
	if err := r.Read(offset, maxBytes, r.LogEndOffset(), true, &in); err != nil || in.Slice.Size == 0 {
		t.Fatal(err, in.Slice.Size)
	}
	defer in.Slice.Release()
	for range readAheadAtOnce {
		r.dir.ahead.slots <- struct{}{}
	}
	for range readAheadAtOnce {
		<-r.dir.ahead.slots
	}
	return in.Slice.Offset, int64(in.Slice.Size)
}

func (r *aheadRig) loaded() (all [][2]int64) {
	for {
		select {
		case l := <-r.loads:
			all = append(all, l)
		default:
			return all
		}
	}
}

// A reader who finds nothing in the page cache has this answer and the next two read; nobody else has anything read.
func TestReadAheadOfColdReader(t *testing.T) {
	r := newAheadRig(t)
	end := r.segments.Load().list[0].size.Load()
	position, size := r.read(t, 100, 1<<20)
	if got := r.loaded(); !slices.Equal(got, [][2]int64{{position, 3 * size}}) {
		t.Errorf("read ahead %v, want %d bytes at %d", got, 3*size, position)
	}
	if r.read(t, 100, 16<<10); r.asked > 2 {
		t.Errorf("asked %d times for two answers", r.asked)
	}
	r.loaded()
	position, _ = r.read(t, r.LogEndOffset()*15/16, 400<<10)
	if got := r.loaded(); !slices.Equal(got, [][2]int64{{position, end - position}}) {
		t.Errorf("near the end: read ahead %v, want up to the end, %d", got, end)
	}

	quiet := func(what string, offset int64, maxBytes, asked int) {
		t.Helper()
		r.asked = 0
		if r.read(t, offset, maxBytes); len(r.loaded()) != 0 || r.asked != asked {
			t.Errorf("%s: something was read ahead, or asked %d times, want %d", what, r.asked, asked)
		}
	}
	quiet("the last answer", r.LogEndOffset()*15/16, 1<<20, 0)
	cached := r.dir.ahead.cached
	r.dir.ahead.cached = func(f *os.File, at int64) bool { cached(f, at); return true }
	quiet("what is cached", 100, 1<<20, 1)
	r.dir.ahead.cached = cached
	r.dir.ahead.window = func() int64 { return readAheadLeast }
	quiet("where the kernel reads ahead", 100, 1<<20, 0)
}

// Small answers ask the page cache once for every block.
func TestReadAheadAsksOncePerBlock(t *testing.T) {
	r := newAheadRig(t)
	blocks, last := 0, int64(0)
	for offset := int64(0); offset < r.LogEndOffset()/2; offset += 16 {
		position, size := r.read(t, offset, 1)
		if next := position + size; next/readAheadBlock != last {
			blocks, last = blocks+1, next/readAheadBlock
		}
	}
	if r.asked != blocks || blocks < 10 {
		t.Errorf("asked %d times in %d blocks", r.asked, blocks)
	}
}

// What is read ahead does not wait in line, and holds the file open when its segment is deleted meanwhile.
func TestReadAheadIsBounded(t *testing.T) {
	r := newAheadRig(t)
	begun, goOn, names := make(chan struct{}, 100), make(chan struct{}), make(chan error, 100)
	r.dir.ahead.load = func(f *os.File, _, _ int64) {
		begun <- struct{}{}
		<-goOn
		_, err := f.Stat()
		names <- err
	}
	var in ReadResult
	for range 3 * readAheadAtOnce {
		if err := r.Read(0, 1<<20, r.LogEndOffset(), true, &in); err != nil {
			t.Fatal(err)
		}
		in.Slice.Release()
	}
	for range readAheadAtOnce {
		<-begun
	}
	s := r.segments.Load().list[0]
	s.discard()
	close(goOn)
	for range readAheadAtOnce {
		if err := <-names; err != nil {
			t.Error(err)
		}
	}
	for range readAheadAtOnce { // all are over
		r.dir.ahead.slots <- struct{}{}
	}
	if len(begun) != 0 || s.refs.Load() != 0 {
		t.Errorf("%d more than %d were read at once; references left: %d", len(begun), readAheadAtOnce, s.refs.Load())
	}
}

// The kernel is asked for a page, and for the directory's device.
func TestKernelTellsWhatIsCached(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 8192)); err != nil {
		t.Fatal(err)
	}
	if !isCached(f, 5000) {
		t.Error("what was just written is not cached")
	}
	err = unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 1}, new(unix.Cachestat_t), 0)
	if told := err == nil; isCached(f, 1<<20) == told {
		t.Errorf("behind the end of the file: cached, although the kernel tells (%v)", told)
	}
	loadPages(f, 0, 8192)
	if window := kernelReadAhead(filepath.Join(t.TempDir(), "missing"))(); window != readAheadLeast {
		t.Errorf("of a missing directory: %d", window)
	}
}
