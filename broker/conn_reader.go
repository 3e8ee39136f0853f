package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// nextFrame returns the bytes of the next request after its size field. They are valid until the next call. The frame is charged to the memory
// pool as soon as its size is known.
func (c *conn) nextFrame() ([]byte, error) {
	need := 4
	for {
		if c.w-c.r >= need {
			if need > 4 {
				break
			}
			size := int32(binary.BigEndian.Uint32(c.in.b[c.r:]))
			if size < 0 || size > c.b.maxRequestSize {
				c.drain()
				return nil, fmt.Errorf("invalid receive (size = %d not in 0..%d)", size, c.b.maxRequestSize)
			}
			if err := c.charge(int(size)); err != nil {
				return nil, err
			}
			need = 4 + int(size)
			if size == 0 {
				break
			}
			continue
		}
		// About to wait for bytes: answers must not wait with us.
		if err := c.flushIdle(); err != nil {
			return nil, err
		}
		if c.r == c.w && !c.isBusy() {
			return nil, errIdle
		}
		if err := c.fill(need); err != nil {
			return nil, err
		}
	}
	c.wantSize = min(max(bufferClasses[1], need), bufferClasses[len(bufferClasses)-1])
	frame := c.in.b[c.r+4 : c.r+need]
	c.r += need
	return frame, nil
}

// nextWhole takes the next frame if it lies whole in the buffer and wanted says so, without waiting for bytes or for memory; else it returns nil. What nextFrame returned stays valid.
func (c *conn) nextWhole(wanted func(frame []byte) bool) []byte {
	if c.w-c.r < 4 {
		return nil
	}
	size := int32(binary.BigEndian.Uint32(c.in.b[c.r:]))
	if size < 0 || size > c.b.maxRequestSize || c.w-c.r-4 < int(size) {
		return nil
	}
	frame := c.in.b[c.r+4 : c.r+4+int(size)]
	if !wanted(frame) || !c.b.memory.tryAcquire(int(size)) {
		return nil
	}
	c.charged += int(size)
	c.r += 4 + int(size)
	return frame
}

// charge takes the bytes of a frame out of the memory pool, waiting for others to give some back.
func (c *conn) charge(size int) error {
	if !c.b.memory.tryAcquire(size) {
		c.deliverWakes()
		if err := c.flushIdle(); err != nil {
			return err
		}
		if !c.b.memory.acquire(c.ctx, size) {
			return net.ErrClosed
		}
	}
	c.charged = size
	return nil
}

// flushIdle sends what the reader has answered itself.
func (c *conn) flushIdle() error {
	if c.writing.Load() {
		return nil
	}
	if c.out.pending() > 0 {
		c.deliverWakes() // the client may be slow in taking the answers
	}
	return c.out.flush()
}

// fill reads more bytes, making room for them behind what is there. A buffer grows to the size a frame claims only as its bytes arrive, and
// doubles at most, so that a size alone reserves no memory.
func (c *conn) fill(need int) error {
	if c.in != nil {
		if c.r == c.w {
			c.r, c.w = 0, 0
		}
		if c.w == len(c.in.b) || c.r > 0 && c.r+need > len(c.in.b) {
			c.makeRoom(need)
		}
	}
	for {
		c.readErr = nil
		err := c.raw.Read(c.readFunc)
		switch {
		case err == nil:
			return c.readErr
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		// The sweep found a busy connection quiet. Bytes that come just now are read when it is lent again.
		c.bursts = 0
		if err := c.tcp.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		if c.r == c.w {
			return errIdle
		}
	}
}

// makeRoom moves the unserved bytes to the start of the buffer, and to a larger one when that is full.
func (c *conn) makeRoom(need int) {
	bigger, have := c.in, c.w-c.r
	if have == len(c.in.b) {
		bigger = getBuffer(min(need, max(2*have, bufferClasses[1])))
	}
	c.w = copy(bigger.b, c.in.b[c.r:c.w])
	c.r = 0
	if bigger != c.in {
		c.in.release()
		c.in = bigger
	}
}

// maxPatience is how often the reader looks again for a request that it expects, about a microsecond each time while nobody else wants the processor.
const maxPatience = 10

// anticipate reports whether the reader is to look for bytes again before it waits for them, and gives the processor to others meanwhile. A client that keeps several requests in flight, and was just
// answered several, sends as many within microseconds: then followers get them all with one answer, instead of the first alone.
func (c *conn) anticipate(patience *int) bool {
	if c.worker == nil || c.unwoken == 0 || c.expected.Load() <= 0 {
		return false
	}
	if *patience == 0 {
		c.expected.Store(0) // it does not
		return false
	}
	*patience--
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // other processes may keep the processor for a while: not raw, so that goroutines have it meanwhile
	return true
}

// readOnce is called by the network poller whenever the socket may be readable. The buffer is borrowed only then, and given back when there was
// nothing after all.
func (c *conn) readOnce(fd uintptr) bool {
	if c.in == nil {
		c.in = getBuffer(c.wantSize)
		c.r, c.w = 0, 0
	}
	patience := maxPatience
	for {
		n, err := unix.Read(int(fd), c.in.b[c.w:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN && c.anticipate(&patience):
			continue
		case err == unix.EAGAIN:
			if c.worker != nil {
				c.deliverWakes()
			}
			if c.r == c.w {
				c.in.release()
				c.in = nil
			}
			return false
		case err != nil:
			c.readErr = err
		case n == 0:
			c.readErr = io.EOF
		default:
			c.w += n
			c.lastActive.Store(c.ln.now.Load()) // a slow upload is not idle
			c.b.vigil.touch()
		}
		return true
	}
}
