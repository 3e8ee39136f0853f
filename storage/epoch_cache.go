package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// epochEntry says that a leader epoch begins at an offset.
type epochEntry struct {
	epoch int32
	start int64
}

// epochCache is leader-epoch-checkpoint in memory (LeaderEpochFileCache): epochs and starts rise strictly. Changes are
// made in memory, where an append can afford it, and stored by save before the recovery point passes them: recovery builds what lies
// behind that point from the batches. An epoch without a batch is not stored, since a start forgets it anyway; so thousands of
// partitions that nobody writes to change their leader without a write to the disk.
type epochCache struct {
	dir string // the partition's directory

	mu struct {
		sync.Mutex
		entries []epochEntry
	}
	file struct {
		sync.Mutex
		damaged bool         // the file is to be replaced whatever the epochs are
		entries []epochEntry // that the file has
	}
}

// errEpochsDamaged: the file is there and makes no sense.
var errEpochsDamaged = errors.New("leader epoch checkpoint is damaged")

func (c *epochCache) path() string { return filepath.Join(c.dir, leaderEpochFile) }

func newEpochCache(dir string) *epochCache {
	return &epochCache{dir: dir}
}

// loadEpochCache reads the file. found is false when it is missing or damaged; then the cache is empty and damage is
// returned as errEpochsDamaged.
func loadEpochCache(dir string) (c *epochCache, found bool, err error) {
	c = newEpochCache(dir)
	data, err := readSmallFile(c.path())
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	entries, err := parseEpochs(data)
	if err != nil {
		c.file.damaged = true
		return c, false, fmt.Errorf("%w: %w", errEpochsDamaged, err)
	}
	c.mu.entries, c.file.entries = entries, slices.Clone(entries)
	return c, true, nil
}

func parseEpochs(data []byte) ([]epochEntry, error) {
	var entries []epochEntry
	err := parseCheckpoint(data, func(f []string) error {
		if len(f) != 2 {
			return errors.New("not <epoch> <start offset>")
		}
		epoch, err1 := strconv.ParseInt(f[0], 10, 32)
		start, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return errors.New("not <epoch> <start offset>")
		}
		e := epochEntry{int32(epoch), start}
		if n := len(entries); n > 0 && (entries[n-1].epoch >= e.epoch || entries[n-1].start >= e.start) {
			return errors.New("epochs and offsets must rise")
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// assign records that epoch begins at start. Entries that contradict it, being of this or a later epoch or offset, give
// way; a known epoch keeps an earlier start. It reports whether anything changed.
func (c *epochCache) assign(epoch int32, start int64) bool {
	if epoch < 0 || start < 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.mu.entries)
	if n > 0 && c.mu.entries[n-1].epoch == epoch && c.mu.entries[n-1].start <= start {
		return false
	}
	for n > 0 && (c.mu.entries[n-1].epoch >= epoch || c.mu.entries[n-1].start >= start) {
		n--
	}
	c.mu.entries = append(c.mu.entries[:n], epochEntry{epoch, start})
	return true
}

// latest is the last epoch, -1 when there is none.
func (c *epochCache) latest() int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.mu.entries); n > 0 {
		return c.mu.entries[n-1].epoch
	}
	return noEpoch
}

// endOffset answers OffsetForLeaderEpoch (KIP-279): the largest epoch not above the one asked for, and where it ends.
// (-1, -1) when the epoch is unknown or later than all known. For one that is earlier than all known: that epoch
// itself, ending where the first known begins.
func (c *epochCache) endOffset(asked int32, logEnd int64) (epoch int32, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.mu.entries)
	if asked == noEpoch || n == 0 || asked > c.mu.entries[n-1].epoch {
		return noEpoch, -1
	}
	if asked == c.mu.entries[n-1].epoch {
		return asked, logEnd
	}
	epoch = asked
	for _, e := range c.mu.entries {
		if e.epoch > asked {
			return epoch, e.start
		}
		epoch = e.epoch
	}
	return epoch, logEnd
}

// forOffset is the epoch that an offset was written in, -1 when unknown.
func (c *epochCache) forOffset(offset int64) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.mu.entries) - 1; i >= 0; i-- {
		if c.mu.entries[i].start <= offset {
			return c.mu.entries[i].epoch
		}
	}
	return noEpoch
}

// truncateTail drops the epochs that begin at or behind offset.
func (c *epochCache) truncateTail(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.entries = below(c.mu.entries, offset)
}

// truncateHead drops the epochs that end before offset; the one that offset lies in begins there now.
func (c *epochCache) truncateHead(offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.mu.entries) && c.mu.entries[n].start <= offset {
		n++
	}
	if n == 0 || n == 1 && c.mu.entries[0].start == offset {
		return
	}
	c.mu.entries = c.mu.entries[n-1:]
	c.mu.entries[0].start = offset
}

// become takes over another cache's epochs.
func (c *epochCache) become(other *epochCache) {
	other.mu.Lock()
	entries := slices.Clone(other.mu.entries)
	other.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.entries = entries
}

// clear drops all epochs.
func (c *epochCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.entries = nil
}

// below are the leading entries that begin before offset.
func below(entries []epochEntry, offset int64) []epochEntry {
	n := len(entries)
	for n > 0 && entries[n-1].start >= offset {
		n--
	}
	return entries[:n]
}

// storableLocked is a copy of the epochs that have a batch below logEnd, or nil when the file has the same ones. What the file says about epochs
// without a batch counts only for exact. The caller holds file.
func (c *epochCache) storableLocked(logEnd int64, exact bool) []epochEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, stored := below(c.mu.entries, logEnd), c.file.entries
	if !exact {
		stored = below(stored, logEnd)
	}
	if !c.file.damaged && slices.Equal(entries, stored) {
		return nil
	}
	return append([]epochEntry{}, entries...)
}

// changed reports whether save has something to do.
func (c *epochCache) changed(logEnd int64) bool {
	c.file.Lock()
	defer c.file.Unlock()
	return c.storableLocked(logEnd, false) != nil
}

// save stores the epochs of a log that ends at logEnd with replace, unless the file has them. It syncs, so it runs outside the log's lock.
func (c *epochCache) save(logEnd int64, replace func(path string, data []byte) error) error {
	return c.store(logEnd, false, replace)
}

// saveCut is save after a truncation: of what was cut nothing stays in the file.
func (c *epochCache) saveCut(logEnd int64) error { return c.store(logEnd, true, writeFileAtomic) }

func (c *epochCache) store(logEnd int64, exact bool, replace func(path string, data []byte) error) error {
	c.file.Lock()
	defer c.file.Unlock()
	entries := c.storableLocked(logEnd, exact)
	if entries == nil {
		return nil
	}
	data := fmt.Appendf(nil, "%d\n%d\n", checkpointVersion, len(entries))
	for _, e := range entries {
		data = fmt.Appendf(data, "%d %d\n", e.epoch, e.start)
	}
	if err := replace(c.path(), data); err != nil {
		return err
	}
	c.file.entries, c.file.damaged = entries, false
	return nil
}
