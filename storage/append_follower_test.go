package storage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gregor/protocol"
	"gregor/protocol/record"
)

// copyTo fetches what follower lacks from leader, in answers of up to maxBytes that end anywhere.
func copyTo(t testing.TB, leader, follower *Log, maxBytes int) {
	t.Helper()
	for follower.LogEndOffset() < leader.LogEndOffset() {
		set := read(t, leader, follower.LogEndOffset(), maxBytes, leader.LogEndOffset())
		if err := follower.AppendAsFollower(set); err != nil {
			t.Fatal(err)
		}
	}
}

// content returns the names of the .log files that hold anything, and their bytes one after the other.
func content(t testing.TB, r *rig) (names []string, all []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.partition(), "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 {
			names = append(names, filepath.Base(path))
		}
		all = append(all, data...)
	}
	return names, all
}

// expectSame checks that a follower's log is its leader's: bytes, epochs, producers, what is asked of it, and where its segments begin. After a divergence these
// may begin where the other history's did.
func expectSame(t testing.TB, leader, follower *rig, diverged bool) {
	t.Helper()
	l, f := leader.m.Get(tp0), follower.m.Get(tp0)
	names, want := content(t, leader)
	gotNames, got := content(t, follower)
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes differ from the leader's %d", len(got), len(want))
	}
	if !diverged && !slices.Equal(gotNames, names) {
		t.Fatalf("segments %v, the leader has %v", gotNames, names)
	}
	if !slices.Equal(l.epochs.mu.entries, f.epochs.mu.entries) {
		t.Fatalf("epochs %v, the leader has %v", f.epochs.mu.entries, l.epochs.mu.entries)
	}
	if !slices.Equal(l.ActiveProducers(), f.ActiveProducers()) {
		t.Fatalf("producers %v, the leader has %v", f.ActiveProducers(), l.ActiveProducers())
	}
	if !slices.Equal(offsets(t, l), offsets(t, f)) || l.LogEndOffset() != f.LogEndOffset() {
		t.Fatal("other batches are found by offset")
	}
	a, err1 := l.OffsetOfMaxTimestamp()
	b, err2 := f.OffsetOfMaxTimestamp()
	if a != b || err1 != nil || err2 != nil {
		t.Fatalf("largest timestamp %v, %v, the leader's %v, %v", b, err2, a, err1)
	}
}

// writer makes batches of all kinds for a leader.
type writer struct {
	rng   *rand.Rand
	epoch int32
	seqs  [4]int32
}

func (w *writer) write(t testing.TB, l *Log) {
	t.Helper()
	var out AppendResult
	var b record.Batch
	origin := FromClient
	switch kind := w.rng.IntN(10); {
	case kind < 5:
		b = batch(1+w.rng.IntN(20), w.rng.IntN(300), 1700000000000+int64(w.rng.IntN(100000)))
	case kind < 8:
		pid, n := w.rng.IntN(2), 1+w.rng.IntN(5)
		b = idempotent(int64(pid), 0, w.seqs[pid], n)
		w.seqs[pid] += int32(n)
	default:
		pid := 2 + w.rng.IntN(2)
		b = transactional(int64(pid), w.seqs[pid], 1)
		w.seqs[pid]++
		if w.rng.IntN(2) == 0 {
			b, origin = marker(int64(pid), w.rng.IntN(2) == 0), FromCoordinator
			w.seqs[pid]--
		}
	}
	if w.rng.IntN(20) == 0 {
		w.epoch += 1 + int32(w.rng.IntN(3))
	}
	if err := l.AppendAsLeader(b, w.epoch, origin, &out); err != nil {
		t.Fatal(err)
	}
}

// A follower that fetches in pieces of any size, is truncated, killed and restarted at any time ends as its leader: to the byte, with segments that roll where
// the leader's do, with the leader's epochs and producers.
func TestFollowerBecomesItsLeader(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 1))
		change := func(c *LogConfig) {
			c.SegmentBytes, c.IndexIntervalBytes, c.SegmentMs = int32(5000+rng.IntN(20000)), 700, 60000
			c.FileDeleteDelayMs = 1 << 40 // removed files stay, renamed
		}
		leader := newRig(t, 1, change)
		follower := newRig(t, 1, func(c *LogConfig) { *c = leader.topic })
		w, diverged := &writer{rng: rng}, false
		for range 15 {
			for range rng.IntN(20) {
				w.write(t, leader.log())
			}
			l, f := leader.log(), follower.log()
			switch rng.IntN(5 + int(seed)%2) {
			case 0:
				follower.crash()
			case 1:
				follower.restart()
			case 2:
				if err := f.TruncateTail(rng.Int64N(f.LogEndOffset() + 1)); err != nil {
					t.Fatal(err)
				}
			case 5:
				// Batches that the leader never had.
				diverged = true
				for range rng.IntN(30) {
					follow(t, f, w.epoch, batch(1+rng.IntN(3), rng.IntN(300), 1800000000000))
				}
				if err := f.TruncateTail(min(sharedEnd(t, l, f), f.LogEndOffset())); err != nil {
					t.Fatal(err)
				}
			}
			copyTo(t, l, follower.log(), 1+rng.IntN(9000))
		}
		if rng.IntN(2) == 0 {
			follower.crash()
		}
		expectSame(t, leader, follower, diverged)
	}
}

