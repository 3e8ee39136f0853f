package storage

import (
	"math"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// everyRecord is flush.messages=1.
func everyRecord(c *LogConfig) { c.FlushMessages = 1 }

// asks counts how often the manager asks for the time: a flush does it once.
func (r *rig) asks() func() int {
	var mu sync.Mutex
	n := 0
	clock := r.cfg.Clock
	r.m.cfg.Clock = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		n++
		return clock()
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// With flush.messages=1 all appends that wait at one moment wait for one flush, and the leader does not count them for the high watermark before it is over.
func TestAppendsShareAFlush(t *testing.T) {
	r := newRig(t, 1, everyRecord)
	l := r.log()
	mustAppend(t, l, batch(1, 10, 1700000000000))
	if err := l.FlushDue(); err != nil || l.CommitBound() != 1 {
		t.Fatal(err, l.CommitBound())
	}
	const appends = 20
	l.flushMu.Lock() // the disk is busy
	var wg sync.WaitGroup
	for range appends {
		wg.Go(func() {
			mustAppend(t, l, batch(1, 10, 1700000000000))
			if err := l.FlushDue(); err != nil {
				t.Error(err)
			}
			if bound := l.CommitBound(); bound != appends+1 {
				t.Errorf("an append is over at %d", bound)
			}
		})
	}
	for l.LogEndOffset() != appends+1 { // none of them waits for another one's flush
		time.Sleep(time.Millisecond)
	}
	if got := l.CommitBound(); got != 1 {
		t.Errorf("records count up to %d before they are flushed", got)
	}
	asked := r.asks()
	l.flushMu.Unlock()
	wg.Wait()
	if got := asked(); got != 1 {
		t.Errorf("%d flushes for %d appends", got, appends)
	}
}

// flush.messages=3: nothing waits until three records are there; by default nothing ever does.
func TestFlushMessages(t *testing.T) {
	for _, c := range []struct{ messages, due int64 }{{1, 1}, {3, 3}, {math.MaxInt64, -1}} {
		r := newRig(t, 1, func(cfg *LogConfig) { cfg.FlushMessages = c.messages })
		l := r.log()
		for end := int64(1); end <= 4; end++ {
			mustAppend(t, l, batch(1, 10, 1700000000000))
			due := l.CommitBound() < end
			if due != (c.due > 0 && end%c.due == 0) {
				t.Errorf("flush.messages %d: with %d records a flush is due: %t", c.messages, end, due)
			}
			if err := l.FlushDue(); err != nil || l.CommitBound() != end {
				t.Errorf("flush.messages %d: %v, %d of %d records count", c.messages, err, l.CommitBound(), end)
			}
		}
	}
}

// A log that is cut while a flush is due waits for no record that is gone, and flushes those that come in their place.
func TestFlushDueAfterTruncation(t *testing.T) {
	r := newRig(t, 1, everyRecord)
	l := r.log()
	fill(t, l, 5)
	if err := l.TruncateTail(2); err != nil {
		t.Fatal(err)
	}
	asked := r.asks()
	if err := l.FlushDue(); err != nil || l.CommitBound() != 2 {
		t.Errorf("%v, bound %d", err, l.CommitBound())
	}
	before := asked()
	mustAppend(t, l, batch(1, 10, 1700000000000))
	if l.CommitBound() != 2 {
		t.Errorf("bound %d before the flush", l.CommitBound())
	}
	if err := l.FlushDue(); err != nil || l.CommitBound() != 3 || asked() <= before+1 {
		t.Errorf("%v, bound %d, the clock was asked %d times", err, l.CommitBound(), asked()-before)
	}
	if err := l.TruncateFullyAndStartAt(0); err != nil || l.CommitBound() != 0 {
		t.Errorf("%v, bound %d", err, l.CommitBound())
	}
}

// A flush that fails fails all that wait for it, and takes the directory offline; later appends do not succeed.
func TestFlushDueFails(t *testing.T) {
	r := newRig(t, 1, everyRecord)
	l := r.log()
	mustAppend(t, l, batch(1, 10, 1700000000000))
	if err := os.Rename(r.partition(), r.partition()+".gone"); err != nil { // its entries cannot be synced
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if l.FlushDue() == nil {
				t.Error("records count as durable that are not")
			}
		})
	}
	wg.Wait()
	if <-r.failed != r.cfg.Dirs[0] {
		t.Error("another directory failed")
	}
	var out AppendResult
	if err := l.AppendAsLeader(batch(1, 10, 1700000000000), 0, FromClient, &out); err == nil {
		t.Error("an append to a directory that is offline succeeded")
	}
}

// However many logs wait for durability, no more than syncsAtOnce ask a directory's file system for it.
func TestSyncsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *LogConfig) { c.FlushMessages = 1 })
		told := 0
		r.m.cfg.OnManySyncs = func(most int) { told += most }
		l := r.log()
		mustAppend(t, l, batch(1, 10, 1700000000000))
		busy := r.m.dirs[0].syncing
		for range syncsAtOnce {
			busy <- struct{}{}
		}
		flushed := make(chan error, 1)
		go func() { flushed <- l.FlushDue() }()
		synctest.Wait()
		select {
		case err := <-flushed:
			t.Fatalf("one more log was synced beside %d: %v", syncsAtOnce, err)
		default:
		}
		<-busy
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if told != syncsAtOnce {
			t.Errorf("told of %d syncs at once, want %d", told, syncsAtOnce)
		}
	})
}

// Nobody is told of many syncs while commits wait for the disk one after the other.
func TestOneSyncAtATimeIsNotMany(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.FlushMessages = 1 })
	r.m.cfg.OnManySyncs = func(int) { t.Error("told of many") }
	l := r.log()
	for range 3 {
		mustAppend(t, l, batch(1, 10, 1700000000000))
		if err := l.FlushDue(); err != nil {
			t.Fatal(err)
		}
	}
}
