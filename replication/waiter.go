package replication

import (
	"sync"
	"sync/atomic"
)

// Waiter is one parked request: a fetch that waits for bytes or a produce that waits for the high watermark. C holds a token after
// any partition it watches has moved; who waits looks again, and parks again if that was not enough.
type Waiter struct {
	C chan struct{}
}

// NewWaiter returns a waiter that watches nothing yet.
func NewWaiter() *Waiter { return &Waiter{C: make(chan struct{}, 1)} }

func (w *Waiter) wake() {
	select {
	case w.C <- struct{}{}:
	default: // a token is already there
	}
}

// watchers are the waiters of one partition. The count lets an append on a partition that nobody waits for pass without a lock.
type watchers struct {
	count atomic.Int32
	mu    struct {
		sync.Mutex
		set map[*Waiter]struct{}
	}
}

func (ws *watchers) add(w *Waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.mu.set == nil {
		ws.mu.set = make(map[*Waiter]struct{})
	}
	ws.mu.set[w] = struct{}{}
	ws.count.Store(int32(len(ws.mu.set)))
}

func (ws *watchers) remove(w *Waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.mu.set, w)
	ws.count.Store(int32(len(ws.mu.set)))
}

func (ws *watchers) wakeAll() {
	if ws.count.Load() == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.mu.set {
		w.wake()
	}
}

// waiting are those who wait for a partition: for its log to grow, or for what is committed (and the ISR, and the low watermark) to move. Who waits for one is not
// disturbed by the other.
type waiting struct {
	logEnd    watchers
	watermark watchers
}

// wakeAll wakes everybody: the role has changed.
func (w *waiting) wakeAll() {
	w.logEnd.wakeAll()
	w.watermark.wakeAll()
}
