// Package peer is a connection to another broker: requests of a fixed version out, responses in, in order, over one TCP connection.
//
// Brokers know from inter.broker.protocol.version which versions their peers speak, so nothing is negotiated here: a request goes out in the
// version it carries.
package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Config of a connection. Zero durations mean no limit but the context's; a MaxResponseSize of 0 means defaultMaxResponseSize.
type Config struct {
	Addr            string // host:port
	ClientID        string // as brokers name themselves: the sender's broker id
	ConnectTimeout  time.Duration
	RequestTimeout  time.Duration
	MaxResponseSize int // bytes of a response without its size field
}

// defaultMaxResponseSize is socket.request.max.bytes' default: what a broker takes as a request, its peers take as a response.
const defaultMaxResponseSize = 100 << 20

// ErrClosed is returned by requests on a Conn that was closed.
var ErrClosed = errors.New("connection to the broker was closed")

// Conn dials lazily, redials after an error, and is safe for concurrent use; requests go out in the order of Request calls, without waiting
// for the answers to those before.
type Conn struct {
	config Config

	// turn is held while a request is written (and the connection dialed for it). It is a channel, so that waiting for it ends with the context.
	turn chan struct{}
	done chan struct{} // closed by Close

	mu struct {
		sync.Mutex
		session *session // nil: to be dialed
		closed  bool
	}
	running sync.WaitGroup // added to under mu while not closed
}

// New makes a connection; the first request dials.
func New(c Config) *Conn {
	if c.MaxResponseSize <= 0 {
		c.MaxResponseSize = defaultMaxResponseSize
	}
	return &Conn{config: c, turn: make(chan struct{}, 1), done: make(chan struct{})}
}

// Request sends req at req.GetVersion() and waits for its response. After an error the connection is closed and the next call dials anew: the
// requests that were waiting for an answer behind the failed one fail with it.
func (c *Conn) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	resp, err := c.request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("request %s to %s: %w", kmsg.NameForKey(req.Key()), c.config.Addr, err)
	}
	return resp, nil
}

func (c *Conn) request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if t := c.config.RequestTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	s, call, err := c.send(ctx, req)
	if err != nil {
		return nil, err
	}
	select {
	case <-call.done:
		return call.resp, call.err
	case <-ctx.Done():
		// The answer may still come, and everything behind it would wait: Kafka's clients give the connection up, too.
		s.fail(ctx.Err())
		return nil, ctx.Err()
	}
}

// send dials if need be, and writes the request.
func (c *Conn) send(ctx context.Context, req kmsg.Request) (*session, *call, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-c.done:
		return nil, nil, ErrClosed
	}
	s, err := c.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	call, err := s.send(ctx, c.config.ClientID, req)
	return s, call, err
}

// connected returns the live session or a new one. The caller holds turn.
func (c *Conn) connected(ctx context.Context) (*session, error) {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if s := c.mu.session; s != nil && s.alive() {
		c.mu.Unlock()
		return s, nil
	}
	// A Close meanwhile ends the dialing, too.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.running.Go(func() {
		select {
		case <-c.done:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	})
	c.mu.Unlock()
	d := net.Dialer{Timeout: c.config.ConnectTimeout}
	conn, err := d.DialContext(ctx, "tcp", c.config.Addr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	s := newSession(conn, c.config.MaxResponseSize)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		conn.Close()
		return nil, ErrClosed
	}
	c.mu.session = s
	c.running.Go(s.readLoop)
	return s, nil
}

// Close ends the connection and waits until nothing of it runs any more. Waiting and later requests fail with ErrClosed.
func (c *Conn) Close() {
	c.mu.Lock()
	s, first := c.mu.session, !c.mu.closed
	c.mu.closed = true
	if first {
		close(c.done)
	}
	c.mu.Unlock()
	if s != nil {
		s.fail(ErrClosed)
	}
	c.running.Wait()
}

// call is a request that waits for its response.
type call struct {
	correlationID int32
	req           kmsg.Request
	resp          kmsg.Response
	err           error
	done          chan struct{} // closed when resp or err is set
}

// session is one TCP connection. It does not come back after its first error.
type session struct {
	conn            net.Conn
	maxResponseSize int

	mu struct {
		sync.Mutex
		correlationID int32
		pending       []*call // in the order they were written
		err           error   // why it ended
	}
}

func newSession(conn net.Conn, maxResponseSize int) *session {
	return &session{conn: conn, maxResponseSize: maxResponseSize}
}

func (s *session) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err == nil
}

// fail ends the session and every call that waits in it. Only the first error counts.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err != nil {
		return
	}
	s.mu.err = err
	if len(s.mu.pending) > 0 {
		sendNoMore(s.conn)
	}
	for _, c := range s.mu.pending {
		c.err = err
		close(c.done)
	}
	s.mu.pending = nil
	s.conn.Close()
}

// sendNoMore has the operating system forget, at Close, what it has not brought to the peer yet. A request that was given up is repeated on another connection; were
// the first one still to arrive after it, a broker would take what was true then for what is true now. Kafka's UpdateMetadata relies on its order.
func sendNoMore(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a connection that is over, which sends nothing
	}
}

// send writes a request, of which the caller makes sure that it is the only one.
func (s *session) send(ctx context.Context, clientID string, req kmsg.Request) (*call, error) {
	s.mu.Lock()
	if err := s.mu.err; err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.mu.correlationID++
	c := &call{correlationID: s.mu.correlationID, req: req, done: make(chan struct{})}
	s.mu.pending = append(s.mu.pending, c)
	s.mu.Unlock()

	frame := protocol.AppendRequest(nil, c.correlationID, clientID, req)
	// A peer that does not read must not hold the caller beyond its time.
	stop := context.AfterFunc(ctx, func() { s.fail(ctx.Err()) })
	defer stop()
	if _, err := s.conn.Write(frame); err != nil {
		s.fail(err)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// readLoop hands responses to the calls they answer, until the session ends.
func (s *session) readLoop() {
	r := bufio.NewReader(s.conn)
	for {
		if err := s.readResponse(r); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *session) readResponse(r *bufio.Reader) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 4 || n > s.maxResponseSize {
		return fmt.Errorf("response of %d bytes; the limit is %d", n, s.maxResponseSize)
	}
	frame, err := readFrame(r, n)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.mu.err != nil || len(s.mu.pending) == 0 {
		s.mu.Unlock()
		return errors.New("response to no request")
	}
	c := s.mu.pending[0]
	s.mu.Unlock()
	resp, err := protocol.DecodeResponse(frame, c.correlationID, c.req)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err != nil {
		return s.mu.err // the call has failed already
	}
	s.mu.pending = s.mu.pending[1:]
	c.resp = resp
	close(c.done)
	return nil
}

// readFrame reads n bytes; memory is taken as they come, not as they are promised.
func readFrame(r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	frame := make([]byte, 0, min(n, step))
	for len(frame) < n {
		from := len(frame)
		frame = append(frame, make([]byte, min(n-from, max(from, step)))...)
		if _, err := io.ReadFull(r, frame[from:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return frame, nil
}
