// Package zktest is a ZooKeeper server in memory for unit tests: one process, one tree, sessions that expire by
// themselves or on demand, one-shot watches, MULTI. It speaks the protocol of the go-zookeeper client and lets everybody
// do everything.
package zktest

import (
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Server is a running server.
type Server struct {
	listener net.Listener
	workers  sync.WaitGroup

	mu          sync.Mutex
	tree        *tree
	sessions    map[int64]*session
	nextSession int64
	conns       map[*conn]bool
	loseReplies int
	closed      bool
	requests    int
	held        string        // reads of this path wait until released is closed
	released    chan struct{} // nil: no path is held
}

type session struct {
	id      int64
	timeout time.Duration
	conn    *conn       // nil while disconnected
	expiry  *time.Timer // runs while disconnected
}

// Start runs a server on a free port of 127.0.0.1 until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{listener: l, tree: newTree(), sessions: map[int64]*session{}, nextSession: 0x1000, conns: map[*conn]bool{}}
	s.workers.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close()
	for c := range s.conns {
		c.net.Close()
	}
	for _, ss := range s.sessions {
		if ss.expiry != nil {
			ss.expiry.Stop()
		}
	}
	s.mu.Unlock()
	s.workers.Wait()
}

// Expire ends a session: its ephemerals go, its client learns of it when it reconnects.
func (s *Server) Expire(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(id)
}

// DropConnections cuts all connections; sessions live on until their timeout.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.net.Close()
	}
}

// LoseReplies makes the server do the next n changes, but cut the connection instead of answering.
func (s *Server) LoseReplies(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loseReplies = n
}

// Hold makes reads of a path wait, and everything that their sessions ask for after them, until release is called or the test ends.
func (s *Server) Hold(t testing.TB, path string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	released := make(chan struct{})
	s.held, s.released = path, released
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return release
}

// await returns when reads of a path are no longer held.
func (s *Server) await(path string) {
	s.mu.Lock()
	held, released := s.held, s.released
	s.mu.Unlock()
	if released != nil && path == held {
		<-released
	}
}

// Requests counts the requests served so far, pings left out.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Get returns a znode's data; ok is false when it is missing.
func (s *Server) Get(path string) (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.nodes[path]
	if n == nil {
		return nil, false
	}
	return slices.Clone(n.data), true
}

// Paths lists all znodes.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tree.nodes))
}

// Put creates or overwrites a znode, with its parents, as an outside tool would. nil is null data.
func (s *Server) Put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && s.tree.nodes[path[:i]] == nil {
			s.change(func() (change, code) { _, c, e := s.tree.create(path[:i], nil, 0, 0); return c, e })
		}
	}
	s.change(func() (change, code) {
		if s.tree.nodes[path] == nil {
			_, c, e := s.tree.create(path, data, 0, 0)
			return c, e
		}
		_, c, e := s.tree.set(path, data, -1)
		return c, e
	})
}

// Delete removes a znode that has no children.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(func() (change, code) { return s.tree.delete(path, -1) })
}

// change does one change of the tree under a new zxid and fires the watches. The caller holds mu.
func (s *Server) change(f func() (change, code)) code {
	s.tree.zxid++
	c, e := f()
	if e == ok {
		s.fire(c.events)
	}
	return e
}

func (s *Server) expireLocked(id int64) {
	ss := s.sessions[id]
	if ss == nil {
		return
	}
	delete(s.sessions, id)
	if ss.expiry != nil {
		ss.expiry.Stop()
	}
	for _, path := range slices.Sorted(maps.Keys(s.tree.nodes)) {
		if s.tree.nodes[path].owner == id {
			s.change(func() (change, code) { return s.tree.delete(path, -1) })
		}
	}
	if ss.conn != nil {
		ss.conn.net.Close()
	}
}

// fire sends events to the connections that watch. The caller holds mu.
func (s *Server) fire(events []event) {
	for _, ev := range events {
		for c := range s.conns {
			c.notify(ev)
		}
	}
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{server: s, net: nc, dataWatches: map[string]bool{}, childWatches: map[string]bool{}}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			nc.Close()
			return
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.workers.Go(c.serve)
	}
}

// conn is one client connection.
type conn struct {
	server *Server
	net    net.Conn
	sess   *session

	// Guarded by server.mu.
	dataWatches, childWatches map[string]bool
}

func (c *conn) serve() {
	defer c.leave()
	frame, err := c.readFrame()
	if err != nil || !c.handshake(&reader{buf: frame}) {
		return
	}
	for {
		frame, err := c.readFrame()
		if err != nil || !c.request(&reader{buf: frame}) {
			return
		}
	}
}

func (c *conn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.net, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, errShort // a real server's jute.maxbuffer
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(c.net, frame)
	return frame, err
}

// leave forgets the connection and starts the clock of its session.
func (c *conn) leave() {
	s := c.server
	c.net.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if ss := c.sess; ss != nil && ss.conn == c && !s.closed && s.sessions[ss.id] == ss {
		ss.conn = nil
		ss.expiry = time.AfterFunc(ss.timeout, func() { s.Expire(ss.id) })
	}
}

// handshake opens a session or takes one up again; an unknown one is answered with session 0, which means expired.
func (c *conn) handshake(r *reader) bool {
	r.int32()
	r.int64()
	timeout, id := r.int32(), r.int64()
	if r.err != nil {
		return false
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[id]
	if id == 0 {
		s.nextSession++
		ss = &session{id: s.nextSession}
		s.sessions[ss.id] = ss
	}
	w := &writer{}
	w.int32(0)
	if ss == nil {
		w.int32(0)
		w.int64(0)
		w.bytes(make([]byte, 16))
		c.send(w.buf)
		return false
	}
	if ss.conn != nil {
		ss.conn.net.Close()
	}
	if ss.expiry != nil {
		ss.expiry.Stop()
	}
	ss.conn, ss.timeout = c, time.Duration(timeout)*time.Millisecond
	c.sess = ss
	w.int32(timeout)
	w.int64(ss.id)
	w.bytes(make([]byte, 16))
	return c.send(w.buf)
}

func (c *conn) send(body []byte) bool {
	_, err := c.net.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err == nil
}

// notify sends an event if this connection watches for it. The caller holds server.mu.
func (c *conn) notify(ev event) {
	watched := false
	if ev.kind != childrenChanged && c.dataWatches[ev.path] {
		delete(c.dataWatches, ev.path)
		watched = true
	}
	if (ev.kind == childrenChanged || ev.kind == deleted) && c.childWatches[ev.path] {
		delete(c.childWatches, ev.path)
		watched = true
	}
	if !watched {
		return
	}
	w := &writer{}
	w.int32(-1)
	w.int64(-1)
	w.int32(0)
	w.int32(ev.kind)
	w.int32(3) // connected
	w.string(ev.path)
	c.send(w.buf)
}
