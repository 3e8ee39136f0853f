package storage

import (
	"bytes"
	"errors"
	"testing"

	"gregor/protocol"
	"gregor/protocol/record"
)

// bounds returns the base offset of the first batch and the offset behind the last whole batch of a read.
func bounds(t *testing.T, data []byte) (first, end int64) {
	t.Helper()
	first, end = -1, -1
	for len(data) > 0 {
		b, rest, err := record.Split(data)
		if err != nil {
			break
		}
		if first < 0 {
			first = b.BaseOffset()
		}
		end, data = b.LastOffset()+1, rest
	}
	return first, end
}

// A log of 60 batches of 3 records in several segments, read at every offset up to several bounds, right after it was
// written (from memory) and after a restart (from the index).
func TestReadAtEveryOffset(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 5000, 1000 })
	l := r.log()
	for range 60 {
		mustAppend(t, l, batch(3, 100, 1700000000000))
	}
	for _, reopen := range []func(...func(string)) *Log{nil, r.restart, r.crash} {
		if reopen != nil {
			l = reopen()
		}
		for offset := int64(0); offset < 180; offset++ {
			for _, maxOffset := range []int64{offset, offset + 1, offset + 2, offset + 7, 100, 179, 180} {
				first, end := bounds(t, read(t, l, offset, 1<<20, maxOffset))
				bound := maxOffset / 3 * 3 // a batch that maxOffset lies in is not visible
				if bound <= offset/3*3 {
					if first >= 0 {
						t.Fatalf("offset %d up to %d: found %d", offset, maxOffset, first)
					}
					continue
				}
				if first != offset/3*3 || end > bound {
					t.Fatalf("offset %d up to %d: batches [%d, %d)", offset, maxOffset, first, end)
				}
			}
		}
	}
}

func TestReadLimits(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	for range 10 {
		mustAppend(t, l, batch(1, 1000, 1700000000000))
	}
	var out ReadResult
	for _, c := range []struct {
		maxBytes int
		minOne   bool
		size     int
		cut      bool
	}{
		{1 << 20, true, 10 * batchBytes, false}, {2500, false, 2500, false}, {10, true, batchBytes, false},
		{10, false, 10, true}, {0, true, batchBytes, false}, {0, false, 0, true}, {-5, false, 0, true}, {batchBytes, false, batchBytes, false},
	} {
		if err := l.Read(0, c.maxBytes, 10, c.minOne, &out); err != nil {
			t.Fatal(err)
		}
		if out.Slice.Size != c.size || out.FirstBatchIncomplete != c.cut {
			t.Errorf("%+v: size %d, incomplete %v", c, out.Slice.Size, out.FirstBatchIncomplete)
		}
		out.Slice.Release()
	}
	for _, offset := range []int64{-1, 11, 1 << 60} {
		if err := l.Read(offset, 1000, 10, true, &out); !errors.Is(err, protocol.OffsetOutOfRange) {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
	if err := l.Read(10, 1000, 10, true, &out); err != nil || out.Slice.Size != 0 {
		t.Errorf("at the log end: %v, %d bytes", err, out.Slice.Size)
	}
}

// The bytes read are the bytes appended, except for offset and leader epoch.
func TestReadReturnsWhatWasAppended(t *testing.T) {
	l := newRig(t, 1, nil).log()
	b := batch(5, 50, 1700000000000)
	var out AppendResult
	if err := l.AppendAsLeader(b, 42, FromClient, &out); err != nil {
		t.Fatal(err)
	}
	got := record.Batch(read(t, l, 0, 1<<20, 5))
	if got.PartitionLeaderEpoch() != 42 || got.BaseOffset() != 0 || !bytes.Equal(got[16:], b[16:]) {
		t.Errorf("read %x", got[:61])
	}
}

// A reader keeps its bytes while the segment is deleted under it.
func TestSliceOutlivesItsSegment(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.FileDeleteDelayMs = 3000, 0 })
	l := r.log()
	fill(t, l, 10)
	l.SetHighWatermark(10)
	var out ReadResult
	if err := l.Read(0, 1<<20, 10, true, &out); err != nil {
		t.Fatal(err)
	}
	s := l.segments.Load().list[0]
	if err := l.IncrementLogStartOffset(9); err != nil {
		t.Fatal(err)
	}
	if err := r.m.Delete(tp0); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, out.Slice.Size)
	if _, err := out.Slice.File.ReadAt(data, out.Slice.Offset); err != nil {
		t.Fatal(err)
	}
	if first, _ := bounds(t, data); first != 0 {
		t.Errorf("first batch %d", first)
	}
	out.Slice.Release()
	out.Slice.Release() // once more does no harm
	if s.refs.Load() != 0 || s.mu.file != nil {
		t.Errorf("the file is still open with %d references", s.refs.Load())
	}
	if err := l.Read(9, 100, 10, true, &out); !errors.Is(err, protocol.NotLeaderOrFollower) {
		t.Errorf("read of a deleted log: %v", err)
	}
}

