package storage

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listSegments reads the partition's directory: it finishes or undoes what a crash interrupted, and returns the files that are there and the segments by
// rising base. Index files without a log file go.
func (l *Log) listSegments() (files []string, segments []*segment, err error) {
	if files, err = l.finishSwaps(); err != nil {
		return nil, nil, err
	}
	for _, name := range files {
		base, ok := parseOffsetFileName(name, logSuffix)
		if !ok {
			continue
		}
		st, err := os.Stat(filepath.Join(l.path, name))
		if err != nil {
			return nil, nil, err
		}
		segments = append(segments, newSegment(l.path, base, st.Size(), st.ModTime().UnixMilli()))
	}
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Compare(a.base, b.base) })
	for _, name := range files {
		for _, suffix := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
			base, ok := parseOffsetFileName(name, suffix)
			if !ok {
				continue
			}
			if _, ok := slices.BinarySearchFunc(segments, base, func(s *segment, o int64) int { return cmp.Compare(s.base, o) }); ok {
				continue
			}
			l.warn("removing an index without a log file", "file", name)
			if err := removeIfExists(filepath.Join(l.path, name)); err != nil {
				return nil, nil, err
			}
		}
	}
	return files, segments, nil
}

// finishSwaps applies Kafka's rules for what a compaction or a segment split leaves behind when it is interrupted: .deleted and
// .cleaned files go; complete .swap logs take the place of the segments in their range, unless a .cleaned file
// shows that the set of them was not complete. It returns the files that are there afterwards.
func (l *Log) finishSwaps() ([]string, error) {
	names, err := readDirNames(l.path)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(names, isLeftover) {
		return names, nil
	}
	if err := l.clearLeftovers(names); err != nil {
		return nil, err
	}
	return readDirNames(l.path)
}

// isLeftover reports whether a file is one of an operation that was interrupted.
func isLeftover(name string) bool {
	return strings.HasSuffix(name, cleanedSuffix) || strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, swapSuffix)
}

// clearLeftovers is finishSwaps for a directory that has leftovers.
func (l *Log) clearLeftovers(names []string) (err error) {
	smallestCleaned := int64(math.MaxInt64)
	var swaps []string
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, cleanedSuffix):
			if o, ok := leadingOffset(name); ok {
				smallestCleaned = min(smallestCleaned, o)
			}
			fallthrough
		case strings.HasSuffix(name, deletedSuffix):
			err = removeIfExists(filepath.Join(l.path, name))
		case strings.HasSuffix(name, swapSuffix):
			swaps = append(swaps, name)
		}
		if err != nil {
			return err
		}
	}
	swaps = slices.DeleteFunc(swaps, func(name string) bool {
		o, _ := leadingOffset(name)
		if o < smallestCleaned {
			return false
		}
		err = errors.Join(err, removeIfExists(filepath.Join(l.path, name)))
		return true
	})
	if err != nil || len(swaps) == 0 {
		return err
	}
	return l.swapIn(swaps, names)
}

// swapIn replaces the segments that the .swap logs cover, and gives the .swap files their final names.
func (l *Log) swapIn(swaps, names []string) error {
	from, to := int64(math.MaxInt64), int64(0)
	for _, name := range swaps {
		base, ok := parseOffsetFileName(name, logSuffix+swapSuffix)
		if !ok {
			continue
		}
		end, err := l.swapEnd(name, base)
		if err != nil {
			return err
		}
		from, to = min(from, base), max(to, end)
	}
	for _, name := range names {
		if o, ok := leadingOffset(name); ok && o >= from && o < to && isSegmentFile(name) {
			if err := removeIfExists(filepath.Join(l.path, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range swaps {
		path := filepath.Join(l.path, name)
		l.info("completing the swap of a segment", "file", name)
		if err := os.Rename(path, strings.TrimSuffix(path, swapSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(l.path)
}

// swapEnd is the offset behind the last batch of a .swap log.
func (l *Log) swapEnd(name string, base int64) (int64, error) {
	f, err := os.Open(filepath.Join(l.path, name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	scan := newBatchScanner(f, 0, st.Size())
	defer scan.done()
	end := base
	for {
		var h batchHeader
		ok, err := scan.next(&h)
		if err != nil || !ok {
			return end, err
		}
		end = max(end, h.lastOffset+1)
	}
}

// leadingOffset is the offset that a segment file's name begins with, whatever its suffixes.
func leadingOffset(name string) (int64, bool) {
	digits, _, _ := strings.Cut(name, ".")
	return parseOffsetFileName(digits, "")
}

func isSegmentFile(name string) bool {
	switch filepath.Ext(name) {
	case logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix:
		return true
	}
	return false
}
