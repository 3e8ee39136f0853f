package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// indexBlock is how many bytes of entries are gathered before they are written, and read at once at the end of a search.
const indexBlock = 4 << 10

var indexBlocks = sync.Pool{New: func() any { return new([indexBlock]byte) }}

// indexFile is an append-only file of entries of one size, in rising order of their keys. It is not mapped: a first
// touch of a mapped file pulls in whatever the device's read-ahead says. New entries gather in memory and go out a
// block at a time, so that an append to the log costs one write and not three; what a crash takes is rebuilt from the
// log, as recovery does anyway. A search costs a few reads of the page cache; the block that it ends in is kept, so that the next one nearby, of a
// consumer that reads on, costs none.
type indexFile struct {
	dir       string // the partition's directory
	base      int64  // the segment's base offset
	entrySize int64

	mu struct {
		sync.Mutex
		f       *os.File // nil until needed
		written int64    // entries in the file
		pending []byte   // entries behind them
		near    []byte   // entries of the file from nearAt on, which the last search ended in; nil before the first
		nearAt  int64
		last    []byte // the last entry, which nearly every append looks at; of no use when there are not lastOf entries
		lastOf  int64
		cuts    int  // counts truncations: what was read before one is not kept
		dirty   bool // something was written since the last fsync
		exists  bool // the file is there
	}
}

// path is put together when it is needed: most of thousands of logs never open their indexes.
func (x *indexFile) path() string {
	suffix := indexSuffix
	if x.entrySize == timeEntrySize {
		suffix = timeIndexSuffix
	}
	return filepath.Join(x.dir, offsetFileName(x.base, suffix))
}

// open takes the entries that the file holds. A missing file is an empty index, made at the first write; present
// tells which. whole is false when the length is no multiple of the entry size.
func (x *indexFile) open() (present, whole bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, err := openFile(x.path(), os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return false, true, nil
	}
	if err != nil {
		return false, false, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return false, false, err
	}
	x.mu.f, x.mu.exists = f, true
	x.mu.written = st.Size() / x.entrySize
	return true, st.Size()%x.entrySize == 0, nil
}

// count is the number of entries.
func (x *indexFile) count() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.countLocked()
}

func (x *indexFile) countLocked() int64 { return x.mu.written + int64(len(x.mu.pending))/x.entrySize }

// append adds an entry. Only the log's writer calls it.
func (x *indexFile) append(entry []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.pending == nil {
		x.mu.pending = make([]byte, 0, indexBlock)
	}
	if len(x.mu.pending)+len(entry) > indexBlock {
		if err := x.writeLocked(); err != nil {
			return err
		}
	}
	x.mu.pending = append(x.mu.pending, entry...)
	x.mu.last, x.mu.lastOf = append(x.mu.last[:0], entry...), x.countLocked()
	return nil
}

// write brings gathered entries into the file, creating it when it is missing.
func (x *indexFile) write() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.writeLocked()
}

