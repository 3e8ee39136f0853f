package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer/peertest"
	"gregor/zk"
	"gregor/zk/zktest"
)

func quiet(string) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

type tp = protocol.TopicPartition

// patience is how long a test waits for what takes milliseconds.
const patience = 20 * time.Second

// fakeBroker is a registered broker that takes the controller's requests and believes them.
type fakeBroker struct {
	t        *testing.T
	id       int32
	client   *zk.Client
	listener net.Listener
	work     sync.WaitGroup
	epochNow atomic.Int64

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced after every request
	conns    map[net.Conn]bool
	leading  map[tp]kmsg.LeaderAndISRRequestTopicPartition
	isNew    map[tp]bool // some LeaderAndIsr said isNew
	ids      map[string]protocol.TopicID
	metadata map[tp]kmsg.UpdateMetadataRequestTopicPartition
	brokers  []int32
	stopped  map[tp]kmsg.StopReplicaRequestTopicPartitionState
	deleted  map[tp]bool
	seen     []string // kinds of requests in order
	errors   map[tp]protocol.ErrorCode
}

// startBroker registers broker id in its own ZooKeeper session.
func startBroker(t *testing.T, s *zktest.Server, id int32) *fakeBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &fakeBroker{t: t, id: id, listener: l, client: connect(t, s), changed: make(chan struct{}), conns: map[net.Conn]bool{},
		leading: map[tp]kmsg.LeaderAndISRRequestTopicPartition{}, isNew: map[tp]bool{}, ids: map[string]protocol.TopicID{},
		metadata: map[tp]kmsg.UpdateMetadataRequestTopicPartition{}, stopped: map[tp]kmsg.StopReplicaRequestTopicPartitionState{},
		deleted: map[tp]bool{}, errors: map[tp]protocol.ErrorCode{}}
	b.work.Go(b.accept)
	b.register()
	t.Cleanup(func() { b.client.Close(); b.stop() })
	return b
}

func connect(t *testing.T, s *zktest.Server) *zk.Client {
	t.Helper()
	c, err := zk.Connect(context.Background(), zk.Config{Connect: s.Addr(), SessionTimeout: 10 * time.Second, ConnectionTimeout: patience, MaxInFlight: 10, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreatePersistentPaths(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *fakeBroker) register() {
	addr := b.listener.Addr().(*net.TCPAddr)
	epoch, err := b.client.RegisterBroker(zk.Broker{ID: b.id, JMXPort: -1,
		Endpoints: []zk.Endpoint{{Listener: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "127.0.0.1", Port: int32(addr.Port)}}})
	if err != nil {
		b.t.Error(err)
	}
	b.epochNow.Store(epoch)
}

func (b *fakeBroker) epoch() int64 { return b.epochNow.Load() }

// die ends session and connections, as kill -9 and an expired session would.
func (b *fakeBroker) die() {
	b.client.Close()
	b.stop()
}

func (b *fakeBroker) stop() {
	b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *fakeBroker) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[conn] = true
		b.mu.Unlock()
		b.work.Go(func() { b.serve(conn) })
	}
}

func (b *fakeBroker) serve(conn net.Conn) {
	err := peertest.Serve(conn, func(h protocol.RequestHeader, req kmsg.Request) bool {
		_, err := conn.Write(protocol.AppendResponse(nil, h, b.answer(req)))
		return err == nil
	})
	if err != nil {
		b.t.Errorf("broker %d: %v", b.id, err)
	}
}

// answer takes a request in and builds its answer.
func (b *fakeBroker) answer(req kmsg.Request) kmsg.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		close(b.changed)
		b.changed = make(chan struct{})
	}()
	b.seen = append(b.seen, fmt.Sprintf("%T", req))
	resp := req.ResponseKind()
	switch r := req.(type) {
	case *kmsg.LeaderAndISRRequest:
		b.leaderAndISR(r, resp.(*kmsg.LeaderAndISRResponse))
	case *kmsg.UpdateMetadataRequest:
		for _, t := range r.TopicStates {
			b.ids[t.Topic] = t.TopicID
			for _, p := range t.PartitionStates {
				b.metadata[tp{Topic: t.Topic, Partition: p.Partition}] = p
			}
		}
		b.brokers = nil
		for _, lb := range r.LiveBrokers {
			b.brokers = append(b.brokers, lb.ID)
		}
	case *kmsg.StopReplicaRequest:
		for _, t := range r.Topics {
			for _, p := range t.PartitionStates {
				key := tp{Topic: t.Topic, Partition: p.Partition}
				b.stopped[key] = p
				b.deleted[key] = b.deleted[key] || p.Delete
				delete(b.leading, key)
				out := kmsg.NewStopReplicaResponsePartition()
				out.Topic, out.Partition = t.Topic, p.Partition
				if p.Delete {
					out.ErrorCode = int16(b.errors[key])
				}
				rr := resp.(*kmsg.StopReplicaResponse)
				rr.Partitions = append(rr.Partitions, out)
			}
		}
	default:
		b.t.Errorf("broker %d got a %T", b.id, req)
	}
	return resp
}

func (b *fakeBroker) leaderAndISR(r *kmsg.LeaderAndISRRequest, resp *kmsg.LeaderAndISRResponse) {
	if r.BrokerEpoch < b.epoch() { // a newer one is of a registration we have not heard back about
		resp.ErrorCode = int16(protocol.StaleBrokerEpoch)
		return
	}
	for _, t := range r.TopicStates {
		out := kmsg.NewLeaderAndISRResponseTopic()
		out.TopicID = t.TopicID
		for _, p := range t.PartitionStates {
			key := tp{Topic: t.Topic, Partition: p.Partition}
			res := kmsg.NewLeaderAndISRResponseTopicPartition()
			res.Partition, res.ErrorCode = p.Partition, int16(b.errors[key])
			out.Partitions = append(out.Partitions, res)
			if res.ErrorCode == 0 {
				b.leading[key] = p
				b.isNew[key] = b.isNew[key] || p.IsNew
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
}

// await waits until ok holds; it is asked again after every request of the controller.
func (b *fakeBroker) await(what string, ok func(b *fakeBroker) bool) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		done, changed := ok(b), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("broker %d waited in vain for %s; leadership %+v, metadata %+v", b.id, what, b.leading, b.metadata)
		}
	}
}

// leads waits until the broker was told that leader leads p.
func (b *fakeBroker) awaitLeader(p tp, leader int32) {
	b.t.Helper()
	b.await(fmt.Sprintf("leader %d of %v", leader, p), func(b *fakeBroker) bool {
		l, ok := b.leading[p]
		m, known := b.metadata[p]
		return ok && known && l.Leader == leader && m.Leader == leader
	})
}

// eventually polls what has no event of its own: the tree of the server.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// control starts the controller of a broker.
func control(t *testing.T, b *fakeBroker, change func(*Config)) *Controller {
	t.Helper()
	config := Config{BrokerID: b.id, BrokerEpoch: func() int64 { return b.epoch() }, InterBrokerListener: "PLAINTEXT",
		DeleteTopicEnable: func() bool { return true }, ImbalancePercent: 10, ImbalanceCheckSeconds: 300, SocketTimeoutMs: 30000,
		UncleanLeaderElection: func(string) bool { return false }, Logger: quiet}
	if change != nil {
		change(&config)
	}
	c := New(config, b.client)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}
