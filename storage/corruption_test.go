package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damage helpers work on the log directory that they are given.

func cutTail(name string, n int64) func(string) {
	return func(dir string) {
		path := filepath.Join(dir, "t-0", name)
		st, err := os.Stat(path)
		if err != nil {
			panic(err)
		}
		if err := os.Truncate(path, st.Size()-n); err != nil {
			panic(err)
		}
	}
}

// overwrite writes data at a position; a negative one counts from the end.
func overwrite(name string, at int64, data []byte) func(string) {
	return func(dir string) {
		f, err := os.OpenFile(filepath.Join(dir, "t-0", name), os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		if at < 0 {
			st, _ := f.Stat()
			at += st.Size()
		}
		if _, err := f.WriteAt(data, at); err != nil {
			panic(err)
		}
	}
}

// remove deletes the files that match a pattern below the log directory. None at all is an error of the test.
func remove(pattern string) func(string) {
	return func(dir string) {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			panic("nothing matches " + pattern)
		}
		for _, n := range names {
			os.Remove(n)
		}
	}
}

// garble replaces the content of matching files.
func garble(pattern, content string) func(string) {
	return func(dir string) {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			panic("nothing matches " + pattern)
		}
		for _, n := range names {
			os.WriteFile(n, []byte(content), 0o644)
		}
	}
}

func extend(name string, n int64) func(string) {
	return func(dir string) {
		path := filepath.Join(dir, "t-0", name)
		st, err := os.Stat(path)
		if err != nil {
			panic(err)
		}
		os.Truncate(path, st.Size()+n)
	}
}

const (
	batchBytes = 1070 // a batch of one record with a value of 1000 bytes
	// The log of these tests: 40 such batches, 10 in a segment.
	firstSegment, lastSegment = "00000000000000000000", "00000000000000000030"
)