func (x *indexFile) writeLocked() error {
	if x.mu.f == nil {
		f, err := openFile(x.path(), os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		x.mu.f, x.mu.exists = f, true
	}
	if len(x.mu.pending) == 0 {
		return nil
	}
	if _, err := x.mu.f.WriteAt(x.mu.pending, x.mu.written*x.entrySize); err != nil {
		return err
	}
	x.mu.written = x.countLocked()
	x.mu.pending = x.mu.pending[:0]
	x.mu.dirty = true
	return nil
}

// sync makes the index durable. The fsync itself runs outside the lock.
func (x *indexFile) sync() error {
	x.mu.Lock()
	err := x.writeLocked()
	f, dirty := x.mu.f, x.mu.dirty
	x.mu.dirty = false
	x.mu.Unlock()
	if err != nil || !dirty {
		return err
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// entry reads entry i into dst.
func (x *indexFile) entry(i int64, dst []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entryLocked(i, dst)
}

func (x *indexFile) entryLocked(i int64, dst []byte) error {
	if i >= x.mu.written {
		copy(dst, x.mu.pending[(i-x.mu.written)*x.entrySize:])
		return nil
	}
	_, err := x.mu.f.ReadAt(dst[:x.entrySize], i*x.entrySize)
	return err
}

// last reads the last entry into dst; ok is false when there is none.
func (x *indexFile) last(dst []byte) (ok bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.countLocked()
	if n == 0 {
		return false, nil
	}
	if x.mu.lastOf != n {
		entry := make([]byte, x.entrySize)
		if err := x.entryLocked(n-1, entry); err != nil {
			return false, err
		}
		x.mu.last, x.mu.lastOf = entry, n
	}
	copy(dst, x.mu.last)
	return true, nil
}

// countWhere returns how many leading entries satisfy in, which must hold for a prefix of them and for nothing
// behind it. The last entry of that prefix is copied to dst. The file is read outside the lock, so that a reader of cold
// entries does not hold up the writer; io.EOF means that the index was cut meanwhile.
func (x *indexFile) countWhere(in func(entry []byte) bool, dst []byte) (int64, error) {
	x.mu.Lock()
	f, written, cuts := x.mu.f, x.mu.written, x.mu.cuts
	n, ok := x.countInMemoryLocked(in, dst)
	x.mu.Unlock()
	if ok {
		return n, nil
	}

	block := indexBlocks.Get().(*[indexBlock]byte)
	defer indexBlocks.Put(block)
	perBlock := indexBlock / x.entrySize
	lo, hi := int64(0), written // entries below lo satisfy in, those from hi on do not
	for hi-lo > perBlock {
		mid := lo + (hi-lo)/2
		if _, err := f.ReadAt(block[:x.entrySize], mid*x.entrySize); err != nil {
			return 0, err
		}
		if in(block[:x.entrySize]) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	lo = max(lo-1, 0) // the entry before the first that does not satisfy belongs to the answer
	b := block[:min(written-lo, perBlock)*x.entrySize]
	if len(b) == 0 {
		return 0, nil
	}
	if _, err := f.ReadAt(b, lo*x.entrySize); err != nil {
		return 0, err
	}
	x.keepNear(b, lo, cuts)
	n = prefixIn(b, x.entrySize, in)
	if n > 0 {
		copy(dst, b[(n-1)*x.entrySize:n*x.entrySize])
	}
	return lo + n, nil
}

// countInMemoryLocked is countWhere when the entries at hand settle it.
func (x *indexFile) countInMemoryLocked(in func(entry []byte) bool, dst []byte) (n int64, ok bool) {
	at, b := x.mu.written, x.mu.pending
	if len(b) == 0 || !in(b[:x.entrySize]) {
		at, b = x.mu.nearAt, x.mu.near
		end := at + int64(len(b))/x.entrySize
		if len(b) == 0 || !in(b[:x.entrySize]) || end < x.mu.written && in(b[len(b)-int(x.entrySize):]) {
			return 0, false
		}
	}
	n = prefixIn(b, x.entrySize, in)
	copy(dst, b[(n-1)*x.entrySize:n*x.entrySize])
	return at + n, true
}

// keepNear remembers entries that were read from the file, unless the index was cut since.
func (x *indexFile) keepNear(entries []byte, at int64, cuts int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.cuts != cuts {
		return
	}
	if x.mu.near == nil {
		x.mu.near = make([]byte, 0, indexBlock)
	}
	x.mu.near, x.mu.nearAt = append(x.mu.near[:0], entries...), at
}

// prefixIn is the binary search of countWhere in memory.
func prefixIn(b []byte, size int64, in func([]byte) bool) int64 {
	lo, hi := int64(0), int64(len(b))/size
	for lo < hi {
		mid := lo + (hi-lo)/2
		if in(b[mid*size : (mid+1)*size]) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// truncate keeps the first n entries.
func (x *indexFile) truncate(n int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.writeLocked(); err != nil {
		return err
	}
	if n == x.mu.written {
		return nil
	}
	if err := x.mu.f.Truncate(n * x.entrySize); err != nil {
		return err
	}
	x.mu.written, x.mu.dirty = n, true
	x.forgetNearLocked()
	return nil
}

// changed reports whether entries are not durable.
func (x *indexFile) changed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.mu.dirty || len(x.mu.pending) > 0
}

// abandon closes the file without writing: its segment is being removed, or rests, or its directory has failed.
func (x *indexFile) abandon() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.f != nil {
		x.mu.f.Close()
	}
	x.mu.f, x.mu.pending, x.mu.written = nil, nil, 0
	x.forgetNearLocked()
}

func (x *indexFile) forgetNearLocked() {
	x.mu.near, x.mu.lastOf = nil, 0
	x.mu.cuts++
}
