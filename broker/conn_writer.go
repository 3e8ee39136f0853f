package broker

import (
	"net"
)

// pending is an answer that has not been written yet; when there is no late one, ready is all of it.
type pending struct {
	late  lateAnswer
	ready []byte
	bytes int // of the request, as far as they count against what may wait on a connection
}

// lateAnswer is an answer that is made when its turn comes.
type lateAnswer interface {
	// due reports whether finish will not wait, as far as that is known.
	due() bool
	// finish appends the answer to o. It may wait.
	finish(o *output) error
}

// handled is the late answer of a handler, which may take any time.
type handled func(o *output) error

func (handled) due() bool                { return false }
func (h handled) finish(o *output) error { return h(o) }

// enqueue hands an answer to the writer, starting it when none runs. It waits while the queue is full.
func (c *conn) enqueue(p pending) error {
	if err := c.flushIdle(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.mu.queue) >= c.b.maxQueued || c.mu.bytes > int(c.b.maxRequestSize)) && c.ctx.Err() == nil {
		c.deliverWakes()
		c.mu.room.Wait()
	}
	if err := c.ctx.Err(); err != nil {
		return net.ErrClosed
	}
	c.mu.queue = append(c.mu.queue, p)
	c.mu.bytes += p.bytes
	if !c.writing.Load() {
		c.writing.Store(true)
		c.writer.Add(1)
		go c.writeLoop()
	}
	return nil
}

// writeLoop answers what is queued, in order, until nothing is. It runs while the reader takes in further requests.
func (c *conn) writeLoop() {
	defer c.writer.Done()
	o := output{tcp: c.tcp, raw: c.raw}
	defer o.discard()
	var bug error
	defer func() {
		if bug != nil {
			c.fail()
		}
	}()
	defer c.survive(&bug, nil)
	for {
		p, ok := c.next(&o)
		if !ok {
			return
		}
		var err error
		switch {
		case p.late == nil:
			o.grab()
			o.buf = append(o.buf, p.ready...)
		case p.late.due():
			err = p.late.finish(&o)
		default:
			// The answer may be long in coming: what is ready goes first.
			if err = o.flush(); err == nil {
				err = p.late.finish(&o)
			}
		}
		if err == nil && o.pending() > bufferClasses[1] {
			err = o.flush()
		}
		if err != nil {
			c.fail()
			return
		}
		c.lastActive.Store(c.ln.now.Load())
	}
}

// next takes the head of the queue. When there is none it flushes, and ends the writer if there still is none: from then on the reader answers itself.
func (c *conn) next(o *output) (pending, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.queue) == 0 {
		c.mu.Unlock()
		err := o.flush()
		c.mu.Lock()
		if err != nil {
			c.failLocked()
			return pending{}, false
		}
	}
	if c.muted.Load() {
		c.mu.queue = nil
	}
	if len(c.mu.queue) == 0 || c.ctx.Err() != nil {
		c.writing.Store(false)
		return pending{}, false
	}
	p := c.mu.queue[0]
	c.mu.queue[0] = pending{}
	c.mu.queue = c.mu.queue[1:]
	if len(c.mu.queue) == 0 {
		c.mu.queue = nil
	}
	c.mu.bytes -= p.bytes
	c.mu.room.Signal()
	return p, true
}

// fail closes the connection from the writer: the reader then ends, too.
func (c *conn) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked()
}

func (c *conn) failLocked() {
	c.cancel()
	c.tcp.Close()
	c.mu.room.Broadcast()
}
