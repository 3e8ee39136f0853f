package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/protocol"
)

// serveConn serves one loopback connection with a broker that has nothing but what connections need.
func serveConn(t *testing.T, change func(*Broker)) *net.TCPConn {
	t.Helper()
	b := &Broker{config: mustConfig(t, map[string]string{}), logging: logging.New(io.Discard, slog.LevelInfo), maxRequestSize: 1 << 20, maxQueued: 100, sessions: newFetchSessions(10), vigil: newVigil(), metadata: newMetadataCache()}
	b.ctx, b.cancel = context.WithCancel(t.Context())
	if change != nil {
		change(b)
	}
	b.limits = newConnectionLimits(b.config, "PLAINTEXT", b.bound)
	ln, err := bind(b, config.Listener{Name: "PLAINTEXT", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	ln.start()
	t.Cleanup(ln.close)
	client, err := net.Dial("tcp", ln.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client.(*net.TCPConn)
}

// frame encodes a request.
func frame(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, correlation)
}

// readCorrelation reads a whole answer and returns its correlation id.
func readCorrelation(t *testing.T, r io.Reader) int32 {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		t.Fatalf("reading an answer: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatalf("reading an answer: %v", err)
	}
	return int32(binary.BigEndian.Uint32(body))
}

func expectClosed(t testing.TB, c net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.EOF) || n != 0 {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() || n != 0 {
			t.Fatalf("the connection answered %d bytes, %v; want it closed", n, err)
		}
	}
}

// swapHandler replaces an API's handler for one test.
func swapHandler(t *testing.T, key int16, h handler) {
	old := handlers[key]
	handlers[key] = h
	t.Cleanup(func() { handlers[key] = old })
}

func TestAnswersKeepOrder(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	swapHandler(t, 12, func(_ *Broker, rq *request, req kmsg.Request) (kmsg.Response, error) {
		close(entered)
		<-release
		return req.ResponseKind(), nil
	})
	c := serveConn(t, nil)
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version = 3
	var burst []byte
	burst = append(burst, frame(kmsg.NewPtrApiVersionsRequest(), 1)...)
	burst = append(burst, frame(heartbeat, 2)...)
	for i := int32(3); i < 20; i++ {
		burst = append(burst, frame(kmsg.NewPtrApiVersionsRequest(), i)...)
	}
	if _, err := c.Write(burst); err != nil {
		t.Fatal(err)
	}
	if got := readCorrelation(t, c); got != 1 {
		t.Fatalf("first answer is %d", got)
	}
	<-entered
	close(release)
	for i := int32(2); i < 20; i++ {
		if got := readCorrelation(t, c); got != i {
			t.Fatalf("answer %d came where %d was due", got, i)
		}
	}
	// The writer has ended: the reader answers itself again.
	if _, err := c.Write(frame(kmsg.NewPtrApiVersionsRequest(), 99)); err != nil {
		t.Fatal(err)
	}
	if got := readCorrelation(t, c); got != 99 {
		t.Fatalf("answer %d after the burst, want 99", got)
	}
}

func TestFramesThatClose(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"negative size": {0xff, 0xff, 0xff, 0xff},
		"size 0":        {0, 0, 0, 0},
		"too large":     {0, 0x20, 0, 0, 1},
		"HTTP":          []byte("GET / HTTP/1.1\r\n\r\n"),
		"TLS":           {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"unknown key":   {0, 0, 0, 10, 3, 0xe8, 0, 0, 0, 0, 0, 1, 0, 0},
		"bad version":   {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := serveConn(t, nil)
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			expectClosed(t, c)
		})
	}
}

// TestByteByByte sends a request one byte at a time: frames may be cut anywhere.
func TestByteByByte(t *testing.T) {
	c := serveConn(t, nil)
	for _, b := range frame(kmsg.NewPtrApiVersionsRequest(), 7) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := readCorrelation(t, c); got != 7 {
		t.Fatalf("answer %d, want 7", got)
	}
}