func TestOffsetForTimestamp(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 11000, 2000 })
	l := r.log()
	for i := range int64(100) { // 300 records, 10 ms apart between batches, 1 ms inside
		mustAppend(t, l, batch(3, 300, 1000+i*10))
	}
	for _, reopen := range []func(...func(string)) *Log{nil, r.restart, r.crash} {
		if reopen != nil {
			l = reopen()
		}
		for i := range int64(100) {
			for delta, want := range map[int64]int64{-5: 0, 0: 0, 1: 1, 2: 2} {
				got, err := l.OffsetForTimestamp(1000+i*10+delta, 300)
				if err != nil || got.Offset != i*3+want || got.Timestamp != 1000+i*10+want || got.LeaderEpoch != 0 {
					t.Fatalf("batch %d%+d: %+v, %v", i, delta, got, err)
				}
			}
		}
		if got, err := l.OffsetForTimestamp(1993, 300); err != nil || got != nothingFound {
			t.Errorf("behind the last: %+v, %v", got, err)
		}
		if got, err := l.OffsetForTimestamp(1500, 100); err != nil || got != nothingFound {
			t.Errorf("above the bound: %+v, %v", got, err)
		}
		if got, err := l.OffsetOfMaxTimestamp(); err != nil || got != (TimestampOffset{1992, 299, 0}) {
			t.Errorf("largest: %+v, %v", got, err)
		}
	}
	l.SetHighWatermark(300)
	if err := l.IncrementLogStartOffset(50); err != nil {
		t.Fatal(err)
	}
	if got, err := l.OffsetForTimestamp(0, 300); err != nil || got.Offset != 50 {
		t.Errorf("from the log start: %+v, %v", got, err)
	}
}

// Timestamps that do not rise: the first offset that is young enough counts.
func TestOffsetForTimestampOutOfOrder(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.IndexIntervalBytes = 0 })
	l := r.log()
	for _, ts := range []int64{100, 500, 200, 400, 600, 300} {
		mustAppend(t, l, batch(1, 10, ts))
	}
	for _, reopen := range []func(...func(string)) *Log{nil, r.restart, r.crash} {
		if reopen != nil {
			l = reopen()
		}
		for ts, want := range map[int64]int64{50: 0, 150: 1, 500: 1, 501: 4, 600: 4, 601: -1} {
			if got, err := l.OffsetForTimestamp(ts, 6); err != nil || got.Offset != want {
				t.Errorf("timestamp %d: %+v, %v, want %d", ts, got, err, want)
			}
		}
		if got, err := l.OffsetOfMaxTimestamp(); err != nil || got.Offset != 4 {
			t.Errorf("largest: %+v, %v", got, err)
		}
	}
	if got, err := newRig(t, 1, nil).log().OffsetOfMaxTimestamp(); err != nil || got != nothingFound {
		t.Errorf("of an empty log: %+v, %v", got, err)
	}
}

// Messages of formats 0 and 1 that an old Kafka wrote are recovered, served as they are, and followed by new batches.
func TestOldMessageFormats(t *testing.T) {
	r := newRig(t, 1, nil)
	r.log()
	old := append(oldMessage(0, 0, 0, "zero"), oldMessage(1, 1, 1234, "one")...)
	old = append(old, oldMessage(1, 2, 2345, "two")...)
	l := r.crash(overwriteOrCreate(firstSegment+".log", old))
	if l.LogEndOffset() != 3 {
		t.Fatalf("the log ends at %d", l.LogEndOffset())
	}
	if got := read(t, l, 0, 1<<20, 3); !bytes.Equal(got, old) {
		t.Errorf("read %x", got)
	}
	if got, err := l.OffsetForTimestamp(2000, 3); err != nil || got.Offset != 2 || got.Timestamp != 2345 {
		t.Errorf("offset for a timestamp: %+v, %v", got, err)
	}
	mustAppend(t, l, batch(1, 10, 3000))
	for _, reopen := range []func(...func(string)) *Log{r.restart, r.crash} {
		if l = reopen(); l.LogEndOffset() != 4 {
			t.Fatalf("the log ends at %d", l.LogEndOffset())
		}
	}
	old[20] ^= 1
	if l = r.crash(overwriteOrCreate(firstSegment+".log", old)); l.LogEndOffset() != 0 {
		t.Errorf("a wrong checksum in the first message leaves offsets up to %d", l.LogEndOffset())
	}
}

// What a reader remembers of where batches lie (the end of the last one, a block of the index) must not outlive a truncation: afterwards a client's
// bytes may lie there, which look like a batch.
func TestTruncationForgetsWhereBatchesLay(t *testing.T) {
	for name, warm := range map[string]func(*Log){
		"the end of the batch read last": func(l *Log) { read(t, l, 100, 1, 200) },
		"a block of the index":           func(l *Log) { read(t, l, 101, 1, 200); read(t, l, 10, 1, 200) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newRig(t, 1, func(c *LogConfig) { c.IndexIntervalBytes = 1 }).log()
			fill(t, l, 200)
			flush := func() {
				if err := l.Flush(); err != nil { // brings index entries from memory into the file
					t.Fatal(err)
				}
			}
			flush()
			var where ReadResult
			if err := l.Read(101, 1, 200, true, &where); err != nil {
				t.Fatal(err)
			}
			trap := where.Slice.Offset
			where.Slice.Release()
			if err := l.Read(50, 1, 200, true, &where); err != nil {
				t.Fatal(err)
			}
			cut := where.Slice.Offset
			where.Slice.Release()
			warm(l)
			if err := l.TruncateTail(50); err != nil {
				t.Fatal(err)
			}
			fake := batch(1, 10, 1700000000000)
			fake.SetBaseOffset(101)
			value := bytes.Repeat([]byte{'x'}, 60000)
			hull := func() record.Batch {
				w := record.NewBuilder(record.None)
				w.Add(1700000000000, nil, value)
				return w.Build()
			}
			copy(value[int(trap-cut)-bytes.Index(hull(), []byte("xxxxxxxx")):], fake)
			mustAppend(t, l, hull())
			fill(t, l, 150)
			flush()
			b, _, err := record.Split(read(t, l, 101, 1, 201))
			if err != nil || b.BaseOffset() != 101 || len(b) == len(fake) {
				t.Fatalf("found a batch of %d bytes with base offset %d: %v", len(b), b.BaseOffset(), err)
			}
		})
	}
}
