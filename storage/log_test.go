package storage

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
)

func overwriteOrCreate(name string, data []byte) func(string) {
	return func(dir string) { os.WriteFile(filepath.Join(dir, "t-0", name), data, 0o644) }
}

func TestAppendReopenRead(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 20000 })
	fill(t, r.log(), 100)
	expectOffsets(t, r.log(), 0, 100)
	expectOffsets(t, r.restart(), 0, 100)
	fill(t, r.log(), 50)
	expectOffsets(t, r.crash(), 0, 150)
	fill(t, r.log(), 10)
	expectOffsets(t, r.restart(), 0, 160)
}

func TestAppendRefuses(t *testing.T) {
	good := batch(2, 10, 1700000000000)
	change := func(f func(record.Batch)) []byte { b := append(record.Batch(nil), good...); f(b); return b }
	for _, c := range []struct {
		name string
		set  []byte
		code protocol.ErrorCode
	}{
		{"nothing", nil, protocol.InvalidRecord},
		{"a cut batch", good[:len(good)-1], protocol.InvalidRecord},
		{"two batches", append(append([]byte(nil), good...), good...), protocol.InvalidRecord},
		{"format 0", oldMessage(0, 0, 0, "x"), protocol.InvalidRecord},
		{"format 1", oldMessage(1, 0, 5, "x"), protocol.InvalidRecord},
		{"format 3", change(func(b record.Batch) { b[16] = 3 }), protocol.CorruptMessage},
		{"length 3", change(func(b record.Batch) { copy(b[8:], []byte{0, 0, 0, 3}) }), protocol.CorruptMessage},
		{"negative length", change(func(b record.Batch) { b[8] = 0xff }), protocol.CorruptMessage},
		{"wrong checksum", change(func(b record.Batch) { b[len(b)-1] ^= 1 }), protocol.CorruptMessage},
		{"too large", batch(1, 3000, 1700000000000), protocol.MessageTooLarge},
		{"larger than a segment", batch(1, 1900, 1700000000000), protocol.RecordListTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1, func(c *LogConfig) { c.MaxMessageBytes, c.SegmentBytes = 2000, 1900 })
			l := r.log()
			var out AppendResult
			err := l.AppendAsLeader(c.set, 0, FromClient, &out)
			var invalid *record.ValidationError
			if !errors.Is(err, c.code) && !(errors.As(err, &invalid) && invalid.Code == c.code) {
				t.Errorf("%v, want %v", err, c.code)
			}
			if l.LogEndOffset() != 0 || exists(filepath.Join(r.partition(), firstSegment+".log")) {
				t.Error("something was written")
			}
		})
	}
	l := newRig(t, 1, nil).log()
	mustAppend(t, l, append(append([]byte(nil), good...), good[:30]...)) // trailing bytes are dropped
	expectEnd(t, l, 2)
}

func expectEnd(t *testing.T, l *Log, end int64) {
	t.Helper()
	if l.LogEndOffset() != end {
		t.Errorf("the log ends at %d, want %d", l.LogEndOffset(), end)
	}
}

func TestFollowerAppend(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	follow(t, l, 3, batch(2, 10, 1), batch(1, 10, 2))
	follow(t, l, 5, batch(4, 10, 3))
	expectEnd(t, l, 7)
	gap := batch(1, 10, 4)
	gap.SetBaseOffset(100) // compaction leaves gaps
	gap.SetLeaderEpoch(5)
	if err := l.AppendAsFollower(append(append([]byte(nil), gap...), gap[:20]...)); err != nil {
		t.Fatal(err)
	}
	bad := append(record.Batch(nil), gap...)
	bad.SetBaseOffset(200)
	bad[len(bad)-1] ^= 1
	if err := l.AppendAsFollower(bad); !errors.Is(err, protocol.CorruptMessage) {
		t.Errorf("wrong checksum: %v", err)
	}
	if err := l.AppendAsFollower(gap); !errors.Is(err, protocol.OffsetOutOfRange) {
		t.Errorf("an offset that is there already: %v", err)
	}
	for _, reopen := range []func(...func(string)) *Log{r.restart, r.crash, func(...func(string)) *Log { return r.restart(remove("t-0/leader-epoch-checkpoint")) }} {
		l = reopen()
		expectEnd(t, l, 101)
		if e, end := l.EndOffsetForEpoch(4); e != 3 || end != 3 {
			t.Errorf("epoch 4 ends as %d at %d", e, end)
		}
		if first, _ := bounds(t, read(t, l, 50, 1<<20, 101)); first != 100 {
			t.Errorf("a read in the gap finds %d", first)
		}
	}
}

