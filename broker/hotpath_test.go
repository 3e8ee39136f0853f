package broker

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/replication"
	"gregor/storage"
)

// hotBroker is a broker with real logs and real partitions, and neither ZooKeeper nor listeners: topic hot, partition 0, led by broker 0.
func hotBroker(t *testing.T) *Broker {
	t.Helper()
	cfg, _, err := config.NewStatic(map[string]string{"zookeeper.connect": "unused:2181", "broker.id": "0", "log.dirs": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := &Broker{
		config: cfg, logging: logging.New(io.Discard, slog.LevelError), metadata: newMetadataCache(), sessions: newFetchSessions(10), vigil: newVigil(),
		maxRequestSize: 100 << 20, maxQueued: 500, fetchMaxBytes: 55 << 20,
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	t.Cleanup(b.cancel)
	b.logs, err = storage.Open(storage.ManagerConfig{
		Dirs: cfg.LogDirs(), Logger: b.logging.Logger,
		TopicConfig: func(string) storage.LogConfig { return logConfig(cfg, nil) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.logs.Load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.logs.Close(true); err != nil {
			t.Error(err)
		}
	})
	nothing := func(protocol.TopicPartition, int32) {}
	b.replicas = replication.NewManager(replication.Config{
		BrokerEpoch: func() int64 { return 1 }, Logs: replication.OnDisk(b.logs), Logger: b.logging.Logger, OnLeader: nothing, OnFollower: nothing,
	})
	lead(t, b, "hot", 0, []int32{0})
	return b
}

// lead makes the broker leader of a partition, as a controller would.
func lead(t *testing.T, b *Broker, topic string, epoch int32, isr []int32) {
	t.Helper()
	r := kmsg.NewPtrLeaderAndISRRequest()
	r.Version, r.ControllerEpoch, r.BrokerEpoch = 7, 1, 1
	s := kmsg.NewLeaderAndISRRequestTopicPartition()
	s.Leader, s.LeaderEpoch, s.ISR, s.Replicas, s.IsNew = 0, epoch, isr, isr, true
	ts := kmsg.NewLeaderAndISRRequestTopicState()
	ts.Topic, ts.TopicID, ts.PartitionStates = topic, [16]byte{1}, []kmsg.LeaderAndISRRequestTopicPartition{s}
	r.TopicStates = append(r.TopicStates, ts)
	resp := b.replicas.LeaderAndISR(r)
	if code := resp.Topics[0].Partitions[0].ErrorCode; resp.ErrorCode != 0 || code != 0 {
		t.Fatalf("LeaderAndIsr answered %d, partition %d", resp.ErrorCode, code)
	}
}

// hotConn is a server-side connection whose client throws away all answers.
func hotConn(t *testing.T, b *Broker) *conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := l.(*net.TCPListener).AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 1<<20)
		for {
			if _, err := client.Read(buf); err != nil {
				return
			}
		}
	}()
	ln := &listener{b: b, name: "PLAINTEXT", log: b.logging.Logger("test")}
	c, err := newConn(b, ln, tcp)
	if err != nil {
		t.Fatal(err)
	}
	w := new(worker)
	w.takeOn(c)
	t.Cleanup(func() {
		c.cancel()
		c.writer.Wait()
		w.letGo()
		tcp.Close()
		client.Close()
		<-drained
	})
	return c
}

// serveBuffer serves the requests that lie in c's buffer.
func serveBuffer(t *testing.T, c *conn) {
	t.Helper()
	for c.r < c.w {
		frame, err := c.nextFrame()
		if err == nil {
			err = c.handle(frame)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// produceFrame is a Produce request of one batch of n records of size bytes, without the frame's size.
func produceFrame(acks int16, n, size int) []byte {
	w := record.NewBuilder(record.None)
	for range n {
		w.Add(time.Now().UnixMilli(), nil, bytes.Repeat([]byte("x"), size))
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, 1000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = w.Build()
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "hot", []kmsg.ProduceRequestTopicPartition{p}
	req.Topics = append(req.Topics, topic)
	return frame(req, 1)[4:]
}

func fetchFrame(offset int64, maxBytes int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, 1, maxBytes, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, maxBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.Partitions = "hot", []kmsg.FetchRequestTopicPartition{p}
	req.Topics = append(req.Topics, topic)
	return frame(req, 1)[4:]
}

// TestHotPathAllocations: a warm produce and a warm fetch request allocate nothing (docs/performance.md).
func TestHotPathAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("allocations are counted without the race detector, which makes its own")
		return
	}
	b := hotBroker(t)
	c := hotConn(t, b)
	hot, _ := b.replicas.Partition(protocol.TopicPartition{Topic: "hot"})
	for _, step := range []struct {
		name  string
		frame func() []byte
	}{
		{"produce acks=1 15 KiB", func() []byte { return produceFrame(1, 15, 1000) }},
		{"produce acks=-1 15 KiB", func() []byte { return produceFrame(-1, 15, 1000) }},
		{"produce acks=0 100 B", func() []byte { return produceFrame(0, 1, 100) }},
		{"fetch by sendfile", func() []byte { return fetchFrame(0, 64<<10) }},
		{"fetch one batch by copy", func() []byte { return fetchFrame(0, 16<<10) }},
		{"fetch a small batch by copy", func() []byte { return fetchFrame(hot.Log().LogEndOffset()-1, 1<<10) }},
	} {
		sent := step.frame()
		work := append([]byte(nil), sent...)
		once := func() {
			copy(work, sent) // an append patches the frame in place
			if err := c.handle(work); err != nil {
				t.Fatal(err)
			}
			if err := c.out.flush(); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			once()
		}
		got := testing.AllocsPerRun(500, once)
		t.Logf("%s: %.1f allocations", step.name, got)
		if got >= 1 {
			t.Errorf("%s: %.1f allocations per request, want 0", step.name, got)
		}
	}
}
