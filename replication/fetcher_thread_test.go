package replication

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer/peertest"
)

// leaderOnWire serves a chase's leader over TCP. A fetch that finds nothing new is not answered before wake.
type leaderOnWire struct {
	c        *chase
	listener net.Listener
	clientID atomic.Value
	parked   chan struct{} // a token for each fetch that waits for wake
	wake     chan struct{}
	conns    chan net.Conn
	done     chan struct{}
	serving  sync.WaitGroup
}

func serveLeader(c *chase) *leaderOnWire {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	w := &leaderOnWire{c: c, listener: l, parked: make(chan struct{}, 100), wake: make(chan struct{}), conns: make(chan net.Conn, 10), done: make(chan struct{})}
	w.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.conns <- conn
			w.serve(conn) // one after the other: the chase has one session
		}
	})
	c.t.Cleanup(func() {
		close(w.done)
		l.Close()
		w.serving.Wait()
	})
	return w
}

func (w *leaderOnWire) serve(conn net.Conn) {
	err := peertest.Serve(conn, func(h protocol.RequestHeader, req kmsg.Request) bool {
		w.clientID.Store(h.ClientID)
		var answer []byte
		switch req := req.(type) {
		case *kmsg.FetchRequest:
			answer = w.c.fetchFrame(req, h.CorrelationID)
			if w.c.session.news == 0 {
				w.parked <- struct{}{}
				select {
				case <-w.wake:
				case <-w.done:
					return false
				}
			}
		case *kmsg.OffsetForLeaderEpochRequest:
			answer = protocol.AppendResponse(nil, h, w.c.epochs(req))
		case *kmsg.ListOffsetsRequest:
			answer = protocol.AppendResponse(nil, h, w.c.offsets(req))
		}
		_, err := conn.Write(answer)
		return err == nil
	})
	if err != nil {
		w.c.t.Error(err)
	}
}

// A follower fetches over the network as soon as its leader is alive, again after the connection broke, and stops at once while the leader holds its fetch.
func TestFetcherOverNetwork(t *testing.T) {
	for _, version := range []int16{17, 11} {
		cfg := testFollowConfig(version)
		cfg.Backoff = time.Hour // only news of the brokers ends a wait
		h := newChase(t, cfg)
		w := serveLeader(h)
		var alive atomic.Bool
		tried := make(chan struct{}, 100)
		n := &Network{
			BrokerID: me, SocketTimeout: time.Minute, ReceiveBuffer: 64 << 10, Logger: h.replica.cfg.Logger,
			Addr: func(broker int32) (string, error) {
				tried <- struct{}{}
				if broker != leaderID || !alive.Load() {
					return "", errors.New("not alive")
				}
				return w.listener.Addr().String(), nil
			},
		}
		h.Manager.cfg.RunFetcher = n.Run
		from := history(t, h.leader, 0, [2]int{0, 5}, [2]int{2, 100})
		h.copyHistory(from, 3)
		history(t, h.replica, 0, [2]int{1, 2})
		h.follow(3, 0)
		p, _ := h.Partition(tp0)
		arrive := func(end int64) {
			t.Helper()
			moved := NewWaiter()
			p.Watch(moved, LogEnd)
			defer p.Unwatch(moved)
			for p.Log().LogEndOffset() != end || p.Log().LatestEpoch() != 2 {
				select {
				case <-moved.C:
				case <-time.After(20 * time.Second):
					t.Fatalf("the log ends at %d, want %d", p.Log().LogEndOffset(), end)
				}
			}
		}
		<-tried
		alive.Store(true)
		h.BrokersChanged()
		arrive(105)
		<-w.parked
		(<-w.conns).Close()
		history(t, h.leader, 0, [2]int{2, 1})
		h.BrokersChanged()
		w.wake <- struct{}{} // the answer finds no connection
		arrive(106)
		if id := w.clientID.Load(); id != "broker-1-fetcher-0" {
			t.Errorf("client id %q", id)
		}
		<-w.parked
		h.Close()
		if p.Log().LogEndOffset() != 106 {
			t.Errorf("the log ends at %d", p.Log().LogEndOffset())
		}
	}
}