func TestRollRules(t *testing.T) {
	hour := int64(3600000)
	for _, c := range []struct {
		name   string
		change func(*LogConfig)
		append func(t *testing.T, r *rig, l *Log)
		want   []int64 // base offsets
	}{
		{"by size", func(c *LogConfig) { c.SegmentBytes = 2*batchBytes + 5 }, func(t *testing.T, r *rig, l *Log) { fill(t, l, 5) }, []int64{0, 2, 4}},
		{"by the time between timestamps", func(c *LogConfig) { c.SegmentMs = hour }, func(t *testing.T, r *rig, l *Log) {
			for _, ts := range []int64{0, hour, hour + 1, 3 * hour, 100} {
				mustAppend(t, l, batch(1, 10, ts+1))
			}
		}, []int64{0, 2, 3}},
		{"by the wall clock without timestamps", func(c *LogConfig) { c.SegmentMs = hour }, func(t *testing.T, r *rig, l *Log) {
			mustAppend(t, l, batch(1, 10, -1))
			r.now = r.now.Add(2 * time.Hour)
			mustAppend(t, l, batch(1, 10, -1))
		}, []int64{0, 1}},
		{"by a full offset index", func(c *LogConfig) { c.IndexIntervalBytes, c.SegmentIndexBytes = 0, 60 }, func(t *testing.T, r *rig, l *Log) { fill(t, l, 12) }, []int64{0, 5, 10}},
		{"by an offset too far from the base", nil, func(t *testing.T, r *rig, l *Log) {
			mustAppend(t, l, batch(1, 10, 1))
			far := batch(1, 10, 1)
			far.SetBaseOffset(math.MaxInt32 + 1)
			if err := l.AppendAsFollower(far); err != nil {
				t.Fatal(err)
			}
		}, []int64{0, math.MaxInt32 + 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1, c.change)
			c.append(t, r, r.log())
			end := r.log().LogEndOffset()
			for _, reopen := range []func(...func(string)) *Log{r.same, r.restart, r.crash} {
				l := reopen()
				var bases []int64
				for _, s := range l.segments.Load().list {
					bases = append(bases, s.base)
				}
				if len(bases) != len(c.want) {
					t.Fatalf("segments %v, want %v", bases, c.want)
				}
				for i := range bases {
					if bases[i] != c.want[i] {
						t.Fatalf("segments %v, want %v", bases, c.want)
					}
				}
				expectEnd(t, l, end)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	day := int64(24 * 3600000)
	for _, c := range []struct {
		name   string
		change func(*LogConfig)
		hw     int64
		start  int64
		active int64 // base of the active segment
	}{
		{"nothing is too old", func(c *LogConfig) { c.RetentionMs = 100 * day }, 10, 0, 8},
		{"half is too old", func(c *LogConfig) { c.RetentionMs = 5*day + day/2 }, 10, 4, 8},
		{"all is too old", func(c *LogConfig) { c.RetentionMs = day / 4 }, 10, 10, 10},
		{"not beyond the high watermark", func(c *LogConfig) { c.RetentionMs = 1 }, 5, 4, 8},
		{"by size", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = -1, 5*batchBytes }, 10, 4, 8},
		{"by size, nothing may stay", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes = -1, 0 }, 10, 10, 10},
		{"compaction alone keeps all", func(c *LogConfig) { c.RetentionMs, c.RetentionBytes, c.Delete, c.Compact = 1, 0, false, true }, 10, 0, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1, func(l *LogConfig) { l.SegmentBytes = 2*batchBytes + 50; c.change(l) })
			l := r.log()
			for i := range int64(10) {
				w := batch(1, 1000, r.now.UnixMilli()-(10-i)*day)
				if r.topic.Compact {
					b := record.NewBuilder(record.None)
					b.Add(r.now.UnixMilli()-(10-i)*day, []byte("k"), make([]byte, 1000))
					w = b.Build()
				}
				mustAppend(t, l, w)
			}
			l.SetHighWatermark(c.hw)
			r.m.background.retention()
			for _, reopen := range []func(...func(string)) *Log{r.same, r.restart, r.crash} {
				l := reopen()
				if l.LogStartOffset() != c.start || l.segments.Load().active().base != c.active {
					t.Errorf("start %d, active segment %d", l.LogStartOffset(), l.segments.Load().active().base)
				}
				expectOffsets(t, l, c.start, 10)
			}
		})
	}
}

