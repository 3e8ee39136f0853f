package zk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// maxResponse bounds what one answer of the server may hold: jute.maxbuffer's default in Kafka's client.
const maxResponse = 4 << 20

// settle is a pause between the handshake and our first request on a connection, in which the library restores its
// watches: see watchedConn for what happens otherwise.
const settle = 2 * time.Millisecond

// session is one ZooKeeper session, from its handshake to its expiry. The library would replace an expired session
// by a new one on the same handle without a word to those who hold ephemerals; therefore a handle is closed at the
// moment its session expires, and a new session gets a new handle.
type session struct {
	conn  *gozk.Conn
	ready chan struct{} // closed when conn is set
	gone  chan struct{} // closed at expiry

	// Guarded by Client.mu.
	id        int64
	connected bool
	expired   bool
	breaks    int // how often a connection broke or was tried in vain

	tcpMu sync.Mutex
	tcp   net.Conn // the last connection dialled; the library forgets to close it at expiry
}

// newSession starts a handle; the session itself comes when a server answers.
func (c *Client) newSession() error {
	s := &session{ready: make(chan struct{}), gone: make(chan struct{})}
	conn, _, err := gozk.Connect(c.servers, c.config.SessionTimeout,
		gozk.WithHostProvider(&hostProvider{}),
		gozk.WithDialer(func(network, address string, timeout time.Duration) (net.Conn, error) {
			conn, err := s.dial(network, address, timeout)
			if err != nil {
				return nil, err
			}
			return &watchedConn{Conn: conn, suspect: func() { c.watches.refire(s) }, patience: min(max(c.config.SessionTimeout/3, 2*time.Second), 10*time.Second)}, nil
		}),
		gozk.WithEventCallback(func(ev gozk.Event) { c.onEvent(s, ev) }),
		gozk.WithMaxBufferSize(maxResponse),
		gozk.WithLogger(connLogger{c.log}),
		gozk.WithLogInfo(false))
	if err != nil {
		return err
	}
	s.conn = conn
	close(s.ready)
	c.mu.Lock()
	c.mu.current = s
	closed := c.mu.closed
	c.mu.Unlock()
	if closed {
		s.close()
	}
	return nil
}

func (s *session) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	if err == nil {
		s.tcpMu.Lock()
		s.tcp = conn
		s.tcpMu.Unlock()
	}
	return conn, err
}

func (s *session) close() {
	s.conn.Close()
	s.tcpMu.Lock()
	defer s.tcpMu.Unlock()
	if s.tcp != nil {
		s.tcp.Close()
	}
}

// onEvent takes the library's events of a handle, on the library's own goroutine.
func (c *Client) onEvent(s *session, ev gozk.Event) {
	<-s.ready
	if ev.Type != gozk.EventSession {
		if ev.Type != gozk.EventNotWatching {
			c.watches.push(firedEvent{session: s, kind: ev.Type, path: ev.Path})
		}
		return
	}
	switch ev.State {
	case gozk.StateHasSession:
		time.AfterFunc(settle, c.connectedLater(s))
	case gozk.StateDisconnected, gozk.StateConnecting:
		c.setDisconnected(s)
	case gozk.StateExpired:
		c.setExpired(s)
	}
}

// connectedLater returns what marks s as connected, unless its connection breaks before that.
func (c *Client) connectedLater(s *session) func() {
	c.mu.Lock()
	breaks := s.breaks
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.breaks == breaks && !s.expired {
			s.connected, s.id = true, s.conn.SessionID()
			c.broadcastLocked()
		}
	}
}

func (c *Client) setDisconnected(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.breaks++
	if s.connected {
		s.connected = false
		c.broadcastLocked()
	}
}

func (c *Client) setExpired(s *session) {
	c.mu.Lock()
	s.connected, s.expired = false, true
	c.mu.previous = s.id
	close(s.gone)
	c.broadcastLocked()
	c.mu.Unlock()
	select {
	case c.expiry <- struct{}{}:
	default:
	}
	s.close()
}

// broadcastLocked wakes all that wait for a change of the session. The caller holds mu.
func (c *Client) broadcastLocked() {
	close(c.mu.changed)
	c.mu.changed = make(chan struct{})
}

// session waits for a connected session. The error is that of ctx (its cause), or ErrClosed.
func (c *Client) session(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed, closed := c.mu.current, c.mu.changed, c.mu.closed
		ok := s != nil && s.connected
		c.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		if ok {
			return s, nil
		}
		select {
		case <-changed:
		case <-c.closed:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// renewSessions replaces each expired session until Close: OnExpired, new session, OnSession, watches re-armed and fired.
func (c *Client) renewSessions() {
	defer c.workers.Done()
	for {
		select {
		case <-c.closed:
			return
		case <-c.expiry:
		}
		c.log.Info("[ZooKeeperClient Kafka server] Session expired.")
		c.watches.hold()
		for _, fn := range c.hooks(&c.mu.onExpired) {
			fn()
		}
		c.log.Info(fmt.Sprintf("[ZooKeeperClient Kafka server] Initializing a new session to %s.", c.config.Connect))
		if err := c.newSession(); err != nil {
			c.log.Error("[ZooKeeperClient Kafka server] A new session could not be initialized", "error", err)
			return
		}
		s, err := c.session(context.Background())
		if err != nil {
			return
		}
		for _, fn := range c.hooks(&c.mu.onSession) {
			fn()
		}
		c.watches.resume(s)
	}
}

func (c *Client) hooks(list *[]func()) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]func(){}, *list...)
}

// connLogger receives the library's own messages: failed dials and broken connections.
type connLogger struct{ log *slog.Logger }

func (l connLogger) Printf(format string, args ...any) { l.log.Info(fmt.Sprintf(format, args...)) }
