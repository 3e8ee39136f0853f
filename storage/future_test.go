package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
)

// move makes the future log of t-0 in directory d1, with everything that the log has.
func move(t testing.TB, r *rig) (current, future *Log) {
	t.Helper()
	future, err := r.m.CreateFuture(tp0, r.cfg.Dirs[1])
	if err != nil {
		t.Fatal(err)
	}
	current = r.m.Get(tp0)
	catchUp(t, current, future)
	return current, future
}

func catchUp(t testing.TB, from, to *Log) {
	t.Helper()
	for to.LogEndOffset() < from.LogEndOffset() {
		if err := to.AppendAsFollower(read(t, from, max(to.LogEndOffset(), from.LogStartOffset()), 2500, from.LogEndOffset())); err != nil {
			t.Fatal(err)
		}
	}
}

func replace(t testing.TB, r *rig) *Log {
	t.Helper()
	l, err := r.m.ReplaceWithFuture(tp0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dirNames are the names of the directories in log directory i, what is random in them left out.
func dirNames(t testing.TB, r *rig, i int) string {
	t.Helper()
	entries, err := os.ReadDir(r.cfg.Dirs[i])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		name := e.Name()
		if head, tail, ok := strings.Cut(name, "."); ok {
			name = head + tail[len(tail)-len("-future"):]
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// A future log takes the place of the log, with everything that the log knows: it reads, deduplicates, and goes on as the log would have.
func TestReplaceWithFuture(t *testing.T) {
	for _, end := range []string{"goes on", "is stopped", "is killed"} {
		t.Run("and the broker "+end, func(t *testing.T) {
			r := newRig(t, 2, func(c *LogConfig) { c.SegmentBytes = 5000 })
			id := protocol.TopicID{7}
			if _, err := r.m.GetOrCreate(tp0, CreateOptions{IsNew: true, TopicID: id}); err != nil {
				t.Fatal(err)
			}
			fill(t, r.log(), 20)
			mustAppend(t, r.log(), idempotent(5, 0, 0, 1))
			r.log().SetHighWatermark(19)
			old, future := move(t, r)
			future.SetHighWatermark(19)
			if err := old.IncrementLogStartOffset(3); err != nil {
				t.Fatal(err)
			}
			if err := old.AssignEpochStart(4); err != nil { // of which there is no record yet
				t.Fatal(err)
			}
			var reading ReadResult
			if err := old.Read(10, 5000, 21, true, &reading); err != nil {
				t.Fatal(err)
			}
			defer reading.Slice.Release()
			l := replace(t, r)
			if l != r.m.Get(tp0) || l.Dir() != r.cfg.Dirs[1] || l.IsFuture() || r.m.Future(tp0) != nil || l.TopicID() != id || l.HighWatermark() != 19 || l.LatestEpoch() != 4 {
				t.Errorf("%s: topic id %v, watermark %d, epoch %d", l.path, l.TopicID(), l.HighWatermark(), l.LatestEpoch())
			}
			if got := dirNames(t, r, 0) + " | " + dirNames(t, r, 1); got != "t-0-delete | t-0" {
				t.Error(got)
			}
			if _, err := reading.Slice.File.ReadAt(make([]byte, reading.Slice.Size), reading.Slice.Offset); err != nil {
				t.Errorf("a reader that had begun before: %v", err)
			}
			if err := old.Read(10, 100, 21, true, new(ReadResult)); !errors.Is(err, protocol.NotLeaderOrFollower) {
				t.Errorf("the old log still reads: %v", err)
			}
			l = map[string]func(...func(string)) *Log{"goes on": r.same, "is stopped": r.restart, "is killed": r.crash}[end]()
			expectOffsets(t, l, 3, 21)
			if again := mustAppend(t, l, idempotent(5, 0, 0, 1)); !again.Duplicate || again.BaseOffset != 20 {
				t.Errorf("the producer's batch again: %+v", again)
			}
			fill(t, l, 3)
			expectOffsets(t, l, 3, 24)
		})
	}
}

// A move that a crash interrupts between its two renames leaves the log in both directories, perhaps with one of them offline for a while: the next start keeps the one
// that has everything, and refuses to choose where there is none.
func TestInterruptedReplacement(t *testing.T) {
	grow := func(n int, epoch int32) func(*testing.T, *Log) {
		return func(t *testing.T, l *Log) {
			for range n {
				follow(t, l, epoch, batch(1, 1000, 1))
			}
		}
	}
	cut := func(t *testing.T, l *Log) {
		if err := l.TruncateTail(8); err != nil {
			t.Fatal(err)
		}
		grow(3, 2)(t, l)
	}
	start := func(t *testing.T, l *Log) {
		l.SetHighWatermark(10)
		if err := l.IncrementLogStartOffset(5); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name     string
		then     [2]func(*testing.T, *Log) // what happened to the log in each directory before both came together
		kept     int                       // directory; -1: none may go
		from, to int64
	}{
		{name: "at once", kept: 0, to: 10},
		{name: "the new one lived on", then: [2]func(*testing.T, *Log){1: grow(2, 1)}, kept: 1, to: 12},
		{name: "the old one lived on", then: [2]func(*testing.T, *Log){grow(2, 1), nil}, kept: 0, to: 12},
		{name: "records were deleted in the new one", then: [2]func(*testing.T, *Log){1: start}, kept: 1, from: 5, to: 10},
		{name: "both lived on", then: [2]func(*testing.T, *Log){grow(1, 1), grow(3, 2)}, kept: -1},
		{name: "the new one was cut", then: [2]func(*testing.T, *Log){1: cut}, kept: -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2, nil)
			fill(t, r.log(), 10)
			move(t, r)
			r.now = r.now.Add(time.Second)
			both := func(string) {
				copied, err := filepath.Glob(filepath.Join(r.cfg.Dirs[1], "t-0.*-future"))
				if err != nil || len(copied) != 1 {
					t.Fatal(copied, err)
				}
				if err := os.Rename(copied[0], filepath.Join(r.cfg.Dirs[1], "t-0")); err != nil {
					t.Fatal(err)
				}
				for i, then := range tc.then {
					if then == nil {
						continue
					}
					alone := rig{t: t, cfg: r.cfg}
					alone.cfg.Dirs = r.cfg.Dirs[i : i+1]
					alone.open()
					then(t, alone.m.Get(tp0))
					if err := alone.m.Close(true); err != nil {
						t.Fatal(err)
					}
				}
			}
			if tc.kept < 0 {
				r.m.Close(true)
				both("")
				m, err := Open(r.cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close(false)
				if err := m.Load(); err == nil || !strings.Contains(err.Error(), "Duplicate log directories for t-0") {
					t.Fatalf("a start on two logs that differ: %v", err)
				}
				if got := dirNames(t, r, 0) + " | " + dirNames(t, r, 1); got != "t-0 | t-0" {
					t.Error(got)
				}
				return
			}
			l := r.restart(both)
			if l.Dir() != r.cfg.Dirs[tc.kept] {
				t.Errorf("kept %s", l.path)
			}
			expectOffsets(t, l, tc.from, tc.to)
			if got := dirNames(t, r, 1-tc.kept); got != "t-0-delete" {
				t.Errorf("beside it: %s", got)
			}
		})
	}
}

// A future log is found again after a restart, beside the log, and is described and marked clean with the others.
func TestFutureIsFoundAgain(t *testing.T) {
	r := newRig(t, 2, nil)
	fill(t, r.log(), 4)
	current, future := move(t, r)
	fill(t, current, 2)
	r.m.UpdateConfig("t", LogConfig{SegmentBytes: 123})
	if future.Config().SegmentBytes != 123 {
		t.Error("a change of the topic's configuration did not reach the future log")
	}
	for _, again := range []func(...func(string)) *Log{r.restart, r.crash} {
		if l := again(); l.Dir() != r.cfg.Dirs[0] || l.LogEndOffset() != 6 || l.IsFuture() || len(r.m.Logs()) != 1 {
			t.Fatalf("%s ends at %d; %d logs", l.path, l.LogEndOffset(), len(r.m.Logs()))
		}
		future := r.m.Future(tp0)
		if future == nil || !future.IsFuture() || future.Dir() != r.cfg.Dirs[1] {
			t.Fatal("the future log is gone")
		}
		expectOffsets(t, future, 0, 4)
		if d := r.m.Dirs(); len(d[0].Logs) != 1 || len(d[1].Logs) != 1 || !d[1].Logs[0].IsFuture() {
			t.Errorf("described as %+v", d)
		}
	}
	if _, err := r.m.CreateFuture(tp0, r.cfg.Dirs[0]); !errors.Is(err, protocol.LogDirNotFound) {
		t.Errorf("a future log in the directory of its log: %v", err)
	}
	if err := r.m.Delete(tp0); err != nil {
		t.Fatal(err)
	}
	if got := dirNames(t, r, 0) + " | " + dirNames(t, r, 1); got != "t-0-delete | t-0-delete" || r.m.Future(tp0) != nil {
		t.Errorf("after the deletion: %s", got)
	}
}

// Futures that a start cannot use go: two of one partition, and one in the directory of the log.
func TestUselessFuturesGo(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 2)
	r := newRig(t, 3, nil)
	fill(t, r.log(), 4)
	move(t, r)
	r.restart(func(string) {
		os.Mkdir(filepath.Join(r.cfg.Dirs[0], "u-0."+id+"-future"), 0o755)
		os.Mkdir(filepath.Join(r.cfg.Dirs[0], "u-0"), 0o755)
		os.Mkdir(filepath.Join(r.cfg.Dirs[2], "t-0."+id+"-future"), 0o755)
	})
	if got := dirNames(t, r, 0) + " | " + dirNames(t, r, 1) + " | " + dirNames(t, r, 2); got != "t-0 u-0 u-0-delete | t-0-future | t-0-delete" {
		t.Error(got)
	}
	expectOffsets(t, r.m.Future(tp0), 0, 4)
}

// The directory of the future log fails: the log lives on, and no other future log is made while the failed one could come back.
func TestFutureDirectoryFails(t *testing.T) {
	r := newRig(t, 3, nil)
	fill(t, r.log(), 4)
	_, future := move(t, r)
	future.dir.fail(errors.New("the disk is gone"))
	if dir := <-r.failed; dir != r.cfg.Dirs[1] {
		t.Fatalf("%s failed", dir)
	}
	if r.m.Future(tp0) != nil {
		t.Error("the future log is still there")
	}
	if _, err := r.m.ReplaceWithFuture(tp0); err == nil {
		t.Error("replaced by a log that is gone")
	}
	expectOffsets(t, r.m.Get(tp0), 0, 4)
	if err := r.m.CheckDir(r.cfg.Dirs[1]); !errors.Is(err, ErrStorage) {
		t.Errorf("the failed directory: %v", err)
	}
	if _, err := r.m.CreateFuture(tp0, r.cfg.Dirs[2]); !errors.Is(err, ErrStorage) {
		t.Errorf("a future log beside an offline directory: %v", err)
	}
}

// A directory that was named for a log that is not there yet gets it, once.
func TestPreferredDirectory(t *testing.T) {
	r := newRig(t, 3, nil)
	for i, want := range []int{2, 0} {
		if i == 0 {
			r.m.Prefer(tp0, r.cfg.Dirs[2])
		}
		if l := r.log(); l.Dir() != r.cfg.Dirs[want] {
			t.Errorf("log %d is in %s", i, l.Dir())
		}
		if err := r.m.Delete(tp0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxPreferred + 10 {
		r.m.Prefer(protocol.TopicPartition{Topic: "x", Partition: int32(i)}, r.cfg.Dirs[1])
	}
	if n := len(r.m.preferred); n > maxPreferred {
		t.Errorf("%d are remembered", n)
	}
}

// A log that is made where one of the same name was before, or that comes back into a directory, starts without what the checkpoints say of the earlier one.
func TestCheckpointsForgetWhoLeft(t *testing.T) {
	for _, known := range []string{"in this life", "in an earlier life"} {
		t.Run(known, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, nil)
				defer func() { r.m.Close(false) }()
				l := r.log()
				fill(t, l, 20)
				l.SetHighWatermark(15)
				if err := l.IncrementLogStartOffset(10); err != nil {
					t.Fatal(err)
				}
				mustFlushTo(t, r, 20)
				if err := r.m.Delete(tp0); err != nil {
					t.Fatal(err)
				}
				if known != "in this life" {
					r.crash()
				}
				fill(t, r.log(), 3)
				l = r.crash()
				expectOffsets(t, l, 0, 3)
				if l.HighWatermark() != 0 || l.recoveryPoint.Load() != 0 {
					t.Errorf("watermark %d, recovery point %d", l.HighWatermark(), l.recoveryPoint.Load())
				}
			})
		})
	}
}

func TestFutureNames(t *testing.T) {
	for _, tp := range []protocol.TopicPartition{tp0, {Topic: "a.b-c-delete", Partition: 12}, {Topic: strings.Repeat("n", 210), Partition: 99}} {
		name := futureDirName(tp)
		if kind, got := classifyDir(name); kind != futureDir || got != tp || !CanHaveFuture(tp) {
			t.Errorf("%s is %v of %v", name, kind, got)
		}
	}
	if tp := (protocol.TopicPartition{Topic: strings.Repeat("n", 214)}); CanHaveFuture(tp) {
		t.Errorf("%s fits", futureDirName(tp))
	}
}