// TestLargeFrame sends a request larger than the first buffer class, and small ones behind it in the same burst.
func TestLargeFrame(t *testing.T) {
	swapHandler(t, 14, func(_ *Broker, _ *request, req kmsg.Request) (kmsg.Response, error) { return req.ResponseKind(), nil })
	c := serveConn(t, nil)
	req := kmsg.NewPtrSyncGroupRequest()
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberAssignment: make([]byte, 300<<10)}}
	burst := append(frame(req, 1), frame(kmsg.NewPtrApiVersionsRequest(), 2)...)
	burst = append(burst, frame(req, 3)...)
	if _, err := c.Write(burst); err != nil {
		t.Fatal(err)
	}
	for i := int32(1); i <= 3; i++ {
		if got := readCorrelation(t, c); got != i {
			t.Fatalf("answer %d, want %d", got, i)
		}
	}
}

// TestClientLeavesWhileRequestWaits: a parked request must end with its connection.
func TestClientLeavesWhileRequestWaits(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	swapHandler(t, 12, func(_ *Broker, rq *request, req kmsg.Request) (kmsg.Response, error) {
		close(entered)
		<-rq.ctx.Done()
		close(ended)
		return req.ResponseKind(), nil
	})
	c := serveConn(t, nil)
	if _, err := c.Write(frame(kmsg.NewPtrHeartbeatRequest(), 1)); err != nil {
		t.Fatal(err)
	}
	<-entered
	c.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the request still waits after its client has gone")
	}
}

// TestMute: a request that is never answered leaves the connection open and everything behind it unanswered, too.
func TestMute(t *testing.T) {
	swapHandler(t, 12, func(*Broker, *request, kmsg.Request) (kmsg.Response, error) { return nil, errSilent })
	c := serveConn(t, nil)
	burst := append(frame(kmsg.NewPtrApiVersionsRequest(), 1), frame(kmsg.NewPtrHeartbeatRequest(), 2)...)
	burst = append(burst, frame(kmsg.NewPtrApiVersionsRequest(), 3)...)
	if _, err := c.Write(burst); err != nil {
		t.Fatal(err)
	}
	if got := readCorrelation(t, c); got != 1 {
		t.Fatalf("answer %d, want 1", got)
	}
	if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	_, err := c.Read(one[:])
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("read gave %v; want silence on an open connection", err)
	}
}

// TestMuteLeavesEarlierAnswers: what was asked before a request that is never answered is answered, however long that takes.
func TestMuteLeavesEarlierAnswers(t *testing.T) {
	release := make(chan struct{})
	swapHandler(t, 12, func(_ *Broker, _ *request, req kmsg.Request) (kmsg.Response, error) {
		<-release
		return req.ResponseKind(), nil
	})
	c := serveConn(t, nil)
	burst := append(frame(kmsg.NewPtrHeartbeatRequest(), 1), frame(kmsg.NewPtrHeartbeatRequest(), 2)...)
	burst = append(burst, frame(produceTo("t", 0, 1, nil), 3)...)
	if _, err := c.Write(burst); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // for the request without an answer to be read: nothing tells when
	close(release)
	for i := int32(1); i <= 2; i++ {
		if got := readCorrelation(t, c); got != i {
			t.Fatalf("answer %d, want %d", got, i)
		}
	}
}

// TestUnknownApiVersions: the answer is that of version 0 and names only ApiVersions (KIP-511).
func TestUnknownApiVersions(t *testing.T) {
	c := serveConn(t, nil)
	// Header v2 with an empty client id and no tags, then a body nobody looks at.
	if _, err := c.Write([]byte{0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 5, 0, 0, 0, 0xff}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4+4+2+4+6)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	want := []byte{0, 0, 0, 16, 0, 0, 0, 5, 0, byte(protocol.UnsupportedVersion), 0, 0, 0, 1, 0, 18, 0, 0, 0, 4}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}