// TestCorruption: a log of 40 batches in four segments meets one damage while it is stopped; survive is where it must
// end afterwards. It must take appends and survive another restart, too.
func TestCorruption(t *testing.T) {
	clean, crash := true, false
	last := lastSegment + ".log"
	for _, c := range []struct {
		name    string
		stop    bool
		damage  []func(string)
		survive int64
		says    string // in the log
	}{
		{"nothing, clean", clean, nil, 40, ""},
		{"nothing, crash", crash, nil, 40, ""},
		{"last batch loses its last byte", crash, []func(string){cutTail(last, 1)}, 39, "cutting 1069 bytes"},
		{"last batch loses all but its first byte", crash, []func(string){cutTail(last, batchBytes-1)}, 39, "cutting 1 bytes"},
		{"last batch loses all but its header", crash, []func(string){cutTail(last, batchBytes-61)}, 39, "no whole batch"},
		{"last batch missing whole", crash, []func(string){cutTail(last, batchBytes)}, 39, ""},
		{"a bit in the last batch's records", crash, []func(string){overwrite(last, -1, []byte{1})}, 39, "wrong checksum"},
		{"a bit in the last batch's header", crash, []func(string){overwrite(last, -batchBytes+40, []byte{1})}, 39, "wrong checksum"},
		{"last 4 KiB are zeros", crash, []func(string){overwrite(last, -4096, make([]byte, 4096))}, 36, "cutting"},
		{"4 KiB of zeros behind the last batch", crash, []func(string){extend(last, 4096)}, 40, "cutting 4096 bytes"},
		{"length of the last batch is 2^31-1", crash, []func(string){overwrite(last, -batchBytes+8, []byte{0x7f, 255, 255, 255})}, 39, "cutting"},
		{"length of the last batch is negative", crash, []func(string){overwrite(last, -batchBytes+8, []byte{255, 255, 255, 255})}, 39, "cutting"},
		{"length of the last batch is 0", crash, []func(string){overwrite(last, -batchBytes+8, []byte{0, 0, 0, 0})}, 39, "cutting"},
		{"magic of the last batch is 9", crash, []func(string){overwrite(last, -batchBytes+16, []byte{9})}, 39, "cutting"},
		{"offset of the last batch goes back", crash, []func(string){overwrite(last, -batchBytes, make([]byte, 8))}, 39, "must come"},
		{"active segment is empty", crash, []func(string){cutTail(last, 10*batchBytes)}, 30, ""},
		{"a middle segment is damaged, nothing was flushed", crash,
			[]func(string){overwrite("00000000000000000010.log", 5*batchBytes+100, []byte{255}), remove("recovery-point-offset-checkpoint")}, 15, "Deleting 2 segments"},
		{"clean marker although the tail is torn", clean, []func(string){cutTail(last, 7)}, 39, "although"},
		{"clean marker although zeros follow", clean, []func(string){extend(last, 4096)}, 40, "although"},
		{"all indexes missing, clean", clean, []func(string){remove("t-0/*.index"), remove("t-0/*.timeindex")}, 40, ""},
		{"all indexes missing, crash", crash, []func(string){remove("t-0/*.index"), remove("t-0/*.timeindex")}, 40, ""},
		{"offset indexes empty", clean, []func(string){garble("t-0/*.index", "")}, 40, ""},
		{"offset indexes garbled", clean, []func(string){garble("t-0/*.index", "0123456789abcdef0123456789abcdef")}, 40, ""},
		{"offset indexes garbled, odd length", clean, []func(string){garble("t-0/*.index", "0123456789abc")}, 40, ""},
		{"offset indexes point into batches", clean, []func(string){garble("t-0/*.index", "\x00\x00\x00\x02\x00\x00\x08\x08\x00\x00\x00\x05\x00\x00\x10\x11")}, 40, ""},
		{"offset index preallocated and not trimmed", clean, []func(string){extend(lastSegment+".index", 8000)}, 40, ""},
		{"time index preallocated and not trimmed", clean, []func(string){extend(lastSegment+".timeindex", 12000)}, 40, ""},
		{"time indexes garbled", clean, []func(string){garble("t-0/*.timeindex", "0123456789abcdef01234567")}, 40, ""},
		{"time indexes negative", clean, []func(string){garble("t-0/*.timeindex", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")}, 40, ""},
		{"an index without a log", clean, []func(string){func(dir string) {
			os.WriteFile(filepath.Join(dir, "t-0", "00000000000000000100.index"), []byte("12345678"), 0o644)
		}}, 40, "without a log file"},
		{"snapshots missing", clean, []func(string){remove("t-0/*.snapshot")}, 40, ""},
		{"snapshots garbled", clean, []func(string){garble("t-0/*.snapshot", "\x00\x01garbage")}, 40, "producer snapshot is unreadable"},
		{"snapshots empty", crash, []func(string){garble("t-0/*.snapshot", "")}, 40, ""},
		{"leader epochs missing", clean, []func(string){remove("t-0/leader-epoch-checkpoint")}, 40, ""},
		{"leader epochs garbled", clean, []func(string){garble("t-0/leader-epoch-checkpoint", "0\nx\n")}, 40, "leader epochs anew"},
		{"leader epochs of another version", clean, []func(string){garble("t-0/leader-epoch-checkpoint", "7\n0\n")}, 40, "leader epochs anew"},
		{"partition.metadata garbled", clean, []func(string){garble("t-0/partition.metadata", "version: 0\ntopic_id: ?")}, 40, "partition.metadata is damaged"},
		{"partition.metadata missing", clean, []func(string){remove("t-0/partition.metadata")}, 40, ""},
		{"recovery points garbled", crash, []func(string){garble("recovery-point-offset-checkpoint", "0\n1\nt 0")}, 40, "counts as empty"},
		{"recovery point beyond the end", crash, []func(string){garble("recovery-point-offset-checkpoint", "0\n1\nt 0 1000\n")}, 40, ""},
		{"all checkpoints missing", clean, []func(string){remove("*-checkpoint")}, 40, ""},
		{"all checkpoints garbled", clean, []func(string){garble("*-checkpoint", "\xff\xfe")}, 40, "counts as empty"},
		{"meta.properties has blanks and comments", clean, []func(string){garble("meta.properties", "# c\n! d\n\n version = 0\r\nbroker.id=0\ncluster.id=abc\n")}, 40, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 11000, 2000 })
			if err := r.m.WriteMeta(MetaProperties{ClusterID: "abc", BrokerID: 0}); err != nil {
				t.Fatal(err)
			}
			l, err := r.m.GetOrCreate(tp0, CreateOptions{TopicID: [16]byte{1}, IsNew: true})
			if err != nil {
				t.Fatal(err)
			}
			fill(t, l, 40)
			l.SetHighWatermark(40)
			mustFlushTo(t, r, 30)
			if c.stop {
				l = r.restart(c.damage...)
			} else {
				// The flusher may have come further.
				l = r.crash(append([]func(string){garble("recovery-point-offset-checkpoint", "0\n1\nt 0 30\n")}, c.damage...)...)
			}
			expectOffsets(t, l, 0, c.survive)
			if c.says != "" && !r.output.contains(c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
			if hw := l.HighWatermark(); hw > c.survive {
				t.Errorf("high watermark %d is beyond the end", hw)
			}
			if e := l.EpochForOffset(c.survive - 1); e != 0 {
				t.Errorf("leader epoch of the last offset is %d", e)
			}
			if got, err := l.OffsetForTimestamp(1700000000000+c.survive-1, c.survive); err != nil || got.Offset != c.survive-1 {
				t.Errorf("offset for the last timestamp: %v, %v", got, err)
			}
			fill(t, l, 5)
			expectOffsets(t, l, 0, c.survive+5)
			expectOffsets(t, r.restart(), 0, c.survive+5)
			expectOffsets(t, r.crash(), 0, c.survive+5)
		})
	}
}

// mustFlushTo leaves a directory as a broker does that has checkpointed a flush of the first three segments and dies.
func mustFlushTo(t *testing.T, r *rig, offset int64) {
	t.Helper()
	l := r.m.Get(tp0)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	l.recoveryPoint.Store(offset)
	r.m.background.checkpoint(recoveryPointCheckpoint)
	r.m.background.checkpoint(logStartCheckpoint)
	r.m.background.checkpoint(replicationCheckpoint)
}

// Every cut of the last two batches leaves the batches before the cut, byte by byte.
func TestTornTailAtEveryByte(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	for range 6 {
		mustAppend(t, l, batch(1, 20, 1700000000000))
	}
	size := l.Size()
	one := size / 6
	path := filepath.Join(r.partition(), firstSegment+".log")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := size - 2*one; cut <= size; cut++ {
		l = r.crash(func(string) { os.WriteFile(path, whole[:cut], 0o644) })
		expectOffsets(t, l, 0, cut/one)
		if l.Size() != cut/one*one {
			t.Fatalf("cut at %d leaves %d bytes", cut, l.Size())
		}
	}
}

// What an interrupted compaction or segment split leaves is finished or undone.
func TestLeftoverFiles(t *testing.T) {
	setup := func(t *testing.T) *rig {
		r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 11000 })
		fill(t, r.log(), 30)
		return r
	}
	copyAs := func(from, to string) func(string) {
		return func(dir string) {
			b, err := os.ReadFile(filepath.Join(dir, "t-0", from))
			if err != nil {
				panic(err)
			}
			os.WriteFile(filepath.Join(dir, "t-0", to), b, 0o644)
		}
	}
	t.Run("deleted and cleaned files go", func(t *testing.T) {
		r := setup(t)
		l := r.restart(copyAs(firstSegment+".log", firstSegment+".log.cleaned"), copyAs(firstSegment+".index", firstSegment+".index.deleted"))
		expectOffsets(t, l, 0, 30)
		if exists(filepath.Join(r.partition(), firstSegment+".log.cleaned")) || exists(filepath.Join(r.partition(), firstSegment+".index.deleted")) {
			t.Error("leftovers are still there")
		}
	})
	t.Run("a complete swap replaces the segments it covers", func(t *testing.T) {
		r := setup(t)
		l := r.restart(func(dir string) {
			// Compaction has joined the first two segments and kept batches 3 and 12.
			a, _ := os.ReadFile(filepath.Join(dir, "t-0", firstSegment+".log"))
			b, _ := os.ReadFile(filepath.Join(dir, "t-0", "00000000000000000010.log"))
			joined := append(a[3*batchBytes:4*batchBytes:4*batchBytes], b[2*batchBytes:]...)
			os.WriteFile(filepath.Join(dir, "t-0", firstSegment+".log.swap"), joined, 0o644)
		})
		got := offsets(t, l)
		if len(got) != 1+8+10 || got[0] != 3 || got[1] != 12 {
			t.Errorf("batches after the swap: %v", got)
		}
		if exists(filepath.Join(r.partition(), "00000000000000000010.log")) {
			t.Error("the replaced segment is still there")
		}
	})
	t.Run("a swap that is not complete is undone", func(t *testing.T) {
		r := setup(t)
		l := r.restart(copyAs(firstSegment+".log", "00000000000000000010.log.swap"), copyAs(firstSegment+".log", firstSegment+".log.cleaned"))
		expectOffsets(t, l, 0, 30)
		names, _ := readDirNames(r.partition())
		if strings.Contains(strings.Join(names, " "), "swap") {
			t.Errorf("swap files are still there: %v", names)
		}
	})
}
