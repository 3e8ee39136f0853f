package peer

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

func lockstep(t *testing.T, addr string, c LockstepConfig) *Lockstep {
	t.Helper()
	c.Addr = func() (string, error) { return addr, nil }
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 30 * time.Second
	}
	l := NewLockstep(c)
	t.Cleanup(l.Close)
	return l
}

// frameOf is an answer of n bytes with its size field, of which the first four are the correlation id.
func frameOf(id int32, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	for i := 4; i < n; i++ {
		b = append(b, byte(i))
	}
	return b
}

// Answers of all sizes come whole, in pieces or at once, one after the other over one connection.
func TestLockstepAnswers(t *testing.T) {
	sizes := []int{4, 5, 1000, keepBuffer - 5, keepBuffer - 4, keepBuffer - 3, 100, 5 * keepBuffer, 1 << 20, 8}
	next := 0
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, _ kmsg.Request) {
		answer := frameOf(h.CorrelationID, sizes[next])
		next++
		for _, cut := range []int{1, 3, 70000} {
			cut = min(cut, len(answer))
			if _, err := conn.Write(answer[:cut]); err != nil {
				return
			}
			answer = answer[cut:]
		}
		conn.Write(answer)
	})
	l := lockstep(t, b.listener.Addr().String(), LockstepConfig{ClientID: "broker-1-fetcher-0", ReceiveBuffer: 32 << 10})
	for i, size := range sizes {
		frame, id, err := l.Request(kmsg.NewPtrApiVersionsRequest())
		if err != nil {
			t.Fatal(err)
		}
		if len(frame) != size || int32(binary.BigEndian.Uint32(frame)) != id || id != int32(i+1) {
			t.Fatalf("answer %d has %d bytes and id %d", i, len(frame), id)
		}
		for j := 4; j < size; j++ {
			if frame[j] != byte(j) {
				t.Fatalf("answer %d: byte %d is %d", i, j, frame[j])
			}
		}
		if size > keepBuffer {
			if l.Release(); cap(l.in) != 0 {
				t.Error("the large buffer stays")
			}
		}
	}
	if len(b.accepted) != 1 {
		t.Errorf("%d connections", len(b.accepted))
	}
}

// After an error the connection is given up and the next request dials again, at the address that then holds.
func TestLockstepDialsAgain(t *testing.T) {
	for name, wrong := range map[string]func(conn net.Conn, h protocol.RequestHeader){
		"closed": func(conn net.Conn, _ protocol.RequestHeader) { conn.Close() },
		"ends early": func(conn net.Conn, h protocol.RequestHeader) {
			conn.Write(frameOf(h.CorrelationID, 100)[:50])
			conn.Close()
		},
		"negative size":          func(conn net.Conn, _ protocol.RequestHeader) { conn.Write([]byte{0x80, 0, 0, 0, 0}) },
		"too small for a header": func(conn net.Conn, _ protocol.RequestHeader) { conn.Write([]byte{0, 0, 0, 3, 0, 0, 0}) },
		"two answers":            func(conn net.Conn, h protocol.RequestHeader) { conn.Write(append(frameOf(1, 8), frameOf(2, 8)...)) },
	} {
		t.Run(name, func(t *testing.T) {
			var answered atomic.Bool // each connection has a goroutine of its own
			b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, _ kmsg.Request) {
				if !answered.Swap(true) {
					wrong(conn, h)
					return
				}
				conn.Write(frameOf(h.CorrelationID, 8))
			})
			l := lockstep(t, b.listener.Addr().String(), LockstepConfig{})
			if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); err == nil {
				t.Fatal("no error")
			}
			if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); err != nil {
				t.Fatal(err)
			}
			if len(b.accepted) != 2 {
				t.Errorf("%d connections", len(b.accepted))
			}
		})
	}
}

// A size that lies costs no more memory than comes.
func TestLockstepSizeThatLies(t *testing.T) {
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, _ kmsg.Request) {
		conn.Write(append(binary.BigEndian.AppendUint32(nil, 2<<30-8), make([]byte, 1000)...))
		conn.Close()
	})
	l := lockstep(t, b.listener.Addr().String(), LockstepConfig{})
	if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if cap(l.in) > keepBuffer {
		t.Errorf("a buffer of %d bytes", cap(l.in))
	}
}

func TestLockstepTimesOut(t *testing.T) {
	b := startBroker(t, func(net.Conn, protocol.RequestHeader, kmsg.Request) {})
	l := lockstep(t, b.listener.Addr().String(), LockstepConfig{RequestTimeout: 20 * time.Millisecond})
	var timeout net.Error
	if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
}

// Close ends a request under way, and those to come.
func TestLockstepClose(t *testing.T) {
	arrived := make(chan struct{})
	b := startBroker(t, func(net.Conn, protocol.RequestHeader, kmsg.Request) { close(arrived) })
	l := lockstep(t, b.listener.Addr().String(), LockstepConfig{})
	go func() {
		<-arrived
		l.Close()
	}()
	for range 2 {
		if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

// A broker that is not alive has no address; that is an error like any other.
func TestLockstepWithoutAddress(t *testing.T) {
	gone := errors.New("not alive")
	l := NewLockstep(LockstepConfig{Addr: func() (string, error) { return "", gone }})
	defer l.Close()
	if _, _, err := l.Request(kmsg.NewPtrApiVersionsRequest()); !errors.Is(err, gone) {
		t.Error(err)
	}
}
