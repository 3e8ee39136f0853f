package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/zk/zktest"
)

// patience is how long a test waits for something that has to happen; it is no measure of anything.
const patience = 20 * time.Second

// logText is what a broker under test logged, its beginning if that is much, and apart from it the panics that connections survived.
type logText struct {
	mu     sync.Mutex
	text   bytes.Buffer
	panics strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Contains(p, []byte("Panic while handling")) {
		l.panics.Write(p)
	}
	if l.text.Len() < 1<<20 {
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logText) survived() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.panics.String()
}

// running is a whole broker in this process, on free ports.
type running struct {
	*Broker
	t   testing.TB
	zk  *zktest.Server
	log *logText
}

// properties is a configuration of one broker on port 0 with fresh log directories; more overrides it.
func properties(t testing.TB, zk *zktest.Server, more map[string]string) map[string]string {
	t.Helper()
	props := map[string]string{
		"zookeeper.connect":                zk.Addr(),
		"zookeeper.session.timeout.ms":     "6000",
		"broker.id":                        "0",
		"listeners":                        "PLAINTEXT://127.0.0.1:0",
		"offsets.topic.num.partitions":     "2",
		"offsets.topic.replication.factor": "1",
		"group.initial.rebalance.delay.ms": "0",
	}
	maps.Copy(props, more)
	if props["log.dirs"] == "" {
		props["log.dirs"] = t.TempDir()
	}
	return props
}

// startBroker starts a broker on a ZooKeeper of its own and stops it when the test ends. A panic that a connection survived fails the test.
func startBroker(t testing.TB, more map[string]string) *running {
	t.Helper()
	zk := zktest.Start(t)
	r, err := tryBroker(t, zk, properties(t, zk, more))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tryBroker starts a broker that may fail to.
func tryBroker(t testing.TB, zk *zktest.Server, props map[string]string) (*running, error) {
	t.Helper()
	cfg, _, err := config.NewStatic(props)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, zk: zk, log: &logText{}}
	t.Cleanup(func() {
		if bug := r.log.survived(); bug != "" {
			t.Errorf("a request panicked:\n%s", bug)
		}
	})
	r.Broker, err = Start(t.Context(), cfg, logging.New(r.log, slog.LevelInfo))
	if err != nil {
		return r, err
	}
	t.Cleanup(func() {
		if err := r.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	eventually(t, "the controller's first metadata", func() bool {
		_, _, known := r.metadata.Endpoint(r.id, cfg.InterBrokerListener())
		return known
	})
	return r, nil
}

// client is one connection to a broker.
type client struct {
	net.Conn
	t    testing.TB
	next int32 // correlation id
}

func (r *running) dial() *client { return r.dialListener("PLAINTEXT") }

func (r *running) dialListener(name string) *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.Addr(name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return &client{Conn: nc, t: r.t}
}

// send sends a request and returns its correlation id.
func (c *client) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.next++
	if _, err := c.Write(protocol.AppendRequest(nil, c.next, "test", req)); err != nil {
		c.t.Fatalf("sending %T: %v", req, err)
	}
	return c.next
}

// receive reads the answer to the request that was sent as correlation.
func (c *client) receive(req kmsg.Request, correlation int32) kmsg.Response {
	c.t.Helper()
	resp, err := c.tryReceive(req, correlation)
	if err != nil {
		c.t.Fatalf("the answer to %T: %v", req, err)
	}
	return resp
}

func (c *client) tryReceive(req kmsg.Request, correlation int32) (kmsg.Response, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	return protocol.DecodeResponse(body, correlation, req)
}

// ask sends a request and returns its answer.
func ask[R kmsg.Response](c *client, req kmsg.Request) R {
	c.t.Helper()
	return c.receive(req, c.send(req)).(R)
}

// alive fails the test unless the connection answers.
func (c *client) alive() {
	c.t.Helper()
	ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest())
}

// closed fails the test unless the broker closes the connection without another byte.
func (c *client) closed() {
	c.t.Helper()
	expectClosed(c.t, c)
}

