package replication

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Waiter is one parked request: a fetch that waits for bytes or a produce that waits for the high watermark. C holds a token after
// any partition it watches has moved; who waits looks again, and parks again if that was not enough. One goroutine may use it for one request after the other.
type Waiter struct {
	C     chan struct{}
	timer *time.Timer
}

// NewWaiter returns a waiter that watches nothing yet.
func NewWaiter() *Waiter { return &Waiter{C: make(chan struct{}, 1)} }

// Wait parks until a partition that w watches has moved since the last Wait, and reports whether one has: false when the deadline came first or ctx ended. A token that an earlier
// request left behind counts, too.
func (w *Waiter) Wait(ctx context.Context, deadline time.Time) bool {
	if w.timer == nil {
		w.timer = time.NewTimer(time.Until(deadline))
	} else {
		w.timer.Reset(time.Until(deadline))
	}
	defer w.timer.Stop()
	select {
	case <-w.C:
		return true
	case <-w.timer.C:
	case <-ctx.Done():
	}
	return false
}

func (w *Waiter) wake() {
	select {
	case w.C <- struct{}{}:
	default: // a token is already there
	}
}

// Wakes are partitions that have moved and whose waiters are not woken yet, so that one who waits for several partitions is woken once, when all of them have moved. Whoever collects wakes
// delivers them before waiting for anything.
type Wakes struct {
	logEnd, watermark []*Partition
}

// Deliver wakes who waits for the partitions.
func (w *Wakes) Deliver() {
	for _, p := range w.logEnd {
		p.wait.logEnd.wakeAll()
	}
	for _, p := range w.watermark {
		p.wait.watermark.wakeAll()
	}
	clear(w.logEnd)
	clear(w.watermark)
	w.logEnd, w.watermark = w.logEnd[:0], w.watermark[:0]
}

// grown wakes those who wait for p's log to grow, later if w is not nil.
func (w *Wakes) grown(p *Partition) {
	switch {
	case w == nil:
		p.wait.logEnd.wakeAll()
	case p.wait.logEnd.count.Load() > 0:
		w.logEnd = append(w.logEnd, p)
	}
}

// committed wakes those who wait for what is committed in p, later if w is not nil.
func (w *Wakes) committed(p *Partition) {
	switch {
	case w == nil:
		p.wait.watermark.wakeAll()
	case p.wait.watermark.count.Load() > 0:
		w.watermark = append(w.watermark, p)
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
