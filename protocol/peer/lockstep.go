package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// LockstepConfig of a Lockstep. Zero durations mean no limit.
type LockstepConfig struct {
	// Addr is asked for the address, host:port, before each dialing: a broker may come back elsewhere.
	Addr           func() (string, error)
	ClientID       string
	ConnectTimeout time.Duration
	RequestTimeout time.Duration // for a request and its whole answer
	ReceiveBuffer  int           // SO_RCVBUF in bytes; 0 leaves it to the operating system
}

// Lockstep is a connection for one goroutine that sends a request, waits for its answer, and goes on. The goroutine reads and writes itself, into buffers
// that stay: a follower's fetches pass a hand-over and an allocation less than on a Conn.
type Lockstep struct {
	config        LockstepConfig
	correlationID int32
	out, in       []byte

	mu struct {
		sync.Mutex
		conn   net.Conn // nil: to be dialed
		closed bool
	}
	dialing context.Context // ends with Close
	stop    context.CancelFunc
}

// keepBuffer is the largest buffer that an answer leaves behind for a smaller one.
const keepBuffer = 64 << 10

// NewLockstep makes a connection; the first request dials.
func NewLockstep(c LockstepConfig) *Lockstep {
	l := &Lockstep{config: c}
	l.dialing, l.stop = context.WithCancel(context.Background())
	return l
}

// Request sends req at req.GetVersion() and returns the frame of its answer, without the size field, and the correlation id that it has to carry. The frame
// is valid until the next call. After an error the connection is closed, and the next call dials anew.
func (l *Lockstep) Request(req kmsg.Request) (frame []byte, correlationID int32, err error) {
	conn, err := l.connected()
	if err != nil {
		return nil, 0, err
	}
	l.correlationID++
	frame, err = l.exchange(conn, req)
	if err != nil {
		l.drop(conn)
		if l.isClosed() {
			err = ErrClosed
		}
		return nil, 0, fmt.Errorf("request %s to %s: %w", kmsg.NameForKey(req.Key()), conn.RemoteAddr(), err)
	}
	return frame, l.correlationID, nil
}

func (l *Lockstep) exchange(conn net.Conn, req kmsg.Request) ([]byte, error) {
	l.out = protocol.AppendRequest(l.out[:0], l.correlationID, l.config.ClientID, req)
	if t := l.config.RequestTimeout; t > 0 {
		if err := conn.SetDeadline(time.Now().Add(t)); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Write(l.out); err != nil {
		return nil, err
	}
	return l.readFrame(conn)
}

// readFrame reads an answer. What lies in the buffer belongs to it, because there is no other answer on its way. Memory is taken as the bytes come, not as
// they are promised.
func (l *Lockstep) readFrame(conn net.Conn) ([]byte, error) {
	const sizeField = 4
	if cap(l.in) < keepBuffer {
		l.in = make([]byte, 0, keepBuffer)
	}
	buf := l.in[:cap(l.in)]
	have, err := io.ReadAtLeast(conn, buf, sizeField)
	if err != nil {
		return nil, err
	}
	n := int64(int32(binary.BigEndian.Uint32(buf)))
	if n < sizeField || n > math.MaxInt32-sizeField {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	total := int(n) + sizeField
	if have > total {
		return nil, errors.New("bytes behind the answer")
	}
	for have < total {
		if have == len(buf) {
			grown := make([]byte, min(total, 4*len(buf)))
			copy(grown, buf[:have])
			buf = grown
		}
		m, err := io.ReadFull(conn, buf[have:min(total, len(buf))])
		have += m
		if err != nil {
			return nil, fmt.Errorf("the answer ends after %d of %d bytes: %w", have, total, err)
		}
	}
	l.in = buf
	return buf[sizeField:total], nil
}

// Release lets a large buffer go, when the next answer is expected to be small. The last frame is not valid any more.
func (l *Lockstep) Release() {
	if cap(l.in) > keepBuffer {
		l.in = nil
	}
}

// connected returns the live connection or a new one.
func (l *Lockstep) connected() (net.Conn, error) {
	l.mu.Lock()
	conn, closed := l.mu.conn, l.mu.closed
	l.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case conn != nil:
		return conn, nil
	}
	addr, err := l.config.Addr()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: l.config.ConnectTimeout}
	if conn, err = d.DialContext(l.dialing, "tcp", addr); err != nil {
		if l.isClosed() {
			err = ErrClosed
		}
		return nil, err
	}
	if n := l.config.ReceiveBuffer; n > 0 {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(n) // a hint: without it the connection is slower
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		conn.Close()
		return nil, ErrClosed
	}
	l.mu.conn = conn
	return conn, nil
}

func (l *Lockstep) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closed
}

func (l *Lockstep) drop(conn net.Conn) {
	sendNoMore(conn)
	conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.conn = nil
}

// Close ends the connection, and a Request that is under way with ErrClosed. It may be called by any goroutine, and more than once.
func (l *Lockstep) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return
	}
	l.mu.closed = true
	l.stop()
	if l.mu.conn != nil {
		l.mu.conn.Close()
	}
}
