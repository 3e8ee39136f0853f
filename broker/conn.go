package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"gregor/protocol"
)

// conn is one client connection. Its reader takes requests in order and answers them at once where it can; the first one that has to
// wait, and all behind it, are answered by a writer goroutine that lives until the queue is empty. So answers keep request order while
// appends of pipelined produce requests never wait for each other.
type conn struct {
	b      *Broker
	ln     *listener
	tcp    *net.TCPConn
	raw    syscall.RawConn
	ip     string
	ctx    context.Context
	cancel context.CancelFunc

	lastActive atomic.Int64 // coarse clock of the listener's sweep, ns

	// The reader's own.
	in       *buffer // bytes in.b[r:w] are read and not yet served; nil while there are none
	r, w     int
	wantSize int // buffer size that would have held the last frame
	charged  int // bytes of the memory pool that the frame being read or served holds
	readFunc func(fd uintptr) bool
	readErr  error
	rq       request
	produce  produceState
	fetch    fetchState

	out output // the reader's while writing is false

	writing atomic.Bool // a writer runs: answers go through the queue
	muted   atomic.Bool // a request was left without an answer (errSilent): nothing after it is answered either, as in Kafka
	mu      struct {
		sync.Mutex
		queue []pending
		bytes int // request bytes that queue stands for
		room  sync.Cond
	}
	writer sync.WaitGroup
}

// pending is an answer that has not been written yet. finish appends it and may wait; when it is nil, ready is the whole answer.
type pending struct {
	finish func(o *output) error
	ready  []byte
	bytes  int
}

func newConn(b *Broker, ln *listener, tcp *net.TCPConn) (*conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{b: b, ln: ln, tcp: tcp, raw: raw, ip: remoteIP(tcp), wantSize: bufferClasses[1]}
	c.ctx, c.cancel = context.WithCancel(b.ctx)
	c.out = output{tcp: tcp, raw: raw}
	c.mu.room.L = &c.mu
	c.readFunc = c.readOnce
	c.rq = request{ctx: c.ctx, listener: ln.name, host: "/" + c.ip, conn: c}
	return c, nil
}

func remoteIP(tcp *net.TCPConn) string {
	if a, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return ""
}

// serve runs the connection until it ends and releases all it held.
func (c *conn) serve() {
	err := c.readLoop()
	c.b.memory.release(c.charged)
	c.cancel()
	c.mu.Lock()
	c.mu.room.Broadcast()
	c.mu.Unlock()
	c.tcp.Close() // unblocks a writer that sends
	c.writer.Wait()
	c.out.discard()
	c.in.release()
	c.in = nil
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, errClose) && !errors.Is(err, syscall.ECONNRESET) {
		c.ln.log.Warn(fmt.Sprintf("[SocketServer listenerType=ZK_BROKER, nodeId=%d] Closing connection from %s: %v", c.b.id, c.tcp.RemoteAddr(), err))
	}
}

func (c *conn) readLoop() (err error) {
	defer c.survive(&err)
	for {
		frame, err := c.nextFrame()
		if err != nil {
			return err
		}
		c.lastActive.Store(c.ln.now.Load())
		err = c.handle(frame)
		c.b.memory.release(c.charged)
		c.charged = 0
		switch {
		case errors.Is(err, errSilent):
			c.muted.Store(true)
		case err != nil:
			c.drain()
			return err
		}
	}
}

// survive turns a panic of ours into the end of this one connection: a bug in one request must not take the broker from everyone else.
func (c *conn) survive(err *error) {
	if cause := recover(); cause != nil {
		c.ln.log.Error(fmt.Sprintf("Panic while handling API key %d version %d from %s: %v\n%s", c.rq.header.Key, c.rq.header.Version, c.tcp.RemoteAddr(), cause, debug.Stack()))
		*err = errClose
	}
}

// drain lets the answers of earlier requests out before the connection closes for what a later one did. Kafka reads a request only when
// the one before it is answered.
func (c *conn) drain() {
	c.writer.Wait()
	_ = c.out.flush() // the connection closes either way
}

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
		if err := c.fill(need); err != nil {
			return nil, err
		}
	}
	c.wantSize = min(max(bufferClasses[1], need), bufferClasses[len(bufferClasses)-1])
	frame := c.in.b[c.r+4 : c.r+need]
	c.r += need
	return frame, nil
}

// charge takes the bytes of a frame out of the memory pool, waiting for others to give some back.
func (c *conn) charge(size int) error {
	if !c.b.memory.tryAcquire(size) {
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
	c.readErr = nil
	if err := c.raw.Read(c.readFunc); err != nil {
		return err
	}
	return c.readErr
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

// readOnce is called by the network poller whenever the socket may be readable. The buffer is borrowed only then, and given back when there was
// nothing after all.
func (c *conn) readOnce(fd uintptr) bool {
	if c.in == nil {
		c.in = getBuffer(c.wantSize)
		c.r, c.w = 0, 0
	}
	for {
		n, err := unix.Read(int(fd), c.in.b[c.w:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
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
		}
		return true
	}
}

// handle serves one frame.
func (c *conn) handle(frame []byte) error {
	if c.muted.Load() {
		return nil
	}
	h, body, err := protocol.ParseHeader(frame, &c.rq.header)
	if err != nil {
		return fmt.Errorf("error parsing request header: %w", err)
	}
	c.rq.header = h
	switch {
	case h.Key == keyProduce && h.Version >= 3:
		return c.serveProduce(body)
	case h.Key == keyFetch:
		return c.serveFetch(body)
	case h.Key == keyApiVersions:
		return c.answer(func(o *output) error { return serveApiVersions(&c.rq, body, o) })
	}
	return c.serveOther(body)
}

// answer runs append now when nothing is parked before it, or behind what is.
func (c *conn) answer(appendTo func(o *output) error) error {
	if !c.writing.Load() {
		c.out.grab()
		return appendTo(&c.out)
	}
	var o output
	if err := appendTo(&o); err != nil {
		return err
	}
	return c.enqueue(pending{ready: o.buf})
}

// serveOther decodes a request here and has it handled by the writer, so that the reader notices when the client goes away meanwhile.
func (c *conn) serveOther(body []byte) error {
	h := c.rq.header
	handler, ok := handlers[h.Key]
	if !ok {
		return fmt.Errorf("no handler for API key %d: %w", h.Key, errClose)
	}
	req, err := protocol.DecodeRequest(h, body)
	if err != nil {
		return fmt.Errorf("error parsing request %d version %d: %w", h.Key, h.Version, err)
	}
	rq := c.rq
	return c.enqueue(pending{bytes: len(body), finish: func(o *output) error {
		resp, err := handler(c.b, &rq, req)
		switch {
		case errors.Is(err, errSilent):
			c.muted.Store(true)
			return nil
		case err != nil:
			return err
		}
		o.grab()
		o.buf = protocol.AppendResponse(o.buf, rq.header, resp)
		return nil
	}})
}

// enqueue hands an answer to the writer, starting it when none runs. It waits while the queue is full.
func (c *conn) enqueue(p pending) error {
	if err := c.flushIdle(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.mu.queue) >= c.b.maxQueued || c.mu.bytes > int(c.b.maxRequestSize)) && c.ctx.Err() == nil {
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
	defer c.survive(&bug)
	for {
		p, ok := c.next(&o)
		if !ok {
			return
		}
		var err error
		if p.finish == nil {
			o.grab()
			o.buf = append(o.buf, p.ready...)
		} else {
			// The answer may be long in coming: what is ready goes first.
			if err = o.flush(); err == nil {
				err = p.finish(&o)
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
