package broker

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
)

// dialFrom connects from an address of the loopback network.
func (r *running) dialFrom(ip, listener string) *client {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	nc, err := d.Dial("tcp", r.Addr(listener))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return &client{Conn: nc, t: r.t}
}

// An address that has its number of connections is turned away, until one of them ends; an override counts instead of the default.
func TestConnectionsPerIP(t *testing.T) {
	for name, tc := range map[string]struct {
		props   map[string]string
		allowed int
	}{
		"default":                 {map[string]string{"max.connections.per.ip": "2"}, 2},
		"override":                {map[string]string{"max.connections.per.ip": "2", "max.connections.per.ip.overrides": "127.0.0.2:3"}, 3},
		"override of another one": {map[string]string{"max.connections.per.ip": "2", "max.connections.per.ip.overrides": "127.0.0.3:3"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := startBroker(t, tc.props)
			var open []*client
			for range tc.allowed {
				c := r.dialFrom("127.0.0.2", "PLAINTEXT")
				c.alive()
				open = append(open, c)
			}
			r.dialFrom("127.0.0.2", "PLAINTEXT").closed()
			r.dialFrom("127.0.0.9", "PLAINTEXT").alive()
			if !strings.Contains(r.log.String(), "Rejected connection from 127.0.0.2") {
				t.Error("the refusal is not logged")
			}
			open[0].Close()
			eventually(t, "room for another connection", func() bool { return r.limits.count("127.0.0.2") == tc.allowed-1 })
			r.dialFrom("127.0.0.2", "PLAINTEXT").alive()
		})
	}
}

// count is how many connections an address has.
func (q *connectionLimits) count(ip string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.perIP[ip]
}

// A host name among the overrides stands for its addresses.
func TestOverrideByName(t *testing.T) {
	cfg := mustConfig(t, map[string]string{"max.connections.per.ip": "7", "max.connections.per.ip.overrides": "localhost:3,no.such.host.invalid:1"})
	q := newConnectionLimits(cfg, "PLAINTEXT", nil)
	for ip, want := range map[string]int{"127.0.0.1": 3, "127.0.0.2": 7} {
		if got := q.perIPLimitLocked(ip); got != want {
			t.Errorf("%s may have %d connections, want %d", ip, got, want)
		}
	}
}

