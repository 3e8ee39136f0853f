package broker

import (
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
	"gregor/storage"
)

// hotPartition is the one partition of a hotBroker.
func hotPartition(t *testing.T, b *Broker) *replication.Partition {
	t.Helper()
	p, code := b.replicas.Partition(protocol.TopicPartition{Topic: "hot"})
	if code != protocol.None {
		t.Fatal(code)
	}
	return p
}

// followerFrame is a follower's fetch from an offset on, without the frame's size.
func followerFrame(id int32, offset int64, maxWait time.Duration) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, id, 1, 1<<20, -1
	req.MaxWaitMillis = int32(maxWait.Milliseconds())
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.Partitions = "hot", []kmsg.FetchRequestTopicPartition{p}
	req.Topics = append(req.Topics, topic)
	return frame(req, 1)[4:]
}

// serveAll serves frames as if they had come with one read.
func serveAll(t *testing.T, c *conn, frames ...[]byte) {
	t.Helper()
	c.in = getBuffer(64 << 10)
	c.r, c.w = 0, 0
	for _, f := range frames {
		c.w += copy(c.in.b[c.w:], binary.BigEndian.AppendUint32(nil, uint32(len(f))))
		c.w += copy(c.in.b[c.w:], f)
	}
	serveBuffer(t, c)
}

// Whoever waits for records is woken when the client has nothing more to say for now, or has said much: not by every append.
func TestAppendsWakeTogether(t *testing.T) {
	b := hotBroker(t)
	lead(t, b, "hot", 1, []int32{0, 1})
	p := hotPartition(t, b)
	c := hotConn(t, b)
	w := replication.NewWaiter()
	p.Watch(w, replication.LogEnd)
	defer p.Unwatch(w)
	woken := func() bool {
		select {
		case <-w.C:
			return true
		default:
			return false
		}
	}
	one := produceFrame(-1, 1, 100)
	for range max(maxUnwoken-1, 2) {
		serveAll(t, c, one)
	}
	if woken() {
		t.Fatal("woken while the reader was still busy")
	}
	serveAll(t, c, one)
	if !woken() {
		t.Fatalf("not woken by %d runs in a row", maxUnwoken)
	}
	serveAll(t, c, one)
	if err := c.tcp.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := c.fill(4); err == nil {
		t.Fatal("the client has sent something")
	}
	if !woken() {
		t.Fatal("not woken before the reader waits for bytes")
	}
}

// Answers to acks=-1 requests that are committed together go out with one write.
func TestCommittedAnswersSystemCalls(t *testing.T) {
	b := hotBroker(t)
	lead(t, b, "hot", 1, []int32{0, 1})
	p := hotPartition(t, b)
	c := hotConn(t, b)
	c.writing.Store(true) // nobody writes yet
	one := produceFrame(-1, 1, 100)
	serveAll(t, c, one, one, one, one, one)
	if n := len(c.mu.queue); n != 5 {
		t.Fatalf("%d answers wait, want 5", n)
	}
	var read replication.Read
	ask := replication.Ask{Offset: 5, CurrentLeaderEpoch: 1, LastFetchedEpoch: -1, Follower: &replication.FollowerFetch{ID: 1, BrokerEpoch: -1}}
	if err := p.Read(ask, &read); err != nil || read.HighWatermark != 5 {
		t.Fatalf("watermark %d, error %v", read.HighWatermark, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadIO(t)["syscw:"]
	c.writer.Add(1)
	c.writeLoop()
	if n := c.expected.Load(); n != 5 {
		t.Errorf("%d requests are expected after five answers", n)
	}
	if got := threadIO(t)["syscw:"] - before; got != 1 {
		t.Errorf("five answers cost %d writes, want 1", got)
	}
}

// A client that was just answered five requests is expected to send five: the reader looks for them before it wakes who waits for the first ones, but not for ever, and not again when they
// do not come.
func TestRequestsAreExpected(t *testing.T) {
	b := hotBroker(t)
	lead(t, b, "hot", 1, []int32{0, 1})
	c := hotConn(t, b)
	one := produceFrame(-1, 1, 100)
	for _, tc := range []struct {
		expected int32
		looks    int
	}{{0, 0}, {2, 0}, {3, maxPatience}} {
		c.expected.Store(tc.expected)
		serveAll(t, c, one, one)
		looks, patience := 0, maxPatience
		for c.anticipate(&patience) {
			looks++
		}
		if looks != tc.looks || c.expected.Load() != 0 {
			t.Errorf("%d expected, two came: looked %d times, want %d; %d still expected", tc.expected, looks, tc.looks, c.expected.Load())
		}
		c.deliverWakes()
	}
	c.expected.Store(5)
	patience := maxPatience
	if c.anticipate(&patience) {
		t.Error("looks for more when nobody waits for what came")
	}
}

// A follower's fetch waits in the reader, without a writer, and ends with an append, its time, or the connection.
func TestFollowerWaitsInReader(t *testing.T) {
	b := hotBroker(t)
	b.leaderQuota = b.newReplicationQuota("leader")
	lead(t, b, "hot", 1, []int32{0, 1})
	p := hotPartition(t, b)
	if err := p.Append(values("first"), 1, storage.FromClient, new(storage.AppendResult)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		maxWait time.Duration
		then    func(c *conn)
		want    error
	}{
		{"append", time.Hour, func(*conn) {
			var out storage.AppendResult
			if err := p.Append(values("x"), 1, storage.FromClient, &out); err != nil {
				t.Error(err)
			}
		}, nil},
		{"time", 20 * time.Millisecond, func(*conn) {}, nil},
		{"end", time.Hour, func(c *conn) { c.fail() }, net.ErrClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := hotConn(t, b)
			done := make(chan error)
			end := p.Log().LogEndOffset()
			f := followerFrame(1, end, tc.maxWait)
			go func() { done <- c.handle(f) }()
			for len(p.ReadReplicas(end)) < 2 { // until its position is recorded
				runtime.Gosched()
			}
			tc.then(c)
			if err := <-done; !errors.Is(err, tc.want) {
				t.Fatalf("ended with %v, want %v", err, tc.want)
			}
			if c.writing.Load() {
				t.Error("a writer runs")
			}
			if answered := c.out.pending() > 0; answered != (tc.want == nil) {
				t.Errorf("answered: %v", answered)
			}
		})
	}
}