// silentFor fails the test when a byte comes, or the connection ends, within d.
func (c *client) silentFor(d time.Duration) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	n, err := c.Read(make([]byte, 1))
	var ne net.Error
	if n != 0 || !errors.As(err, &ne) || !ne.Timeout() {
		c.t.Fatalf("%d bytes, %v; want silence", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// createTopic makes a topic and returns its id.
func (r *running) createTopic(name string, partitions int32, configs ...string) [16]byte {
	r.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, int32(patience.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for _, kv := range configs {
		k, v, _ := strings.Cut(kv, "=")
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = k, kmsg.StringPtr(v)
		topic.Configs = append(topic.Configs, cfg)
	}
	req.Topics = append(req.Topics, topic)
	resp := ask[*kmsg.CreateTopicsResponse](r.dial(), req)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		r.t.Fatalf("creating %s: %v", name, protocol.ErrorCode(code))
	}
	return resp.Topics[0].TopicID
}

func (r *running) deleteTopic(name string) {
	r.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, int32(patience.Milliseconds()), []string{name}
	resp := ask[*kmsg.DeleteTopicsResponse](r.dial(), req)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		r.t.Fatalf("deleting %s: %v", name, protocol.ErrorCode(code))
	}
}

// leads reports whether the broker leads a partition.
func (r *running) leads(topic string, partition int32) bool {
	p, code := r.replicas.Partition(protocol.TopicPartition{Topic: topic, Partition: partition})
	return code == protocol.None && p.IsLeader()
}

// values is a record set of one batch with the given values.
func values(vs ...string) []byte {
	w := record.NewBuilder(record.None)
	for _, v := range vs {
		w.Add(time.Now().UnixMilli(), nil, []byte(v))
	}
	return w.Build()
}

// produceTo is a Produce request of one record set.
func produceTo(topic string, partition int32, acks int16, set []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, int32(patience.Milliseconds())
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, set
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	req.Topics = append(req.Topics, rt)
	return req
}

// produced sends values with acks 1 and returns the base offset.
func (c *client) produced(topic string, partition int32, vs ...string) int64 {
	c.t.Helper()
	p := ask[*kmsg.ProduceResponse](c, produceTo(topic, partition, 1, values(vs...))).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.t.Fatalf("producing to %s-%d: %v", topic, partition, protocol.ErrorCode(p.ErrorCode))
	}
	return p.BaseOffset
}

// fetchPartitions is a sessionless Fetch of partitions 0 to n-1 of a topic from offset 0 that does not wait.
func fetchPartitions(topic string, n int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, -1, 1, 50<<20, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	for i := range n {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = i, 1<<20
		rt.Partitions = append(rt.Partitions, p)
	}
	req.Topics = append(req.Topics, rt)
	return req
}

// recordValues lists "offset:value" of all records in a set.
func recordValues(t testing.TB, set []byte) []string {
	t.Helper()
	var list []string
	for len(set) > 0 {
		b, rest, err := record.Split(set)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Each(1<<20, func(r record.Record) error {
			list = append(list, fmt.Sprintf("%d:%s", b.BaseOffset()+int64(r.OffsetDelta), r.Value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		set = rest
	}
	return list
}

// eventually polls for what no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

var ourGoroutine = regexp.MustCompile(`gregor/|go-zookeeper`)

// goroutines lists the stacks of the goroutines that run code of this module, or of the ZooKeeper client, apart from tests and the test's ZooKeeper.
func goroutines() []string {
	buf := make([]byte, 8<<20)
	var list []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if ourGoroutine.MatchString(stack) && !strings.Contains(stack, "zktest") && !strings.Contains(stack, "testing.tRunner") && !strings.Contains(stack, "testing.(*T)") {
			list = append(list, stack)
		}
	}
	return list
}

// openFiles lists what this process has open below dir.
func openFiles(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, dir) {
			list = append(list, target)
		}
	}
	return list
}
