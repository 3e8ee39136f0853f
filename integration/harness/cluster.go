package harness

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Cluster is several brokers, of either kind, on one ZooKeeper.
type Cluster struct {
	Connect string    // zookeeper.connect
	Tree    *Tree     // its znodes
	Brokers []*Broker // broker ids 1, 2, ... in order

	t testing.TB
}

// NewCluster prepares one broker of each kind. Settings are lines of server.properties for all of them, over the harness's own, which make sessions,
// lags and retries short enough for tests.
func NewCluster(t testing.TB, connect string, kinds []Kind, settings ...string) *Cluster {
	t.Helper()
	replicas := min(3, len(kinds))
	all := append([]string{
		"zookeeper.session.timeout.ms=6000",
		"replica.lag.time.max.ms=6000",
		"controlled.shutdown.retry.backoff.ms=500",
		"controller.socket.timeout.ms=10000",
		"auto.leader.rebalance.enable=false",
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		fmt.Sprintf("transaction.state.log.replication.factor=%d", replicas),
	}, settings...)
	c := &Cluster{Connect: connect, Tree: ZooKeeperTree(t, connect), t: t}
	for i, kind := range kinds {
		b := NewBroker(t, kind, connect, append(slices.Clone(all), "broker.id="+strconv.Itoa(i+1))...)
		b.Heap = "256M"
		c.Brokers = append(c.Brokers, b)
	}
	return c
}

// StartCluster prepares a cluster, starts its brokers and waits until each knows all of them.
func StartCluster(t testing.TB, connect string, kinds []Kind, settings ...string) *Cluster {
	t.Helper()
	c := NewCluster(t, connect, kinds, settings...)
	c.Start()
	return c
}

// In makes a subtest's failures its own for as long as it runs.
func (c *Cluster) In(t testing.TB) {
	before := c.t
	set := func(t testing.TB) {
		c.t, c.Tree.t = t, t
		for _, b := range c.Brokers {
			b.t = t
		}
	}
	set(t)
	t.Cleanup(func() { set(before) })
}

// Start starts every broker that does not run and waits until each knows all of them. The first goes ahead: it makes the tree.
func (c *Cluster) Start() {
	c.t.Helper()
	if !c.Brokers[0].Running() {
		c.Brokers[0].Start()
	}
	var starting []*Broker
	for _, b := range c.Brokers[1:] {
		if !b.Running() {
			b.Launch()
			starting = append(starting, b)
		}
	}
	for _, b := range starting {
		b.awaitStarted()
	}
	c.AwaitAgreement()
}

// Broker is the one with that id.
func (c *Cluster) Broker(id int32) *Broker { return c.Brokers[id-1] }

// ID is the broker's id.
func (b *Broker) ID() int32 {
	id, err := strconv.ParseInt(b.Set["broker.id"], 10, 32)
	if err != nil {
		b.t.Fatal(err)
	}
	return int32(id)
}

// Running lists the brokers whose process runs.
func (c *Cluster) Running() []*Broker {
	return slices.DeleteFunc(slices.Clone(c.Brokers), func(b *Broker) bool { return !b.Running() })
}

// Of lists the ids of the brokers of a kind, in order.
func (c *Cluster) Of(kind Kind) []int32 {
	var ids []int32
	for _, b := range c.Brokers {
		if b.Kind == kind {
			ids = append(ids, b.ID())
		}
	}
	return ids
}

// Addrs are the addresses of all brokers, running or not.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		addrs[i] = b.Addr
	}
	return addrs
}

// Client is a franz-go client of the whole cluster, closed at the test's end.
func (c *Cluster) Client(options ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	// A broker that is stopping may close a connection before its first answer, in which kgo sees a missing SASL and gives up unless told otherwise.
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Addrs()...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.AlwaysRetryEOF()}, options...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(client.Close)
	return client
}

// CreateTopic makes a topic with these replicas per partition and waits until every running broker knows it.
func (c *Cluster) CreateTopic(topic string, assignment [][]int32, configs map[string]string) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	for p, replicas := range assignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), replicas
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	}
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, kmsg.StringPtr(configs[key])
		rt.Configs = append(rt.Configs, config)
	}
	req.Topics = append(req.Topics, rt)
	client := c.Client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		c.t.Fatalf("creating %s: %v", topic, err)
	}
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.t.Fatalf("creating %s: code %d, %s", topic, code, deref(resp.Topics[0].ErrorMessage))
	}
	c.AwaitAgreement()
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Pause stops the process until Resume: to everybody else, a broker that hangs. It returns when every thread stands: one that runs on for some milliseconds on the other CPU
// can still win an election, and hold it until its session ends.
func (b *Broker) Pause() {
	b.t.Helper()
	b.Signal(syscall.SIGSTOP)
	Eventually(b.t, 10*time.Second, func() error { return stands(b.proc.cmd.Process.Pid) })
}

// stands says which thread of a process has not stopped yet.
func stands(pid int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return err
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if _, fields, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " "); ok && !strings.ContainsAny(fields[:1], "TtZX") {
			return fmt.Errorf("%s: state %s", path, fields[:1])
		}
	}
	return nil
}

// Resume ends a Pause.
func (b *Broker) Resume() { b.Signal(syscall.SIGCONT) }

// PauseAllBut pauses every running broker but one, until the returned function is called, which may be called again.
func (c *Cluster) PauseAllBut(id int32) (resume func()) {
	c.t.Helper()
	var paused []*Broker
	for _, b := range c.Running() {
		if b.ID() != id {
			b.Pause()
			paused = append(paused, b)
		}
	}
	return sync.OnceFunc(func() {
		for _, b := range paused {
			b.Resume()
		}
	})
}

// MoveController makes a broker the controller: the others are paused for the moment in which /controller is free.
func (c *Cluster) MoveController(to int32) {
	c.t.Helper()
	if c.Controller() == to {
		return
	}
	wake := c.PauseAllBut(to)
	defer wake()
	c.Tree.Delete("/controller")
	Eventually(c.t, 30*time.Second, func() error {
		if id := c.Controller(); id != to {
			return fmt.Errorf("the controller is %d, not %d", id, to)
		}
		return nil
	})
	wake()
	c.AwaitAgreement()
}

// Eventually is the function of that name, with the cluster's test.
func (c *Cluster) Eventually(timeout time.Duration, condition func() error) {
	c.t.Helper()
	Eventually(c.t, timeout, condition)
}