// sharedEnd is the offset up to which two logs hold the same batches.
func sharedEnd(t testing.TB, a, b *Log) int64 {
	t.Helper()
	end := int64(0)
	for end < min(a.LogEndOffset(), b.LogEndOffset()) {
		x, _, err1 := record.Split(read(t, a, end, 1, a.LogEndOffset()))
		y, _, err2 := record.Split(read(t, b, end, 1, b.LogEndOffset()))
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			return end
		}
		end = x.LastOffset() + 1
	}
	return end
}

// What a leader sends wrong is refused before anything is written.
func TestFollowerRefuses(t *testing.T) {
	at := func(offset int64, epoch int32, n int) record.Batch {
		b := batch(n, 10, 1700000000000)
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(epoch)
		return b
	}
	join := func(batches ...record.Batch) []byte { return bytes.Join(convert(batches), nil) }
	flip := func(b record.Batch, at int) record.Batch { b[at] ^= 0x40; return b }
	for _, c := range []struct {
		name string
		set  []byte
		want error
	}{
		{"an offset below the log end", at(4, 0, 2), ErrBelowLogEnd},
		{"an offset that goes back within the set", join(at(5, 0, 3), at(7, 0, 1)), protocol.OffsetOutOfRange},
		{"a bit that fell over in the second batch", join(at(5, 0, 1), flip(at(6, 0, 1), 70)), protocol.CorruptMessage},
		{"a checksum that fell over", flip(at(5, 0, 1), 17), protocol.CorruptMessage},
		{"a length that is too small", flip(at(5, 0, 1), 11)[:40], protocol.CorruptMessage},
		{"an unknown format", flip(at(5, 0, 1), 16), protocol.CorruptMessage},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, 1, nil)
			l := r.log()
			follow(t, l, 0, at(0, 0, 5))
			size := l.Size()
			if err := l.AppendAsFollower(c.set); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if l.LogEndOffset() != 5 || l.Size() != size {
				t.Errorf("the log ends at %d with %d bytes", l.LogEndOffset(), l.Size())
			}
			expectEnd(t, r.crash(), 5)
		})
	}
}

func convert(batches []record.Batch) (list [][]byte) {
	for _, b := range batches {
		list = append(list, b)
	}
	return list
}

// Messages of formats 0 and 1 that a leader still has are taken as they are; while they are the newest the log knows no leader epochs.
func TestFollowerTakesOldFormats(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	follow(t, l, 3, batch(2, 10, 1700000000000))
	set := slices.Concat(oldMessage(0, 2, -1, "a"), oldMessage(1, 3, 1700000000000, "b"))
	if err := l.AppendAsFollower(set); err != nil {
		t.Fatal(err)
	}
	if l.LatestEpoch() != -1 || l.LogEndOffset() != 4 {
		t.Errorf("latest epoch %d, log end %d", l.LatestEpoch(), l.LogEndOffset())
	}
	if got := read(t, l, 2, 1000, 4); !bytes.Equal(got, set) {
		t.Error("other bytes are read back")
	}
	bad := oldMessage(1, 4, 1700000000000, "c")
	bad[len(bad)-1] ^= 1
	if err := l.AppendAsFollower(bad); !errors.Is(err, protocol.CorruptMessage) {
		t.Errorf("a message with a wrong checksum: %v", err)
	}
	expectEnd(t, r.crash(), 4)
}

// A follower's first batch may lie far above the log end: the leader compacted or deleted what came before.
func TestFollowerBeginsAboveLogEnd(t *testing.T) {
	for _, first := range []int64{7, 1 << 33} {
		r := newRig(t, 1, nil)
		l := r.log()
		b := batch(3, 10, 1700000000000)
		b.SetBaseOffset(first)
		b.SetLeaderEpoch(2)
		if err := l.AppendAsFollower(b); err != nil {
			t.Fatal(err)
		}
		for _, reopen := range []func(...func(string)) *Log{r.same, r.restart, r.crash} {
			l = reopen()
			expectEnd(t, l, first+3)
			if got := read(t, l, l.LogStartOffset(), 1000, first+3); !bytes.Equal(got, b) {
				t.Errorf("reading from the start finds %d bytes", len(got))
			}
			if l.LatestEpoch() != 2 || l.EpochForOffset(first) != 2 {
				t.Errorf("latest epoch %d", l.LatestEpoch())
			}
		}
		if err := l.TruncateTail(first); err != nil {
			t.Fatal(err)
		}
		if l.LogEndOffset() != first || l.LatestEpoch() != -1 {
			t.Errorf("cut to %d: end %d, epoch %d", first, l.LogEndOffset(), l.LatestEpoch())
		}
		if err := l.AppendAsFollower(b); err != nil {
			t.Fatal(err)
		}
		expectEnd(t, r.crash(), first+3)
	}
}

// A set larger than a segment goes into as many as a leader would have made of it.
func TestFollowerSetLargerThanSegment(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 2*batchBytes + 5 })
	l := r.log()
	var set []record.Batch
	for i := range 5 {
		set = append(set, batch(1, 1000, 1700000000000+int64(i)))
	}
	follow(t, l, 0, set...)
	var bases []int64
	for _, s := range l.segments.Load().list {
		bases = append(bases, s.base)
	}
	if !slices.Equal(bases, []int64{0, 2, 4}) {
		t.Errorf("segments begin at %v", bases)
	}
	expectOffsets(t, r.crash(), 0, 5)
}
