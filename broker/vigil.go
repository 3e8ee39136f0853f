package broker

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// vigil keeps Go's scheduler watchful while requests come in. When every processor of the runtime (P) is idle, as between two requests of one
// client, its monitor thread goes to sleep, and the next request wakes it for fifty naps of 20 µs: a fifth of the CPU time of a broker that answers
// fetches one by one. A P in a system call is not idle, so the vigil spends the busy times in nanosleep, on a P that GOMAXPROCS is raised by for it.
// A broker without requests has none of it: the vigil parks, and the next read of a connection wakes it.
type vigil struct {
	seen   atomic.Bool // a connection has read since the last look
	parked atomic.Bool
	wake   chan struct{}
}

const (
	vigilNap  = 9 * time.Millisecond // the monitor takes a P away after 10 ms in one system call, or in one goroutine: so the vigil yields in between
	vigilPark = 20                   // quiet naps before it parks
)

func newVigil() *vigil { return &vigil{wake: make(chan struct{}, 1)} }

// touch is called for every read of a connection, and for every answer with something in it that a follower gets. On a busy broker it reads two words and writes none.
func (v *vigil) touch() {
	if !v.seen.Load() {
		v.seen.Store(true)
	}
	if v.parked.Load() && v.parked.CompareAndSwap(true, false) {
		v.wake <- struct{}{}
	}
}

// run keeps vigil until ctx ends. An explicit GOMAXPROCS leaves no P for it: then it does nothing.
func (v *vigil) run(ctx context.Context) {
	if !processorsAreOurs() {
		return
	}
	setProcessors(func() { processors.vigil = 1 })
	nap := unix.NsecToTimespec(int64(vigilNap))
	for ctx.Err() == nil {
		for quiet := 0; quiet < vigilPark; quiet++ {
			if v.seen.Swap(false) {
				quiet = 0
			}
			_ = unix.Nanosleep(&nap, nil) // cut short by a signal: naps are for passing the time
			runtime.Gosched()
		}
		v.parked.Store(true)
		if v.seen.Load() && v.parked.CompareAndSwap(true, false) {
			continue
		}
		select {
		case <-v.wake:
		case <-ctx.Done():
		}
	}
}
