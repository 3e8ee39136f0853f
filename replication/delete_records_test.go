package replication

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
)

// A deletion waits for every live follower to have deleted, too, and no longer for one that dies meanwhile.
func TestWaitDeleted(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	var gone atomic.Bool // broker 3
	l.cfg().Alive = func(id int32) bool { return id != 3 || !gone.Load() }
	mustAppend(t, l.p, 3, 1)
	for _, id := range []int32{2, 3} {
		l.mustFetch(id, 3)
	}
	required, err := l.p.DeleteRecords(2)
	if err != nil || required != 2 {
		t.Fatalf("%d, %v", required, err)
	}
	deleted := func(id int32) func() {
		return func() {
			f := l.follower(id)
			f.LogStartOffset = 2
			if err := l.ask(Ask{Offset: 3, LastFetchedEpoch: -1, Follower: f}); err != nil {
				t.Error(err)
			}
		}
	}
	dies := func() {
		gone.Store(true)
		l.BrokersChanged()
	}
	synctest.Test(t, func(t *testing.T) {
		wait := func(what string, want protocol.ErrorCode, after time.Duration) {
			t.Helper()
			start := time.Now()
			if code := l.p.WaitDeleted(t.Context(), required, 10*time.Second); code != want || time.Since(start) != after {
				t.Errorf("%s: %v after %v, want %v after %v", what, code, time.Since(start), want, after)
			}
		}
		wait("nobody has deleted", protocol.RequestTimedOut, 10*time.Second)
		time.AfterFunc(time.Second, deleted(2))
		time.AfterFunc(2*time.Second, dies)
		wait("one has, one dies", protocol.None, 2*time.Second)
		gone.Store(false)
		time.AfterFunc(time.Second, deleted(3))
		wait("it is back and has", protocol.None, time.Second)
	})
	if n := l.deletions.count.Load(); n != 0 {
		t.Errorf("%d waiters are left", n)
	}
}