func TestDeleteRecords(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 3*batchBytes + 50 })
	l := r.log()
	fill(t, l, 10)
	l.SetHighWatermark(8)
	if err := l.IncrementLogStartOffset(9); !errors.Is(err, protocol.OffsetOutOfRange) {
		t.Errorf("above the high watermark: %v", err)
	}
	if err := l.IncrementLogStartOffset(7); err != nil {
		t.Fatal(err)
	}
	if err := l.IncrementLogStartOffset(3); err != nil || l.LogStartOffset() != 7 {
		t.Errorf("below the log start: %v, start %d", err, l.LogStartOffset())
	}
	r.m.background.checkpoint(logStartCheckpoint)
	for _, reopen := range []func(...func(string)) *Log{r.same, r.restart, r.crash} {
		l := reopen()
		if n := len(l.segments.Load().list); l.LogStartOffset() != 7 || n != 2 {
			t.Errorf("start %d, %d segments", l.LogStartOffset(), n)
		}
		if e := l.EpochForOffset(6); e != -1 {
			t.Errorf("epoch of a removed offset: %d", e)
		}
		expectOffsets(t, l, 7, 10)
	}
	l = r.log()
	if l.SetHighWatermark(100) != 10 {
		t.Errorf("high watermark %d", l.HighWatermark())
	}
	if err := l.IncrementLogStartOffset(10); err != nil {
		t.Fatal(err)
	}
	expectOffsets(t, r.restart(), 10, 10)
	fill(t, r.log(), 1)
	expectOffsets(t, r.crash(), 10, 11)
}

func TestTruncateTail(t *testing.T) {
	for _, to := range []int64{0, 1, 9, 10, 11, 25, 29, 30, 31, 100} {
		r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 11000, 2000 })
		l := r.log()
		fill(t, l, 30)
		l.SetHighWatermark(30)
		if err := l.TruncateTail(to); err != nil {
			t.Fatal(err)
		}
		end := min(to, 30)
		if l.HighWatermark() != end || l.recoveryPoint.Load() > end {
			t.Errorf("truncated to %d: high watermark %d, recovery point %d", to, l.HighWatermark(), l.recoveryPoint.Load())
		}
		expectOffsets(t, l, 0, end)
		fill(t, l, 3)
		expectOffsets(t, l, 0, end+3)
		expectOffsets(t, r.restart(), 0, end+3)
		if err := r.log().TruncateTail(end + 1); err != nil {
			t.Fatal(err)
		}
		expectOffsets(t, r.crash(), 0, end+1)
		if got, err := r.log().OffsetOfMaxTimestamp(); err != nil || got.Offset != end {
			t.Errorf("truncated to %d: largest timestamp at %+v, %v", to, got, err)
		}
	}
}