func mustConfig(t *testing.T, props map[string]string) *config.Store {
	t.Helper()
	props["zookeeper.connect"], props["broker.id"], props["log.dirs"] = "unused:2181", "0", t.TempDir()
	cfg, _, err := config.NewStatic(props)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var twoListeners = map[string]string{
	"listeners":                      "PLAINTEXT://127.0.0.1:0,CLIENT://127.0.0.1:0",
	"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CLIENT:PLAINTEXT",
	"inter.broker.listener.name":     "PLAINTEXT",
}

func with(base map[string]string, more ...string) map[string]string {
	props := map[string]string{}
	for k, v := range base {
		props[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	return props
}

// A listener at its own limit makes the next connection wait, and no other listener's.
func TestListenerLimit(t *testing.T) {
	r := startBroker(t, with(twoListeners, "listener.name.client.max.connections", "2"))
	first, second := r.dialListener("CLIENT"), r.dialListener("CLIENT")
	first.alive()
	second.alive()
	third := r.dialListener("CLIENT")
	req := kmsg.NewPtrApiVersionsRequest()
	id := third.send(req)
	third.silentFor(50 * time.Millisecond)
	r.dial().alive()
	first.Close()
	third.receive(req, id)
	second.alive()
}

// A full broker makes clients wait, but lets the inter-broker listener in, at the expense of the connection idle longest (KIP-402).
func TestBrokerLimit(t *testing.T) {
	r := startBroker(t, with(twoListeners, "max.connections", "3")) // one is the controller's own
	idle, busy := r.dialListener("CLIENT"), r.dialListener("CLIENT")
	idle.alive()
	busy.alive()
	waiting := r.dialListener("CLIENT")
	req := kmsg.NewPtrApiVersionsRequest()
	id := waiting.send(req)
	waiting.silentFor(50 * time.Millisecond)
	r.setLastActive("CLIENT", idle, -time.Hour)
	r.dial().alive()
	idle.closed()
	busy.alive()
	waiting.silentFor(20 * time.Millisecond) // the broker holds its three without it
	busy.Close()
	waiting.receive(req, id)
}

// setLastActive dates the last request of a client's connection back.
func (r *running) setLastActive(listener string, c *client, by time.Duration) {
	r.t.Helper()
	for _, ln := range r.bound() {
		if ln.name != listener {
			continue
		}
		ln.mu.Lock()
		defer ln.mu.Unlock()
		for sc := range ln.mu.conns {
			if sc.tcp.RemoteAddr().String() == c.LocalAddr().String() {
				sc.lastActive.Add(int64(by))
				return
			}
		}
	}
	r.t.Fatal("no such connection")
}

// The creation rate lets a second's worth in at once, and then one connection after the other; a stop ends the wait.
func TestCreationRate(t *testing.T) {
	for name, props := range map[string]map[string]string{
		"broker":   {"max.connection.creation.rate": "10"},
		"listener": {"listener.name.plaintext.max.connection.creation.rate": "10"},
		"both":     {"max.connection.creation.rate": "10", "listener.name.plaintext.max.connection.creation.rate": "500"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := mustConfig(t, props)
			synctest.Test(t, func(t *testing.T) {
				q := newConnectionLimits(cfg, "PLAINTEXT", nil)
				ln := &listener{name: "PLAINTEXT"}
				start := time.Now()
				for i := range 41 {
					if !q.admit(ln, "127.0.0.1") {
						t.Fatal("refused")
					}
					if i == 9 && time.Since(start) != 0 {
						t.Errorf("ten took %v", time.Since(start))
					}
				}
				if took := time.Since(start); took < 2900*time.Millisecond || took > 3200*time.Millisecond {
					t.Errorf("41 connections at 10 a second took %v", took)
				}
				begin := time.Now()
				var acceptor sync.WaitGroup
				acceptor.Go(func() { q.admit(ln, "127.0.0.1") })
				synctest.Wait()
				q.close()
				acceptor.Wait()
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("a stop waited %v for the acceptor", waited)
				}
			})
		})
	}
}

// Acceptors that wait hold no place: when a connection of a full broker ends, one of them goes on, and the refused one of an address without rights
// leaves the place to the other.
func TestAcceptorsThatWait(t *testing.T) {
	for name, ips := range map[string][2]string{"both may": {"127.0.0.1", "127.0.0.1"}, "one may": {"127.0.0.2", "127.0.0.1"}} {
		t.Run(name, func(t *testing.T) {
			cfg := mustConfig(t, map[string]string{"max.connections": "2", "max.connections.per.ip.overrides": "127.0.0.2:0"})
			synctest.Test(t, func(t *testing.T) {
				q := newConnectionLimits(cfg, "OTHER", func() []*listener { return nil })
				q.admit(&listener{name: "A"}, "127.0.0.1")
				q.admit(&listener{name: "A"}, "127.0.0.1")
				results := make(chan bool, 2)
				for i, ln := range []string{"A", "B"} {
					go func() { results <- q.admit(&listener{name: ln}, ips[i]) }()
				}
				synctest.Wait()
				if len(results) != 0 {
					t.Fatal("admitted beyond max.connections")
				}
				q.leave(&listener{name: "A"}, "127.0.0.1")
				synctest.Wait()
				admitted, decided := 0, len(results)
				for range decided {
					if <-results {
						admitted++
					}
				}
				if admitted != 1 || decided > 1 && ips[0] == ips[1] {
					t.Errorf("%d of 1 places were taken; %d acceptors went on", admitted, decided)
				}
				q.close()
			})
		})
	}
}

// An idle connection is closed; one that sends requests is not, nor one whose request comes in byte by byte, as in Kafka, where every read counts.
func TestIdleConnections(t *testing.T) {
	r := startBroker(t, map[string]string{"connections.max.idle.ms": "1500"})
	idle, slow, busy := r.dial(), r.dial(), r.dial()
	idle.alive()
	stop := make(chan struct{})
	var slowloris sync.WaitGroup
	slowloris.Go(func() {
		for _, b := range frame(kmsg.NewPtrApiVersionsRequest(), 1) {
			if _, err := slow.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		idle.closed()
		if got := readCorrelation(t, slow); got != 1 {
			t.Errorf("the slow request got answer %d", got)
		}
	}()
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-time.After(20 * time.Millisecond):
			busy.alive()
		}
	}
	close(stop)
	slowloris.Wait()
	busy.alive()
}

// Connections that come faster than they are accepted wait in the backlog, more than Kafka's 50 of them: those that find it full would come back after a second at the earliest.
func TestBacklog(t *testing.T) {
	b := &Broker{config: mustConfig(t, map[string]string{}), logging: logging.New(io.Discard, slog.LevelInfo)}
	ln, err := bind(b, config.Listener{Name: "PLAINTEXT", Host: "127.0.0.1"}) // accepts nothing before it is started
	if err != nil {
		t.Fatal(err)
	}
	defer ln.close()
	for i := range 100 {
		c, err := net.DialTimeout("tcp", ln.tcp.Addr().String(), 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
	}
}

// socket.request.max.bytes is the largest frame; one byte more closes the connection.
func TestRequestMaxBytes(t *testing.T) {
	r := startBroker(t, map[string]string{"socket.request.max.bytes": "5000"})
	r.createTopic("t", 1)
	sized := func(n int) []byte {
		req := produceTo("t", 0, 1, values(""))
		overhead := len(frame(req, 1)) - 4
		for pad := max(0, n-overhead-10); ; pad++ {
			f := frame(produceTo("t", 0, 1, values(strings.Repeat("x", pad))), 1)
			if len(f)-4 >= n {
				return f
			}
		}
	}
	for n, ok := range map[int]bool{5000: true, 5001: false} {
		f := sized(n)
		if got := int(binary.BigEndian.Uint32(f)); got != n {
			t.Fatalf("a frame of %d bytes instead of %d", got, n)
		}
		c := r.dial()
		if _, err := c.Write(f); err != nil {
			t.Fatal(err)
		}
		if ok {
			c.receive(produceTo("t", 0, 1, nil), 1)
		} else {
			c.closed()
		}
	}
}

// queued.max.request.bytes: while one connection's unfinished request holds the pool, another's waits; it is served when the first finishes, or
// its client goes away.
func TestQueuedMaxRequestBytes(t *testing.T) {
	const pool = 10_000
	r := startBroker(t, map[string]string{"queued.max.request.bytes": strconv.Itoa(pool), "socket.request.max.bytes": strconv.Itoa(pool),
		"controlled.shutdown.enable": "false"}) // its request would wait for the pool, too
	metadata := kmsg.NewPtrMetadataRequest()
	name := strings.Repeat("x", pool-len(frame(metadata, 1))+4-2)
	metadata.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	whole := frame(metadata, 1)
	if len(whole) != 4+pool {
		t.Fatalf("a frame of %d bytes", len(whole))
	}
	taken := func() bool {
		r.memory.mu.Lock()
		defer r.memory.mu.Unlock()
		return r.memory.available <= 0
	}
	for range 3 { // what a connection that ends gave back is there for the next
		hog, other := r.dial(), r.dial()
		other.alive()
		if _, err := hog.Write(whole[:20]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pool to be taken", taken)
		req := kmsg.NewPtrApiVersionsRequest()
		id := other.send(req)
		other.silentFor(20 * time.Millisecond)
		hog.Close()
		other.receive(req, id)
	}
	hog, other := r.dial(), r.dial()
	hog.Write(whole[:20])
	eventually(t, "the pool to be taken", taken)
	req := kmsg.NewPtrApiVersionsRequest()
	id := other.send(req)
	hog.Write(whole[20:])
	hog.receive(metadata, 1)
	other.receive(req, id)
	hog.Write(whole[:20])
	eventually(t, "the pool to be taken", taken)
	other.send(req)
	if err := r.Shutdown(); err != nil { // ends those that wait for memory, too
		t.Fatal(err)
	}
}

// Both listeners serve, each under its own name.
func TestTwoListeners(t *testing.T) {
	r := startBroker(t, twoListeners)
	for _, name := range []string{"PLAINTEXT", "CLIENT"} {
		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Version = 1
		resp := ask[*kmsg.MetadataResponse](r.dialListener(name), metadata)
		if len(resp.Brokers) != 1 || net.JoinHostPort(resp.Brokers[0].Host, strconv.Itoa(int(resp.Brokers[0].Port))) != r.Addr(name) {
			t.Errorf("%s advertises %+v; it listens on %s", name, resp.Brokers, r.Addr(name))
		}
	}
}
