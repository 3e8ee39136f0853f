package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gregor/broker/config"
)

// listener is one bound listener and its connections.
type listener struct {
	b          *Broker
	name       string
	configured config.Listener
	log        *slog.Logger
	tcp        *net.TCPListener
	crew       crew
	busy       busyConns
	now        atomic.Int64 // coarse clock, ns: connections stamp themselves with it for connections.max.idle.ms

	mu struct {
		sync.Mutex
		conns  map[*conn]struct{}
		closed bool
	}
	done sync.WaitGroup
	stop chan struct{}
}

// bind opens the socket. Connections wait in its backlog until start.
func bind(b *Broker, l config.Listener) (*listener, error) {
	addr := net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
	nl, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("socket server failed to bind to %s: %w", addr, err)
	}
	ln := &listener{b: b, name: l.Name, configured: l, tcp: nl.(*net.TCPListener), stop: make(chan struct{}), log: b.logging.Logger("kafka.network.SocketServer")}
	ln.busy.first = make(chan struct{}, 1)
	ln.mu.conns = make(map[*conn]struct{})
	ln.now.Store(time.Now().UnixNano())
	if n, set := b.socketSize("socket.listen.backlog.size"); set {
		if err := setBacklog(ln.tcp, n); err != nil {
			ln.close()
			return nil, err
		}
	}
	b.logging.Logger("kafka.network.DataPlaneAcceptor").Info(fmt.Sprintf("Awaiting socket connections on %s.", ln.tcp.Addr()))
	return ln, nil
}

// setBacklog applies socket.listen.backlog.size where it is not Kafka's 50: a second listen(2) on a listening socket changes its backlog. Otherwise it is what the kernel allows at
// most (net.core.somaxconn): of clients that all connect again at once, those who find a full backlog wait for whole seconds.
func setBacklog(tcp *net.TCPListener, n int) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.Listen(int(fd), n) })
	return errors.Join(err, failure)
}

func (ln *listener) port() int32 { return int32(ln.tcp.Addr().(*net.TCPAddr).Port) }

// start begins to serve connections.
func (ln *listener) start() {
	ln.done.Go(ln.acceptLoop)
	ln.done.Go(ln.sweepLoop)
}

func (ln *listener) acceptLoop() {
	for {
		tcp, err := ln.tcp.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			ln.log.Error("Error while accepting connection: " + err.Error())
			select { // out of file descriptors: do not spin
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ln.stop:
				return
			}
		}
		if !ln.b.limits.admit(ln, remoteIP(tcp)) {
			ln.log.Info(fmt.Sprintf("Rejected connection from %s, address already has the configured maximum of connections.", remoteIP(tcp)))
			tcp.Close()
			continue
		}
		ln.adopt(tcp)
	}
}

// adopt begins to serve an admitted connection.
func (ln *listener) adopt(tcp *net.TCPConn) {
	ln.setBuffers(tcp)
	c, err := newConn(ln.b, ln, tcp)
	if err != nil {
		ln.b.limits.leave(ln, remoteIP(tcp))
		tcp.Close()
		return
	}
	ln.serve(c)
}

// serve begins to serve a connection that the limits have counted in.
func (ln *listener) serve(c *conn) {
	c.lastActive.Store(ln.now.Load())
	ln.mu.Lock()
	if ln.mu.closed {
		ln.mu.Unlock()
		ln.b.limits.leave(ln, c.ip())
		c.cancel()
		c.tcp.Close()
		return
	}
	ln.mu.conns[c] = struct{}{}
	ln.done.Add(1)
	ln.mu.Unlock()
	go c.run()
}

// leave is the end of what serve began.
func (ln *listener) leave(c *conn) {
	ln.mu.Lock()
	delete(ln.mu.conns, c)
	ln.mu.Unlock()
	ln.b.limits.leave(ln, c.ip())
	ln.done.Done()
}

// setBuffers applies socket.send.buffer.bytes and socket.receive.buffer.bytes where they are not Kafka's 100 KiB. Otherwise the kernel tunes them:
// an answer of 1 MiB then waits once for the client instead of eight times.
func (ln *listener) setBuffers(tcp *net.TCPConn) {
	// A refused size leaves the kernel's: the connection works all the same.
	if n, set := ln.b.socketSize("socket.send.buffer.bytes"); set {
		_ = tcp.SetWriteBuffer(n)
	}
	if n, set := ln.b.socketSize("socket.receive.buffer.bytes"); set {
		_ = tcp.SetReadBuffer(n)
	}
}

// sweepLoop keeps the coarse clock, sends busy connections that are quiet back to their goroutines, and closes connections that were idle for connections.max.idle.ms.
func (ln *listener) sweepLoop() {
	idle := time.Duration(ln.b.config.Long("connections.max.idle.ms")) * time.Millisecond
	every := 10 * time.Second
	if idle > 0 {
		every = min(every, max(idle/10, 10*time.Millisecond))
	}
	tick, look := time.NewTicker(every), time.NewTimer(coolEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ln.stop:
			return
		case <-ln.busy.first:
			look.Reset(coolEvery)
		case <-look.C:
			if ln.busy.cool(ln.tell()) {
				look.Reset(coolEvery)
			}
		case <-tick.C:
			// Who has read since the last look bears its time, however long ago that was: a process that was stopped for long must not close them.
			looked := ln.now.Load()
			if ln.tell(); idle > 0 {
				ln.closeIdle(looked - int64(idle))
			}
		}
	}
}

// tell sets the coarse clock and returns it.
func (ln *listener) tell() int64 {
	now := time.Now().UnixNano()
	ln.now.Store(now)
	return now
}

// closeIdle closes the connections that were last active before a time of the coarse clock.
func (ln *listener) closeIdle(before int64) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for c := range ln.mu.conns {
		if c.lastActive.Load() < before {
			c.fail()
		}
	}
}

// closeIdlest closes the connection that was idle longest, to make room on a listener that must keep working (KIP-402).
func (ln *listener) closeIdlest() bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	var idlest *conn
	for c := range ln.mu.conns {
		if idlest == nil || c.lastActive.Load() < idlest.lastActive.Load() {
			idlest = c
		}
	}
	if idlest == nil {
		return false
	}
	idlest.fail()
	return true
}

// close stops accepting, closes all connections and waits for them.
func (ln *listener) close() {
	ln.mu.Lock()
	first := !ln.mu.closed
	ln.mu.closed = true
	for c := range ln.mu.conns {
		c.fail()
	}
	ln.mu.Unlock()
	if first {
		close(ln.stop)
		ln.tcp.Close()
	}
	ln.done.Wait()
	ln.crew.close()
}