// A batch that the offset lies in goes as a whole, and the log ends where it began, so that a follower fetches all of it again.
func TestTruncateInsideBatch(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	for range 3 {
		mustAppend(t, l, batch(10, 10, 1))
	}
	l.SetHighWatermark(30)
	if err := l.TruncateTail(15); err != nil {
		t.Fatal(err)
	}
	if _, end := bounds(t, read(t, l, 0, 1<<20, l.LogEndOffset())); end != 10 || l.LogEndOffset() != 10 || l.HighWatermark() != 10 {
		t.Errorf("batches end at %d, the log at %d, the high watermark is %d", end, l.LogEndOffset(), l.HighWatermark())
	}
	expectEnd(t, r.crash(), 10)
}

func TestTruncateFully(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 3000 })
	l := r.log()
	fill(t, l, 10)
	l.SetHighWatermark(10)
	for _, at := range []int64{1000, 5} {
		if err := l.TruncateFullyAndStartAt(at); err != nil {
			t.Fatal(err)
		}
		if l.LogStartOffset() != at || l.HighWatermark() != at || l.LogEndOffset() != at || l.LatestEpoch() != -1 {
			t.Errorf("start %d, high watermark %d, end %d, epoch %d", l.LogStartOffset(), l.HighWatermark(), l.LogEndOffset(), l.LatestEpoch())
		}
		expectOffsets(t, r.crash(), at, at)
		fill(t, r.log(), 4)
		expectOffsets(t, r.restart(), at, at+4)
		l = r.log()
	}
}

func TestHighWatermark(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	fill(t, l, 10)
	for _, c := range [][2]int64{{5, 5}, {3, 5}, {100, 10}, {-1, 10}} {
		if got := l.SetHighWatermark(c[0]); got != c[1] || l.HighWatermark() != c[1] {
			t.Errorf("set to %d: %d", c[0], got)
		}
	}
	if l = r.restart(); l.HighWatermark() != 10 {
		t.Errorf("after a clean stop: %d", l.HighWatermark())
	}
	if l = r.crash(remove("replication-offset-checkpoint")); l.HighWatermark() != 0 {
		t.Errorf("without a checkpoint: %d", l.HighWatermark())
	}
	if l = r.restart(garble("replication-offset-checkpoint", "0\n1\nt 0 999\n")); l.HighWatermark() != 10 {
		t.Errorf("beyond the end: %d", l.HighWatermark())
	}
}

// One writer, readers, a moving high watermark, flushes and a moving log start at once: every read is whole, in order, and below
// its bound.
func TestConcurrentReadersAndWriter(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes, c.FileDeleteDelayMs = 20000, 500, 0 })
	l := r.log()
	const batches = 1500
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for next := int64(0); next < 2*batches; {
				bound := l.HighWatermark()
				var out ReadResult
				err := l.Read(next, 8000, bound, true, &out)
				if errors.Is(err, protocol.OffsetOutOfRange) {
					next = l.LogStartOffset()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if out.Slice.Size == 0 {
					continue
				}
				data := make([]byte, out.Slice.Size)
				if _, err := out.Slice.File.ReadAt(data, out.Slice.Offset); err != nil {
					t.Error(err)
				}
				out.Slice.Release()
				for len(data) > 0 {
					b, rest, err := record.Split(data)
					if err != nil {
						break
					}
					if b.BaseOffset() > next || b.LastOffset() >= bound || !b.VerifyCRC() {
						t.Errorf("batch [%d, %d] where %d is next and %d the bound", b.BaseOffset(), b.LastOffset(), next, bound)
						return
					}
					next, data = b.LastOffset()+1, rest
				}
			}
		})
	}
	for i := range batches {
		mustAppend(t, l, batch(2, 50, 1700000000000))
		l.SetHighWatermark(l.LogEndOffset() - int64(i%3)*2)
		if i%100 == 99 {
			if err := l.Flush(); err != nil {
				t.Error(err)
			}
		}
		if i%200 == 199 {
			if err := l.IncrementLogStartOffset(l.HighWatermark() - 300); err != nil {
				t.Error(err)
			}
		}
	}
	l.SetHighWatermark(2 * batches)
	wg.Wait()
	expectEnd(t, r.restart(), 2*batches)
}
