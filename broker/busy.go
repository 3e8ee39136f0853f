package broker

import (
	"sync"
	"time"
)

// A connection is busy when this many bursts of requests in a row each came this shortly after the one before. It stays with its worker then, which saves handing it
// over for every burst, until it was quiet for coolEvery at least, and twice that at most.
const (
	busyBursts = 5
	busyWithin = 100 * time.Millisecond
	coolEvery  = time.Second
)

// busyConns are the busy connections of a listener.
type busyConns struct {
	first chan struct{} // told when there is one where there was none
	mu    struct {
		sync.Mutex
		conns  []*conn
		looked int64 // coarse clock of the last look, ns
	}
}

// started is what busy counts its time from.
var started = time.Now()

// isBusy reports whether the reader, with all requests served, is to wait for the next ones in its worker.
func (c *conn) isBusy() bool {
	if c.bursts == busyBursts {
		return true
	}
	now := int64(time.Since(started))
	if now-c.back > int64(busyWithin) {
		c.bursts = 0
	}
	c.back = now
	if c.bursts++; c.bursts < busyBursts {
		return false
	}
	c.ln.busy.add(c)
	return true
}

func (b *busyConns) add(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.conns = append(b.mu.conns, c)
	if len(b.mu.conns) == 1 {
		select {
		case b.first <- struct{}{}:
		default: // the sweep has not heard of an earlier one yet
		}
	}
}

// cool has every connection leave its worker that has read nothing since the last look, and reports whether busy ones are left. now is the listener's coarse clock.
func (b *busyConns) cool(now int64) bool {
	b.mu.Lock()
	var quiet []*conn
	left := b.mu.conns[:0]
	for _, c := range b.mu.conns {
		switch {
		case c.ctx.Err() != nil: // closed
		case c.lastActive.Load() < b.mu.looked:
			quiet = append(quiet, c)
		default:
			left = append(left, c)
		}
	}
	clear(b.mu.conns[len(left):])
	if len(left) == 0 {
		left = nil
	}
	b.mu.conns, b.mu.looked = left, now
	b.mu.Unlock()
	for _, c := range quiet {
		_ = c.tcp.SetReadDeadline(expired) // the sign that fill waits for; it fails only on a closed connection
	}
	return len(left) > 0
}

// expired is a deadline that has passed: the read at hand, or the next one, returns at once. It makes no timer.
var expired = time.Unix(1, 0)
