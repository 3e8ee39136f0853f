package zk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gregor/protocol"
	"gregor/zk"
	"gregor/zk/zktest"
)

func quiet(string) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func connectTo(t *testing.T, connect string, session time.Duration) *zk.Client {
	t.Helper()
	c, err := zk.Connect(context.Background(), zk.Config{Connect: connect, SessionTimeout: session, ConnectionTimeout: 10 * time.Second, MaxInFlight: 10, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func start(t *testing.T) (*zktest.Server, *zk.Client) {
	t.Helper()
	s := zktest.Start(t)
	c := connectTo(t, s.Addr(), 10*time.Second)
	if err := c.CreatePersistentPaths(); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// receive waits for a value, far longer than it should take.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func TestChrootAndPersistentPaths(t *testing.T) {
	s := zktest.Start(t)
	c := connectTo(t, s.Addr()+"/a/b", 10*time.Second)
	for range 2 {
		if err := c.CreatePersistentPaths(); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/a/b/brokers/ids", "/a/b/latest_producer_id_block", "/a/b/config/changes", "/a/b/admin", "/a"} {
		if data, ok := s.Get(path); !ok || data != nil {
			t.Errorf("%s: %q, %v; want null data", path, data, ok)
		}
	}
	id, err := c.ClusterID()
	if err != nil || len(id) != 22 {
		t.Fatalf("cluster id %q, %v", id, err)
	}
	if again, err := c.ClusterID(); again != id || err != nil {
		t.Errorf("cluster id changed from %q to %q, %v", id, again, err)
	}
}

func TestConnectWaitsForServer(t *testing.T) {
	_, err := zk.Connect(context.Background(), zk.Config{Connect: "127.0.0.1:1", SessionTimeout: time.Second, ConnectionTimeout: 100 * time.Millisecond, Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error does not name the server: %v", err)
	}
	// A name that cannot be resolved is a server that is not there yet.
	_, err = zk.Connect(context.Background(), zk.Config{Connect: "no-such-host.invalid:1", SessionTimeout: time.Second, ConnectionTimeout: 100 * time.Millisecond, Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("an unknown name ends at once: %v", err)
	}
	// One dead server of an ensemble does no harm.
	s := zktest.Start(t)
	connectTo(t, "127.0.0.1:1,"+s.Addr(), 10*time.Second)
}

func broker(id, port int32) zk.Broker {
	return zk.Broker{ID: id, JMXPort: -1, Timestamp: 1, Endpoints: []zk.Endpoint{{Listener: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "h", Port: port}}}
}

func TestRegisterBroker(t *testing.T) {
	s, c := start(t)
	epoch, err := c.RegisterBroker(broker(1, 9092))
	if err != nil || epoch <= 0 {
		t.Fatalf("epoch %d, %v", epoch, err)
	}
	if data, _ := s.Get("/brokers/ids/1"); string(data) != string(zk.EncodeBroker(broker(1, 9092))) {
		t.Errorf("registered as %s", data)
	}
	got, err := c.Brokers()
	if err != nil || len(got) != 1 || got[0].Epoch != epoch {
		t.Errorf("brokers %+v, %v", got, err)
	}

	other := connectTo(t, s.Addr(), 10*time.Second)
	if _, err := other.RegisterBroker(broker(1, 9999)); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("an id of a live broker is given away: %v", err)
	}
	if _, err := other.RegisterBroker(broker(2, 9092)); err == nil || !strings.Contains(err.Error(), "already registered by broker 1") {
		t.Errorf("an endpoint of a live broker is given away: %v", err)
	}
	s.Put("/brokers/ids/7", []byte("no JSON"))
	if got, err := c.Brokers(); err != nil || len(got) != 1 {
		t.Errorf("an unreadable registration: %+v, %v", got, err)
	}
	update := broker(1, 9093)
	if err := c.UpdateBroker(update); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Broker(1); got == nil || got.Endpoints[0].Port != 9093 || got.Epoch != epoch {
		t.Errorf("after the update: %+v", got)
	}
	for _, want := range []int32{1001, 1002} {
		if id, err := c.GenerateBrokerID(1000); id != want || err != nil {
			t.Errorf("generated id %d, %v; want %d", id, err, want)
		}
	}
}

// TestQuickRestart: the ephemeral of a killed former life is waited for.
func TestQuickRestart(t *testing.T) {
	s, c := start(t)
	former := connectTo(t, s.Addr(), 10*time.Second)
	if _, err := former.RegisterBroker(broker(1, 9092)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.RegisterBroker(broker(1, 9092))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("registered over a session that still stands: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Expire(former.SessionID())
	if err := receive(t, done, "the registration"); err != nil {
		t.Fatal(err)
	}
}

// TestLostReplies: a change whose answer was lost counts as done, once.
func TestLostReplies(t *testing.T) {
	s, c := start(t)
	s.LoseReplies(1)
	epoch, err := c.RegisterBroker(broker(1, 9092))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Broker(1); got == nil || got.Epoch != epoch {
		t.Errorf("registered as %+v, epoch %d", got, epoch)
	}
	s.LoseReplies(1)
	fence, err := c.ElectController(1) // the lost reply is that of /controller_epoch's creation
	if err != nil || fence.Epoch != 1 {
		t.Fatalf("fence %+v, %v", fence, err)
	}
	if err := c.Resign(fence); err != nil {
		t.Fatal(err)
	}
	s.LoseReplies(1)
	if fence, err = c.ElectController(1); err != nil || fence.Epoch != 2 {
		t.Fatalf("fence %+v, %v", fence, err)
	}
	tp := protocol.TopicPartition{Topic: "t"}
	s.Put("/brokers/topics/t", []byte(`{"partitions":{"0":[1]}}`))
	if failed, err := c.CreatePartitionStates(fence, map[protocol.TopicPartition]zk.PartitionState{tp: {Leader: 1, ISR: []int32{1}}}); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	s.LoseReplies(1)
	if failed, err := c.UpdatePartitionStates(fence, map[protocol.TopicPartition]zk.PartitionState{tp: {Leader: 1, LeaderEpoch: 1, ISR: []int32{1}}}); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	states, err := c.PartitionStates([]protocol.TopicPartition{tp})
	if err != nil || states[tp].Version != 1 || states[tp].LeaderEpoch != 1 {
		t.Errorf("state %+v, %v", states[tp], err)
	}
	s.LoseReplies(1)
	if start, _, err := c.AllocateProducerIDBlock(1); start != 0 || err != nil {
		t.Errorf("block %d, %v", start, err)
	}
	if start, n, err := c.AllocateProducerIDBlock(1); start != 1000 || n != 1000 || err != nil {
		t.Errorf("block %d, %v", start, err)
	}
}

// TestSessionExpiry: hooks in order, a new session, every watch called, nothing of the old session fires.
func TestSessionExpiry(t *testing.T) {
	s, c := start(t)
	var order []string
	changed := make(chan struct{}, 10)
	reregistered := make(chan int64, 1)
	c.OnExpired(func() { order = append(order, "expired") })
	var epoch atomic.Int64
	c.OnSession(func() {
		order = append(order, "session")
		e, err := c.RegisterBroker(broker(1, 9092))
		if err != nil {
			t.Error(err)
		}
		if epoch.Load() >= e {
			t.Errorf("epoch %d after %d", e, epoch.Load())
		}
		reregistered <- e
	})
	first, err := c.RegisterBroker(broker(1, 9092))
	if err != nil {
		t.Fatal(err)
	}
	epoch.Store(first)
	cancel, err := c.Watch("/brokers/topics", zk.WatchChildren, func() { order = append(order, "watch"); changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	old := c.SessionID()
	s.Expire(old)
	receive(t, reregistered, "the registration in a new session")
	receive(t, changed, "the watch after the expiry")
	if want := []string{"expired", "session", "watch"}; !reflect.DeepEqual(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if id := c.SessionID(); id == old || id == 0 {
		t.Errorf("session %x after %x", id, old)
	}
	if _, err := c.Topics(); err != nil { // sets the watch again
		t.Fatal(err)
	}
	s.Put("/brokers/topics/t", nil)
	receive(t, changed, "a change in the new session")
}

// TestWatchesSurviveReconnect: a change during a broken connection is seen afterwards, in the same session.
func TestWatchesSurviveReconnect(t *testing.T) {
	s, c := start(t)
	data, kids := make(chan struct{}, 10), make(chan struct{}, 10)
	for _, w := range []struct {
		path string
		kind zk.WatchKind
		ch   chan struct{}
	}{{"/controller", zk.WatchData, data}, {"/brokers/ids", zk.WatchChildren, kids}} {
		cancel, err := c.Watch(w.path, w.kind, func() { w.ch <- struct{}{} })
		if err != nil {
			t.Fatal(err)
		}
		defer cancel()
	}
	id := c.SessionID()
	s.DropConnections()
	s.Put("/controller", []byte("x"))
	s.Put("/brokers/ids/5", []byte("x"))
	receive(t, data, "the creation of /controller")
	receive(t, kids, "the new child")
	s.Put("/controller", []byte("y"))
	receive(t, data, "the change of /controller")
	s.Delete("/controller")
	receive(t, data, "the deletion of /controller")
	if c.SessionID() != id {
		t.Error("the session was replaced")
	}
}

// TestWatchOfMissingParent: a children watch on a znode that does not exist waits for it.
func TestWatchOfMissingParent(t *testing.T) {
	s, c := start(t)
	changed := make(chan struct{}, 10)
	s.Delete(zk.TopicsPath)
	cancel, err := c.Watch(zk.TopicsPath, zk.WatchChildren, func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	list := func() {
		if _, err := c.Topics(); err != nil {
			t.Fatal(err)
		}
	}
	s.Put(zk.TopicsPath, nil)
	receive(t, changed, "its creation")
	list()
	s.Put(zk.TopicsPath+"/child", nil)
	receive(t, changed, "its child")
	s.Delete(zk.TopicsPath + "/child")
	s.Delete(zk.TopicsPath)
	list() // waits for the parent again
	s.Put(zk.TopicsPath, nil)
	receive(t, changed, "its second creation")
	list()
	cancel()
	s.Put(zk.TopicsPath+"/other", nil)
	if err := c.CreatePersistentPaths(); err != nil { // a round trip: the event would be here by now
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("called after cancel")
	case <-time.After(20 * time.Millisecond):
	}
}

// TestChildrenWatch: it fires once for any number of changes, and again only after the children were listed.
func TestChildrenWatch(t *testing.T) {
	s, c := start(t)
	changed := make(chan struct{}, 100)
	cancel, err := c.Watch(zk.TopicsPath, zk.WatchChildren, func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	for round := range 3 {
		for i := range 5 {
			s.Put(fmt.Sprintf("%s/%d-%d", zk.TopicsPath, round, i), nil)
		}
		receive(t, changed, "new children")
		names, err := c.Topics()
		if err != nil || len(names) != 5*(round+1) {
			t.Fatalf("%v, %v", names, err)
		}
	}
	if len(changed) > 0 {
		t.Error("called without a watch")
	}
}

// TestChildrenWatchMissesNothing: whoever lists at each call sees every child, also while others list the same children, and after the connection broke or
// the session expired.
func TestChildrenWatchMissesNothing(t *testing.T) {
	s, c := start(t)
	changed := make(chan struct{}, 1)
	cancel, err := c.Watch(zk.TopicsPath, zk.WatchChildren, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = c.Topics()
				}
			}
		})
	}
	defer others.Wait()
	defer close(done)
	list := func(what string) int {
		receive(t, changed, what)
		names, err := c.Topics()
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	put, seen := 0, 0
	for round := range 40 {
		switch round % 10 {
		case 3:
			s.DropConnections()
		case 7:
			s.Expire(c.SessionID())
			seen = list("the new session")
		}
		for range 5 {
			s.Put(fmt.Sprintf("%s/%d", zk.TopicsPath, put), nil)
			put++
		}
		for seen < put {
			seen = list(fmt.Sprintf("more than %d of %d children", seen, put))
		}
	}
}

func TestFencing(t *testing.T) {
	s, c := start(t)
	other := connectTo(t, s.Addr(), 10*time.Second)
	fence, err := c.ElectController(1)
	if err != nil || fence.Epoch != 1 {
		t.Fatalf("%+v, %v", fence, err)
	}
	if _, err := other.ElectController(2); !errors.Is(err, zk.ErrNotElected) {
		t.Errorf("elected beside another: %v", err)
	}
	if id, err := other.Controller(); id != 1 || err != nil {
		t.Errorf("controller %d, %v", id, err)
	}
	if err := c.SetFeatures(fence, 2); err != nil {
		t.Fatal(err)
	}
	s.Delete("/controller")
	second, err := other.ElectController(2)
	if err != nil || second.Epoch != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := c.SetTopic(fence, &zk.Topic{Name: "t", Version: -1}); !errors.Is(err, zk.ErrControllerMoved) {
		t.Errorf("a deposed controller wrote: %v", err)
	}
	if _, err := c.CreatePartitionStates(fence, map[protocol.TopicPartition]zk.PartitionState{{Topic: "t"}: {}}); !errors.Is(err, zk.ErrControllerMoved) {
		t.Errorf("a deposed controller wrote a state: %v", err)
	}
	if err := c.Resign(fence); err != nil {
		t.Error(err)
	}
	if id, _ := c.Controller(); id != 2 {
		t.Errorf("a deposed controller removed its successor: controller %d", id)
	}
	// A fence ends with its session, even if nobody was elected since.
	gone := make(chan struct{})
	other.OnSession(func() { close(gone) })
	s.Expire(other.SessionID())
	receive(t, gone, "the new session")
	if _, err := other.SetTopic(second, &zk.Topic{Name: "t", Version: -1}); !errors.Is(err, zk.ErrSessionExpired) {
		t.Errorf("a fence outlived its session: %v", err)
	}
	if v, err := c.FeatureVersion(); v != 0 || err != nil {
		t.Errorf("feature version %d, %v", v, err)
	}
}

// TestCloseWakesWaiters: operations that wait for a server end with Close.
func TestCloseWakesWaiters(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := zktest.Start(t)
	c := connectTo(t, s.Addr(), 10*time.Second)
	s.Close()
	done := make(chan error, 1)
	go func() {
		_, err := c.Topics()
		done <- err
	}()
	c.Close()
	if err := receive(t, done, "the waiting read"); !errors.Is(err, zk.ErrClosed) {
		t.Errorf("%v", err)
	}
}
