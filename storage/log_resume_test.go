package storage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// checkpointed makes the log durable and stores its recovery point, as the flusher does for a log that has grown by checkpointBytes.
func checkpointed(t testing.TB, r *rig) {
	t.Helper()
	if err := r.m.Get(tp0).checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := r.m.dirs[0].checkpoint(recoveryPointCheckpoint); err != nil {
		t.Fatal(err)
	}
}

// recovered is everything that recovery builds.
func recovered(t testing.TB, r *rig) string {
	t.Helper()
	l := r.m.Get(tp0)
	s := l.segments.Load().active()
	state := fmt.Sprintf("offsets %v\nepochs %v\nproducers %v\nbytes since index %d, first timestamp %d\n",
		offsets(t, l), l.epochs.mu.entries, l.ActiveProducers(), s.bytesSinceIndex, s.firstTimestamp)
	largest, err := l.OffsetOfMaxTimestamp()
	if err != nil {
		t.Fatal(err)
	}
	state += fmt.Sprintf("largest timestamp %v\n", largest)
	files, _ := filepath.Glob(filepath.Join(r.partition(), "*index"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		state += fmt.Sprintf("%s %x\n", filepath.Base(f), data)
	}
	return state
}

// What recovery builds from the recovery point on is what it builds from all batches, wherever the point lies and wherever the log is torn.
func TestResumedRecoveryEqualsWhole(t *testing.T) {
	resumed := 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes, c.IndexIntervalBytes = 20000, 700 })
		l, seqs := r.log(), [3]int32{}
		write := func(n int) {
			for range n {
				if pid := rng.IntN(5); pid < len(seqs) {
					follow(t, l, int32(l.LogEndOffset()/40), idempotent(int64(pid), 0, seqs[pid], 2))
					seqs[pid] += 2
					continue
				}
				follow(t, l, int32(l.LogEndOffset()/40), batch(1+rng.IntN(4), rng.IntN(400), 1700000000000+rng.Int64N(9999)))
			}
		}
		write(1 + rng.IntN(60))
		for range rng.IntN(3) {
			checkpointed(t, r)
			write(rng.IntN(20))
		}
		point, base := l.recoveryPoint.Load(), l.segments.Load().active().base
		if base < point {
			resumed++
		}
		l = r.crash(func(dir string) {
			path := filepath.Join(dir, "t-0", offsetFileName(base, logSuffix))
			if st, err := os.Stat(path); err == nil && point <= base { // all of the last segment may be torn
				os.Truncate(path, st.Size()-rng.Int64N(min(st.Size(), 300)+1))
			}
		})
		got := recovered(t, r)
		r.crash(func(dir string) { os.Remove(filepath.Join(dir, recoveryPointCheckpoint)) })
		if want := recovered(t, r); got != want {
			t.Fatalf("seed %d, from %d on:\n%s\nfrom all batches:\n%s", seed, point, got, want)
		}
	}
	if resumed < 3 {
		t.Errorf("only %d logs had a recovery point within a segment", resumed)
	}
}

// Below the recovery point nothing is read again, above it everything; what does not fit makes the whole segment be checked.
func TestRecoveryBeginsAtThePoint(t *testing.T) {
	const segment = "00000000000000000000"
	flip := func(batch int64) func(string) { return overwrite(segment+".log", batch*batchBytes+500, []byte{1}) }
	for _, c := range []struct {
		name    string
		damage  []func(string)
		survive int64
	}{
		{"a bit below", []func(string){flip(5)}, 40},
		{"a bit right behind", []func(string){flip(30)}, 30},
		{"a bit far behind", []func(string){flip(38)}, 38},
		{"torn behind", []func(string){cutTail(segment+".log", 3*batchBytes+7)}, 36},
		{"cut at the point", []func(string){cutTail(segment+".log", 10*batchBytes)}, 30},
		{"cut below the point", []func(string){cutTail(segment+".log", 12*batchBytes)}, 28},
		{"cut below the point, with a bit below that", []func(string){cutTail(segment+".log", 12*batchBytes), flip(5)}, 5},
		{"a bit below, index missing", []func(string){flip(5), remove("t-0/*.index")}, 5},
		{"a bit below, time index missing", []func(string){flip(5), remove("t-0/*.timeindex")}, 5},
		{"a bit below, index garbled", []func(string){flip(5), garble("t-0/*.index", "\x00\x00\x00\x02\x00\x00\x08\x08\x00\x00\x00\x05\x00\x00\x10\x11")}, 5},
		{"a bit behind, index points behind it", []func(string){flip(32), garble("t-0/*.index", "\x00\x00\x00\x02\x00\x00\x92\x4a")}, 32},
		{"a bit below, point beyond the end", []func(string){flip(5), garble("recovery-point-offset-checkpoint", "0\n1\nt 0 41\n")}, 5},
		{"a bit behind, snapshots missing", []func(string){flip(30), remove("t-0/*.snapshot")}, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			r := newRig(t, 1, func(c *LogConfig) { c.IndexIntervalBytes = 3000 })
			l := r.log()
			fill(t, l, 30)
			checkpointed(t, r)
			fill(t, l, 10)
			l = r.crash(c.damage...)
			if end := l.LogEndOffset(); end != c.survive {
				t.Fatalf("the log ends at %d, want %d", end, c.survive)
			}
			fill(t, l, 3)
			expectEnd(t, r.restart(), c.survive+3)
		})
	}
}

