package chaos

import (
	"context"
	"sync/atomic"
	"time"
)

// standstill is the longest time, in nanoseconds, in which this process did not run although it had something to do: a busy or frozen machine. What the cluster owes
// its clients it owes them in time that it has.
type standstill struct{ atomic.Int64 }

// watch measures until the context ends.
func (s *standstill) watch(ctx context.Context) {
	const beat = 50 * time.Millisecond
	for last := time.Now(); ctx.Err() == nil; {
		sleep(ctx, beat)
		now := time.Now()
		s.Store(max(s.Load(), int64(now.Sub(last)-beat)))
		last = now
	}
}

// excuses says whether the machine stood still for so long that every session may have ended.
func (s *standstill) excuses() bool { return time.Duration(s.Load()) > sessionTimeout/2 }
