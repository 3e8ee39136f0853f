package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer/peertest"
)

// broker accepts connections and answers each request with what answer says.
type broker struct {
	t        *testing.T
	listener net.Listener
	answer   func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request)
	handling sync.WaitGroup
	accepted chan struct{} // one per connection
}

func startBroker(t *testing.T, answer func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request)) *broker {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, listener: l, answer: answer, accepted: make(chan struct{}, 100)}
	b.handling.Go(b.serve)
	t.Cleanup(func() {
		l.Close()
		b.handling.Wait()
	})
	return b
}

func (b *broker) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.accepted <- struct{}{}
		b.handling.Go(func() {
			if err := peertest.Serve(conn, func(h protocol.RequestHeader, req kmsg.Request) bool { b.answer(conn, h, req); return true }); err != nil {
				b.t.Error(err)
			}
		})
	}
}

func (b *broker) connect(t *testing.T, edit func(*Config)) *Conn {
	cfg := Config{Addr: b.listener.Addr().String(), ClientID: "7"}
	if edit != nil {
		edit(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

func respond(conn net.Conn, h protocol.RequestHeader, req kmsg.Request, edit func(kmsg.Response)) {
	resp := req.ResponseKind()
	resp.SetVersion(h.Version)
	if edit != nil {
		edit(resp)
	}
	conn.Write(protocol.AppendResponse(nil, h, resp))
}

func allocate(brokerID int32) *kmsg.AllocateProducerIDsRequest {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID = brokerID
	return req
}

// echo answers AllocateProducerIds with the broker id as the first producer id.
func echo(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) {
	respond(conn, h, req, func(r kmsg.Response) {
		r.(*kmsg.AllocateProducerIDsResponse).ProducerIDStart = int64(req.(*kmsg.AllocateProducerIDsRequest).BrokerID)
	})
}

func TestManyRequestsShareOneConnection(t *testing.T) {
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) {
		if h.ClientID != "7" {
			t.Errorf("client id %q", h.ClientID)
		}
		echo(conn, h, req)
	})
	c := b.connect(t, nil)
	var wg sync.WaitGroup
	for i := range int32(50) {
		wg.Go(func() {
			resp, err := c.Request(t.Context(), allocate(i))
			if err != nil {
				t.Error(err)
			} else if got := resp.(*kmsg.AllocateProducerIDsResponse).ProducerIDStart; got != int64(i) {
				t.Errorf("request %d got the answer of %d", i, got)
			}
		})
	}
	wg.Wait()
	if n := len(b.accepted); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestRequestsDoNotWaitForAnswers lets the broker answer only when the second request is there.
func TestRequestsDoNotWaitForAnswers(t *testing.T) {
	var first *protocol.RequestHeader
	var firstReq kmsg.Request
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) {
		if first == nil {
			first, firstReq = &h, req
			return
		}
		echo(conn, *first, firstReq)
		echo(conn, h, req)
	})
	c := b.connect(t, nil)
	var wg sync.WaitGroup
	for i := range int32(2) {
		wg.Go(func() {
			if _, err := c.Request(t.Context(), allocate(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestEveryHeaderForm(t *testing.T) {
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) {
		if h.Key == 7 && h.Version == 0 && h.ClientID != "" {
			t.Errorf("ControlledShutdown v0 with a client id")
		}
		respond(conn, h, req, nil)
	})
	c := b.connect(t, nil)
	for _, key := range []int16{4, 5, 6, 7, 18, 23, 56, 67} {
		api, _ := protocol.LookupAPI(key)
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			req := kmsg.RequestForKey(key)
			if r, ok := req.(*kmsg.ApiVersionsRequest); ok {
				r.ClientSoftwareName, r.ClientSoftwareVersion = "gregor", "1"
			}
			req.SetVersion(v)
			if resp, err := c.Request(t.Context(), req); err != nil {
				t.Errorf("%s v%d: %v", api.Name, v, err)
			} else if resp.GetVersion() != v {
				t.Errorf("%s v%d: response v%d", api.Name, v, resp.GetVersion())
			}
		}
	}
}

func TestItDialsAnewAfterAnError(t *testing.T) {
	var refused atomic.Bool
	b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) {
		if !refused.Swap(true) {
			conn.Close()
			return
		}
		echo(conn, h, req)
	})
	c := b.connect(t, nil)
	if _, err := c.Request(t.Context(), allocate(1)); err == nil {
		t.Fatal("no error from a closed connection")
	} else if !strings.Contains(err.Error(), c.config.Addr) || !strings.Contains(err.Error(), "AllocateProducerIDs") {
		t.Errorf("the error does not say what and where: %v", err)
	}
	if _, err := c.Request(t.Context(), allocate(1)); err != nil {
		t.Error(err)
	}
}

func TestBadResponses(t *testing.T) {
	for name, answer := range map[string]string{
		"too large":            "\x00\x10\x00\x01",
		"negative size":        "\xff\xff\xff\xff",
		"too small":            "\x00\x00\x00\x03abc",
		"wrong correlation id": "\x00\x00\x00\x05\x00\x00\x00\x63\x00",
		"cut body":             "\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00",
		"endless tags":         "\x00\x00\x00\x05\x00\x00\x00\x01\xff",
	} {
		b := startBroker(t, func(conn net.Conn, h protocol.RequestHeader, req kmsg.Request) { io.WriteString(conn, answer) })
		c := b.connect(t, func(c *Config) { c.MaxResponseSize = 1 << 20 })
		if _, err := c.Request(t.Context(), allocate(1)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTimeoutClosesTheConnection(t *testing.T) {
	b := startBroker(t, func(net.Conn, protocol.RequestHeader, kmsg.Request) {})
	c := b.connect(t, func(c *Config) { c.RequestTimeout = 20 * time.Millisecond })
	for range 2 {
		if _, err := c.Request(t.Context(), allocate(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	}
	if n := len(b.accepted); n != 2 {
		t.Errorf("%d connections, not a new one after the timeout", n)
	}
}

// What a request that was given up left in the socket is not sent any more: it would arrive behind its own repetition.
func TestGivenUpIsNotSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	timeout := 20 * time.Millisecond
	c := New(Config{Addr: listener.Addr().String(), RequestTimeout: timeout})
	defer c.Close()
	l := lockstep(t, listener.Addr().String(), LockstepConfig{RequestTimeout: timeout})
	large := kmsg.NewPtrAllocateProducerIDsRequest() // larger than the sockets' buffers: without a reader most of it stays here
	large.UnknownTags.Set(1, make([]byte, 32<<20))
	for name, request := range map[string]func() error{
		"Conn":     func() error { _, err := c.Request(t.Context(), large); return err },
		"Lockstep": func() error { _, _, err := l.Request(large); return err },
	} {
		if err := request(); err == nil {
			t.Errorf("%s: no error", name)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection ends with %v after %d bytes", name, err, n)
		}
		conn.Close()
	}
}

func TestCloseEndsWaitingRequests(t *testing.T) {
	arrived := make(chan struct{})
	b := startBroker(t, func(net.Conn, protocol.RequestHeader, kmsg.Request) { close(arrived) })
	c := b.connect(t, nil)
	result := make(chan error)
	go func() {
		_, err := c.Request(context.Background(), allocate(1))
		result <- err
	}()
	<-arrived
	c.Close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("waiting request: %v", err)
	}
	if _, err := c.Request(context.Background(), allocate(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("request after Close: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := New(Config{Addr: l.Addr().String()})
	defer c.Close()
	if _, err := c.Request(t.Context(), allocate(1)); err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Request(ctx, allocate(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
