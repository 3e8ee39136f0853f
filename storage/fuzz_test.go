package storage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gregor/protocol"
)

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("0\n2\nt 0 42\na.b-c 7 0\n"))
	f.Add([]byte("0\n1\n3 10\n"))
	f.Add([]byte(""))
	f.Add([]byte("0\n99999999999\n"))
	f.Add([]byte("1\n0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if offsets, err := parseOffsetCheckpoint(data); err == nil {
			again, err := parseOffsetCheckpoint(formatOffsetCheckpoint(offsets))
			if err != nil || len(again) != len(offsets) {
				t.Errorf("%q does not survive a rewrite: %v", data, err)
			}
		}
		entries, err := parseEpochs(data)
		if err != nil {
			return
		}
		for i := 1; i < len(entries); i++ {
			if entries[i].epoch <= entries[i-1].epoch || entries[i].start <= entries[i-1].start {
				t.Errorf("epochs do not rise: %v", entries)
			}
		}
	})
}

func FuzzMetaProperties(f *testing.F) {
	f.Add([]byte("#\n#Mon Jan 01 00:00:00 UTC 2024\nbroker.id=0\nversion=0\ncluster.id=abc\n"))
	f.Add([]byte("cluster.id=a\\=b\\\nversion = 0"))
	f.Add([]byte("version=1\nnode.id=1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseMetaProperties(data)
		if err != nil {
			return
		}
		again, err := parseMetaProperties(formatMetaProperties(p, time.UnixMilli(0)))
		if err != nil || again.BrokerID != p.BrokerID {
			t.Errorf("%q does not survive a rewrite: %+v, %v", data, again, err)
		}
	})
}

func FuzzPartitionMetadata(f *testing.F) {
	f.Add(formatPartitionMetadata(protocol.TopicID{1, 2, 3}))
	f.Add([]byte("version: 1\ntopic_id: x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := parsePartitionMetadata(data)
		if err != nil {
			return
		}
		if again, err := parsePartitionMetadata(formatPartitionMetadata(id)); err != nil || again != id {
			t.Errorf("%v, %v", again, err)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	var s producerState
	f.Add(s.encodeSnapshot())
	b := idempotent(5, 1, 0, 3)
	var h batchHeader
	parseHeader(b, 0, &h)
	s.apply(&h, nil)
	f.Add(s.encodeSnapshot())
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		again, err := decodeSnapshot(s.encodeSnapshot())
		if err != nil || len(again.byID) != len(s.byID) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzIndex puts any bytes where the indexes of a sound log are: what is read stays what was written.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 0, 0, 3, 0, 0, 0, 200}, []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2})
	f.Add(bytes.Repeat([]byte{0}, 800), bytes.Repeat([]byte{0}, 1200))
	f.Add(bytes.Repeat([]byte{0xff}, 81), bytes.Repeat([]byte{0x7f}, 120))
	r := newRig(f, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 1500, 200 })
	for range 20 {
		mustAppend(f, r.log(), batch(1, 100, 1700000000000))
	}
	f.Fuzz(func(t *testing.T, index, times []byte) {
		r.t = t
		l := r.restart(func(string) {
			names, _ := filepath.Glob(filepath.Join(r.partition(), "*index"))
			for _, n := range names {
				if filepath.Ext(n) == indexSuffix {
					os.WriteFile(n, index, 0o644)
				} else {
					os.WriteFile(n, times, 0o644)
				}
			}
		})
		expectOffsets(t, l, 0, 20)
		for o := range int64(20) {
			if first, end := bounds(t, read(t, l, o, 1<<20, o+1)); first != o || end != o+1 {
				t.Fatalf("offset %d: batches [%d, %d)", o, first, end)
			}
		}
		l.OffsetForTimestamp(1700000000000, 20)
		l.OffsetOfMaxTimestamp()
	})
}

// FuzzRecovery puts any bytes where the log is: recovery keeps whole batches in order, and is at rest afterwards.
func FuzzRecovery(f *testing.F) {
	a, b := batch(2, 30, 1700000000000), idempotent(1, 0, 0, 1)
	b.SetBaseOffset(2)
	good := append(append([]byte(nil), a...), b...)
	f.Add(good)
	f.Add(good[:len(good)-5])
	f.Add(append(append([]byte(nil), good...), make([]byte, 100)...))
	f.Add(append(oldMessage(0, 0, 0, "x"), oldMessage(1, 1, 5, "y")...))
	m := marker(1, false)
	m.SetBaseOffset(3)
	f.Add(append(append([]byte(nil), good...), m...))
	r := newRig(f, 1, nil)
	r.log()
	f.Fuzz(func(t *testing.T, data []byte) {
		r.t = t
		l := r.crash(overwriteOrCreate(firstSegment+".log", data), func(dir string) {
			os.Remove(filepath.Join(dir, recoveryPointCheckpoint))
			names, _ := filepath.Glob(filepath.Join(dir, "t-0", "*.snapshot"))
			for _, n := range names {
				os.Remove(n)
			}
		})
		end, size := l.LogEndOffset(), l.Size()
		if size > int64(len(data)) {
			t.Fatalf("%d bytes became %d", len(data), size)
		}
		var out ReadResult
		if end > 0 {
			if err := l.Read(0, 1<<20, end, true, &out); err == nil {
				out.Slice.Release()
			}
		}
		l.OffsetForTimestamp(0, end)
		l.OffsetOfMaxTimestamp()
		if l = r.restart(); l.LogEndOffset() != end || l.Size() != size {
			t.Fatalf("recovered to %d with %d bytes, then %d with %d", end, size, l.LogEndOffset(), l.Size())
		}
	})
}

func FuzzTxnIndex(f *testing.F) {
	f.Add(abortedTxn{1, 2, 3, 4}.encode())
	f.Add([]byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseTxnIndex(data)
		if err == nil && len(list)*txnEntrySize != len(data) {
			t.Errorf("%d entries of %d bytes", len(list), len(data))
		}
	})
}

func FuzzDirectoryName(f *testing.F) {
	f.Add("t-0")
	f.Add("t-0.0123456789abcdef0123456789abcdef-delete")
	f.Add("-")
	f.Add("-delete")
	f.Fuzz(func(t *testing.T, name string) {
		if kind, tp := classifyDir(name); kind == partitionDir && tp.Topic == "" {
			t.Errorf("%q has no topic", name)
		}
	})
}
