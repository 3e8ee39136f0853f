package storage

import (
	"encoding/binary"
	"errors"
	"math"
)

// Entries of the two indexes of a segment; offsets are relative to the segment's base.
//
//	.index      int32 relative offset, int32 position      last offset of a batch, and where that batch begins
//	.timeindex  int64 timestamp, int32 relative offset     largest timestamp so far, last offset of the batch that bears it
const (
	offsetEntrySize = 8
	timeEntrySize   = 12
)

// errIndexDamaged: the entries contradict each other or the log; the index is rebuilt.
var errIndexDamaged = errors.New("index is damaged")

// offsetIndex finds the position from which a scan for an offset starts.
type offsetIndex struct{ indexFile }

func newOffsetIndex(dir string, base int64) *offsetIndex {
	return &offsetIndex{indexFile{dir: dir, base: base, entrySize: offsetEntrySize}}
}

func (x *offsetIndex) append(lastOffset, position int64) error {
	var e [offsetEntrySize]byte
	binary.BigEndian.PutUint32(e[:], uint32(lastOffset-x.base))
	binary.BigEndian.PutUint32(e[4:], uint32(position))
	return x.indexFile.append(e[:])
}

// lookup returns the position of a batch at or below offset: 0 when the index has none.
func (x *offsetIndex) lookup(offset int64) (int64, error) {
	target := offset - x.base
	var e [offsetEntrySize]byte
	n, err := x.countWhere(func(e []byte) bool { return int64(int32(binary.BigEndian.Uint32(e))) <= target }, e[:])
	if err != nil || n == 0 {
		return 0, err
	}
	return int64(int32(binary.BigEndian.Uint32(e[4:]))), nil
}

// truncate drops the entries of batches that end at or behind offset.
func (x *offsetIndex) truncate(offset int64) error {
	var e [offsetEntrySize]byte
	n, err := x.countWhere(func(e []byte) bool { return x.base+int64(int32(binary.BigEndian.Uint32(e))) < offset }, e[:])
	if err != nil {
		return err
	}
	return x.indexFile.truncate(n)
}

// lastPosition is the position of the last entry, 0 when there is none, after a look at its plausibility.
func (x *offsetIndex) lastPosition(logSize int64) (int64, error) {
	position, _, err := x.lastEntry(logSize)
	return position, err
}

// lastEntry is lastPosition, with the last offset of the batch there, -1 when there is no entry.
func (x *offsetIndex) lastEntry(logSize int64) (position, lastOffset int64, err error) {
	var e [offsetEntrySize]byte
	ok, err := x.last(e[:])
	if err != nil || !ok {
		return 0, -1, err
	}
	offset, position := int32(binary.BigEndian.Uint32(e[:])), int64(int32(binary.BigEndian.Uint32(e[4:])))
	// A file that Kafka preallocated and never trimmed ends in zeros; Kafka never writes an entry for position 0.
	if offset < 0 || position <= 0 || position >= logSize {
		return 0, -1, errIndexDamaged
	}
	return position, x.base + int64(offset), nil
}

// timeIndex finds the offset from which a scan for a timestamp starts.
type timeIndex struct{ indexFile }

func newTimeIndex(dir string, base int64) *timeIndex {
	return &timeIndex{indexFile{dir: dir, base: base, entrySize: timeEntrySize}}
}

// maybeAppend adds an entry when the timestamp is larger than the last one's.
func (x *timeIndex) maybeAppend(timestamp, offset int64) error {
	if timestamp == noTimestamp {
		return nil
	}
	lastTimestamp, lastOffset, err := x.lastEntry()
	if err != nil || timestamp <= lastTimestamp || offset < lastOffset {
		return err
	}
	var e [timeEntrySize]byte
	binary.BigEndian.PutUint64(e[:], uint64(timestamp))
	binary.BigEndian.PutUint32(e[8:], uint32(offset-x.base))
	return x.indexFile.append(e[:])
}

// lastEntry is (-1, base) for an empty index.
func (x *timeIndex) lastEntry() (timestamp, offset int64, err error) {
	var e [timeEntrySize]byte
	ok, err := x.last(e[:])
	if err != nil || !ok {
		return noTimestamp, x.base, err
	}
	rel := int32(binary.BigEndian.Uint32(e[8:]))
	timestamp = int64(binary.BigEndian.Uint64(e[:]))
	if rel < 0 || timestamp < 0 {
		return noTimestamp, x.base, errIndexDamaged
	}
	return timestamp, x.base + int64(rel), nil
}

// check finds the damage that can be seen without reading the log: a last entry that is below the one before it, as in
// a preallocated file that was never trimmed.
func (x *timeIndex) check() error {
	lastTimestamp, lastOffset, err := x.lastEntry()
	if err != nil {
		return err
	}
	n := x.count()
	if n < 2 {
		if n == 1 && lastTimestamp == 0 && lastOffset == x.base {
			return errIndexDamaged
		}
		return nil
	}
	var e [timeEntrySize]byte
	if err := x.entry(n-2, e[:]); err != nil {
		return err
	}
	if int64(binary.BigEndian.Uint64(e[:])) >= lastTimestamp {
		return errIndexDamaged
	}
	return nil
}

// lookup returns the offset of the last entry whose timestamp is below the one asked for: no record before that
// batch's end is as young. The base offset when there is none.
func (x *timeIndex) lookup(timestamp int64) (int64, error) {
	var e [timeEntrySize]byte
	n, err := x.countWhere(func(e []byte) bool { return int64(binary.BigEndian.Uint64(e)) < timestamp }, e[:])
	if err != nil || n == 0 {
		return x.base, err
	}
	return x.base + int64(int32(binary.BigEndian.Uint32(e[8:]))), nil
}

// truncate drops the entries for offsets at or behind offset.
func (x *timeIndex) truncate(offset int64) error {
	var e [timeEntrySize]byte
	n, err := x.countWhere(func(e []byte) bool { return x.base+int64(int32(binary.BigEndian.Uint32(e[8:]))) < offset }, e[:])
	if err != nil {
		return err
	}
	return x.indexFile.truncate(n)
}

// fitsIndex reports whether an offset and a position can be stored relative to base.
func fitsIndex(base, offset, position int64) bool {
	return offset-base >= 0 && offset-base <= math.MaxInt32 && position >= 0 && position <= math.MaxInt32
}