// A recovery point that no batch begins at is none, and what the file of leader epochs says of the offsets behind the point does not count.
func TestRecoveryPointAndEpochsOfAnotherHistory(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	for range 4 {
		follow(t, l, 3, batch(10, 100, 1700000000000))
	}
	follow(t, l, 4, batch(10, 100, 1700000000000))
	checkpointed(t, r)
	l = r.crash(garble("recovery-point-offset-checkpoint", "0\n1\nt 0 30\n"), garble("t-0/leader-epoch-checkpoint", "0\n2\n3 0\n5 35\n"))
	if got := fmt.Sprint(l.epochs.mu.entries); got != "[{3 0} {4 40}]" {
		t.Errorf("leader epochs %s", got)
	}
	l = r.crash(garble("recovery-point-offset-checkpoint", "0\n1\nt 0 15\n"), overwrite("00000000000000000000.log", 100, []byte{1}))
	if end := l.LogEndOffset(); end != 0 {
		t.Errorf("the log ends at %d, its first batch is damaged", end)
	}
}

// A log that was cut and grows again is checked from the cut on, although its recovery point was beyond.
func TestTruncationTakesTheRecoveryPointBack(t *testing.T) {
	for name, cut := range map[string]func(*Log) error{
		"tail": func(l *Log) error { return l.TruncateTail(10) },
		"fully": func(l *Log) error {
			if err := l.TruncateFullyAndStartAt(5); err != nil {
				return err
			}
			fill(t, l, 5)
			return nil
		},
	} {
		r := newRig(t, 1, nil)
		l := r.log()
		fill(t, l, 40)
		checkpointed(t, r)
		if err := cut(l); err != nil {
			t.Fatal(err)
		}
		fill(t, l, 50)
		first := l.LogStartOffset()
		l = r.crash(overwrite(offsetFileName(first, logSuffix), (20-first)*batchBytes+500, []byte{1}))
		if end := l.LogEndOffset(); end != 20 {
			t.Errorf("%s: the log ends at %d, the damage was at 20", name, end)
		}
	}
}

// A start that finds less than the checkpoint claims takes the claim back before anything is appended.
func TestStartTakesTheRecoveryPointBack(t *testing.T) {
	r := newRig(t, 1, nil)
	fill(t, r.log(), 40)
	checkpointed(t, r)
	l := r.crash(cutTail("00000000000000000000.log", 30*batchBytes))
	fill(t, l, 40)
	l = r.crash(overwrite("00000000000000000000.log", 20*batchBytes+500, []byte{1}))
	if end := l.LogEndOffset(); end != 20 {
		t.Errorf("the log ends at %d, the damage was at 20", end)
	}
}

// A log that has grown by checkpointBytes is made durable in the background, and its recovery point stored, with one snapshot there.
func TestGrowthIsCheckpointed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		l := r.log()
		snapshots := []int64{}
		for range 3 {
			l.mu.Lock()
			l.mu.unflushedBytes = checkpointBytes - 1
			l.mu.Unlock()
			fill(t, l, 2)
			synctest.Wait()
			time.Sleep(time.Hour) // the flusher spaces the files that it writes
			synctest.Wait()
			end := l.recoveryPoint.Load()
			if end == 0 || end < l.LogEndOffset()-1 {
				t.Fatalf("the recovery point is %d of %d", end, l.LogEndOffset())
			}
			if data, _ := os.ReadFile(filepath.Join(r.cfg.Dirs[0], recoveryPointCheckpoint)); string(data) != fmt.Sprintf("0\n1\nt 0 %d\n", end) {
				t.Errorf("the recovery point is %d, the file is %q", end, data)
			}
			snapshots = []int64{end}
		}
		if got, err := snapshotOffsets(r.partition()); err != nil || !slices.Equal(got, snapshots) {
			t.Errorf("snapshots at %v, %v, want %v", got, err, snapshots)
		}
		r.m.Close(true)
	})
}
