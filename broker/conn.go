package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"gregor/protocol"
	"gregor/replication"
)

// conn is one client connection. Its reader takes requests in order and answers them at once where it can; the first one that has to
// wait, and all behind it, are answered by a writer goroutine that lives until the queue is empty. So answers keep request order while
// appends of pipelined produce requests never wait for each other.
type conn struct {
	b      *Broker
	ln     *listener
	tcp    *net.TCPConn
	raw    syscall.RawConn
	host   string // "/" and the client's address
	ctx    context.Context
	cancel context.CancelFunc

	lastActive atomic.Int64 // coarse clock of the listener's sweep, ns

	// The reader's own: of the connection's goroutine while it waits for the first bytes of a burst of requests, of a worker from then on until all are served.
	in       *buffer // bytes in.b[r:w] are read and not yet served; nil while there are none
	r, w     int
	wantSize int // buffer size that would have held the last frame
	readFunc func(fd uintptr) bool
	readErr  error
	*worker        // nil while nobody serves it
	back     int64 // when the last burst was served, ns since started
	bursts   int   // how many came quickly one behind the other, up to busyBursts

	expected atomic.Int32 // requests that a client with several in flight is about to send: see anticipate

	writing atomic.Bool         // a writer runs: answers go through the queue
	muted   atomic.Bool         // a request was left without an answer (errSilent): nothing after it is answered either, as in Kafka
	waiter  *replication.Waiter // the writer's; nil until something has waited
	mu      struct {
		sync.Mutex
		queue []pending
		bytes int // request bytes that queue stands for
		room  sync.Cond
	}
	writer sync.WaitGroup
}

func newConn(b *Broker, ln *listener, tcp *net.TCPConn) (*conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{b: b, ln: ln, tcp: tcp, raw: raw, host: "/" + remoteIP(tcp), wantSize: bufferClasses[1]}
	c.ctx, c.cancel = context.WithCancel(b.ctx)
	c.mu.room.L = &c.mu
	c.readFunc = c.readOnce
	return c, nil
}

func (c *conn) ip() string { return c.host[1:] }

func remoteIP(tcp *net.TCPConn) string {
	if a, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return ""
}

// run is the connection's goroutine: it waits in a small stack, and has a worker serve what comes. It ends with the connection.
func (c *conn) run() {
	err := errIdle
	for errors.Is(err, errIdle) {
		if err = c.fill(4); err == nil {
			err = c.ln.crew.serve(c)
		}
	}
	c.end(err)
}

// errIdle is the readLoop's, and the fill's, when there is nothing to serve.
var errIdle = errors.New("connection is idle")

// end releases all that the connection held, and says why it ends when that is worth a word.
func (c *conn) end(err error) {
	c.in.release()
	c.in = nil
	c.cancel()
	c.mu.Lock()
	c.mu.room.Broadcast()
	c.mu.Unlock()
	c.tcp.Close() // unblocks a writer that sends
	c.writer.Wait()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, errClose) && !errors.Is(err, syscall.ECONNRESET) {
		c.ln.log.Warn(fmt.Sprintf("[SocketServer listenerType=ZK_BROKER, nodeId=%d] Closing connection from %s: %v", c.b.id, c.tcp.RemoteAddr(), err))
	}
	c.ln.leave(c)
}

func (c *conn) readLoop() (err error) {
	defer c.survive(&err, &c.rq.header)
	for {
		frame, err := c.nextFrame()
		if err != nil {
			return err
		}
		err = c.handle(frame)
		c.b.memory.release(c.charged)
		c.charged = 0
		switch {
		case errors.Is(err, errSilent):
			c.deliverWakes()
			c.writer.Wait() // what came before is answered
			c.muted.Store(true)
		case err != nil:
			c.drain()
			return err
		}
	}
}

// survive turns a panic of ours into the end of this one connection: a bug in one request must not take the broker from everyone else. h is the
// header of the request at hand, nil where it is not known.
func (c *conn) survive(err *error, h *protocol.RequestHeader) {
	cause := recover()
	if cause == nil {
		return
	}
	what := "a request"
	if h != nil {
		what = fmt.Sprintf("API key %d version %d", h.Key, h.Version)
	}
	c.ln.log.Error(fmt.Sprintf("Panic while handling %s from %s: %v\n%s", what, c.tcp.RemoteAddr(), cause, debug.Stack()))
	*err = errClose
}

// drain lets the answers of earlier requests out before the connection closes for what a later one did. Kafka reads a request only when
// the one before it is answered.
func (c *conn) drain() {
	c.deliverWakes()
	c.writer.Wait()
	_ = c.out.flush() // the connection closes either way
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
	return c.enqueue(pending{bytes: len(body), late: handled(func(o *output) error {
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
	})})
}
