package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gregor/protocol"
)

// openUnder lists what this process has open below a directory, its lock left out.
func openUnder(t testing.TB, dir string) (open []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, dir+"/") && filepath.Base(target) != lockFile {
			open = append(open, strings.TrimPrefix(target, dir+"/"))
		}
	}
	return open
}

// A start leaves no file of a log open, whichever way the broker stopped, and whatever the log is first used for finds everything.
func TestFilesOpenAtFirstUse(t *testing.T) {
	const start = 1700000000000
	uses := map[string]func(t *testing.T, l *Log){
		"read":   func(t *testing.T, l *Log) { expectOffsets(t, l, 0, 40) },
		"append": func(t *testing.T, l *Log) { mustAppend(t, l, batch(1, 10, start+50)); expectOffsets(t, l, 0, 41) },
		"timestamp": func(t *testing.T, l *Log) {
			if found, err := l.OffsetForTimestamp(start+17, 40); err != nil || found.Offset != 17 {
				t.Errorf("%+v, %v; want offset 17", found, err)
			}
			usesIndexes(t, l)
		},
		"largest timestamp": func(t *testing.T, l *Log) {
			if found, err := l.OffsetOfMaxTimestamp(); err != nil || found.Offset != 39 {
				t.Errorf("%+v, %v; want offset 39", found, err)
			}
			usesIndexes(t, l)
		},
		"truncation": func(t *testing.T, l *Log) {
			if err := l.TruncateTail(20); err != nil {
				t.Fatal(err)
			}
			expectOffsets(t, l, 0, 20)
		},
		"roll": func(t *testing.T, l *Log) {
			c := *l.Config()
			c.SegmentBytes = 300
			l.manager.UpdateConfig("t", c)
			mustAppend(t, l, batch(1, 100, start+50))
			expectOffsets(t, l, 0, 41)
		},
		"flush and stop": func(t *testing.T, l *Log) {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, use := range uses {
		for how, again := range map[string]func(*rig) *Log{
			"clean stop":             func(r *rig) *Log { return r.restart() },
			"crash":                  func(r *rig) *Log { r.restart(); return r.crash() },
			"an index goes after it": func(r *rig) *Log { l := r.restart(); removeIndexes(t, r.partition()); return l },
		} {
			t.Run(name+" after "+how, func(t *testing.T) {
				r := newRig(t, 1, func(c *LogConfig) { c.IndexIntervalBytes = 200 })
				l := r.log()
				for i := range 40 {
					mustAppend(t, l, batch(1, 50, start+int64(i)))
				}
				l.SetHighWatermark(40)
				l = again(r)
				if open := openUnder(t, r.cfg.Dirs[0]); len(open) > 0 {
					t.Errorf("open before the first use: %v", open)
				}
				if n, err := l.applyRetention(start); n > 0 || err != nil {
					t.Fatalf("retention removed %d segments, %v", n, err)
				}
				if open := openUnder(t, r.cfg.Dirs[0]); len(open) > 0 {
					t.Errorf("open after a look at the retention: %v", open)
				}
				use(t, l)
				end := l.LogEndOffset()
				if l = r.restart(); l.LogEndOffset() != end {
					t.Errorf("the log ended at %d and ends at %d", end, l.LogEndOffset())
				}
			})
		}
	}
}

// usesIndexes fails the test when the active segment was searched without its indexes.
func usesIndexes(t testing.TB, l *Log) {
	t.Helper()
	s := l.segments.Load().active()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.indexed {
		t.Error("the indexes are not open")
	}
}

// removeIndexes takes the index files of a partition away under a running broker.
func removeIndexes(t testing.TB, dir string) {
	t.Helper()
	for _, suffix := range []string{indexSuffix, timeIndexSuffix} {
		if err := os.Remove(filepath.Join(dir, offsetFileName(0, suffix))); err != nil {
			t.Fatal(err)
		}
	}
}

// What a start asks the system for each log that nothing is wrong with: a few small reads and no write, also after a crash when all was durable.
func TestStartCosts(t *testing.T) {
	const logs = 50
	for name, tc := range map[string]struct {
		written     bool
		stop        func(*rig)
		reads, more int // of each log, and of the directory
	}{
		"empty, clean stop":   {false, func(r *rig) { r.m.Close(true) }, 1, 20},
		"empty, crash":        {false, func(r *rig) { r.m.Close(false) }, 1, 20},
		"written, clean stop": {true, func(r *rig) { r.m.Close(true) }, 6, 20},
		"written, crash":      {true, func(r *rig) { r.restart(); r.m.Close(false) }, 9, 20},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			for p := range int32(logs) {
				l, err := r.m.GetOrCreate(protocol.TopicPartition{Topic: "t", Partition: p}, CreateOptions{TopicID: protocol.TopicID{1}})
				if err != nil {
					t.Fatal(err)
				}
				if tc.written {
					mustAppend(t, l, idempotent(7, 0, 0, 1))
				}
			}
			r.restart()
			tc.stop(r)
			io := ioDuring(t, "self", r.open)
			if got := len(r.m.Logs()); got != logs {
				t.Fatalf("%d logs", got)
			}
			if io.reads > tc.reads*logs+tc.more {
				t.Errorf("%d reads for %d logs; want at most %d each", io.reads, logs, tc.reads)
			}
			if io.writes > tc.more {
				t.Errorf("%d writes for %d logs; want none for a log", io.writes, logs)
			}
		})
	}
}

// After a crash logs are opened by as many goroutines as there are processors, and no more of them recover than num.recovery.threads.per.data.dir says.
func TestRecoveryThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.m.Close(false)
		r.cfg.RecoveryThreadsPerDir = 2
		r.open()
		mustAppend(t, r.log(), batch(3, 10, 1700000000000))
		r.m.Close(false)

		var err error
		if r.m, err = Open(r.cfg); err != nil {
			t.Fatal(err)
		}
		busy := r.m.dirs[0].recovering
		for range 2 {
			busy <- struct{}{}
		}
		loaded := make(chan error, 1)
		go func() { loaded <- r.m.Load() }()
		synctest.Wait()
		select {
		case err := <-loaded:
			t.Fatalf("a third log was recovered beside two: %v", err)
		default:
		}
		<-busy
		if err := <-loaded; err != nil || r.m.Get(tp0).LogEndOffset() != 3 {
			t.Errorf("loaded: %v, the log ends at %d", err, r.m.Get(tp0).LogEndOffset())
		}
	})
}
