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
	ln.mu.conns = make(map[*conn]struct{})
	ln.now.Store(time.Now().UnixNano())
	if err := setBacklog(ln.tcp, b.config.Int("socket.listen.backlog.size")); err != nil {
		nl.Close()
		return nil, err
	}
	b.logging.Logger("kafka.network.DataPlaneAcceptor").Info(fmt.Sprintf("Awaiting socket connections on %s.", ln.tcp.Addr()))
	return ln, nil
}

// setBacklog applies socket.listen.backlog.size: a second listen(2) on a listening socket changes its backlog.
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
	ln.done.Add(2)
	go ln.acceptLoop()
	go ln.sweepLoop()
}

func (ln *listener) acceptLoop() {
	defer ln.done.Done()
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

// adopt serves an admitted connection on a goroutine of its own.
func (ln *listener) adopt(tcp *net.TCPConn) {
	ln.setBuffers(tcp)
	c, err := newConn(ln.b, ln, tcp)
	if err != nil {
		ln.b.limits.leave(ln, remoteIP(tcp))
		tcp.Close()
		return
	}
	c.lastActive.Store(ln.now.Load())
	ln.mu.Lock()
	if ln.mu.closed {
		ln.mu.Unlock()
		ln.b.limits.leave(ln, c.ip)
		tcp.Close()
		return
	}
	ln.mu.conns[c] = struct{}{}
	ln.done.Add(1)
	ln.mu.Unlock()
	go func() {
		defer ln.done.Done()
		c.serve()
		ln.mu.Lock()
		delete(ln.mu.conns, c)
		ln.mu.Unlock()
		ln.b.limits.leave(ln, c.ip)
	}()
}

// setBuffers applies socket.send.buffer.bytes and socket.receive.buffer.bytes where they are not Kafka's 100 KiB. Otherwise the kernel tunes them:
// an answer of 1 MiB then waits once for the client instead of eight times.
func (ln *listener) setBuffers(tcp *net.TCPConn) {
	// A refused size leaves the kernel's: the connection works all the same.
	if n, set := ln.b.socketBuffer("socket.send.buffer.bytes"); set {
		_ = tcp.SetWriteBuffer(n)
	}
	if n, set := ln.b.socketBuffer("socket.receive.buffer.bytes"); set {
		_ = tcp.SetReadBuffer(n)
	}
}

// sweepLoop keeps the coarse clock and closes connections that were idle for connections.max.idle.ms.
func (ln *listener) sweepLoop() {
	defer ln.done.Done()
	idle := time.Duration(ln.b.config.Long("connections.max.idle.ms")) * time.Millisecond
	every := 10 * time.Second
	if idle > 0 {
		every = min(every, max(idle/10, 10*time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ln.stop:
			return
		case t := <-tick.C:
			ln.now.Store(t.UnixNano())
			if idle <= 0 {
				continue
			}
			ln.mu.Lock()
			for c := range ln.mu.conns {
				if t.UnixNano()-c.lastActive.Load() > int64(idle) {
					c.fail()
				}
			}
			ln.mu.Unlock()
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
}
