package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// Times of the cluster, short so that rounds are.
const (
	tickMs         = 500
	sessionTimeout = 4 * time.Second // zookeeper.session.timeout.ms
	replicaLag     = 3 * time.Second // replica.lag.time.max.ms
)

const brokerPort = 9092

// brokerCount brokers are the cluster; one more is there for reassignments to move to, and runs only then.
const brokerCount = 3

// A node is one broker with its namespace and its disk.
type node struct {
	host
	*harness.Broker
	id     int32
	disk   disk
	client *kgo.Client // talks to this broker only
	log    string      // file with what its earlier lives printed
	lives  int         // how often it was started
	wanted bool        // whether it is to run when nothing is wrong
	paused bool
}

// A cluster is the brokers under test, with the ensemble they use.
type cluster struct {
	keepers []*keeper
	nodes   []*node // by id - 1
	tree    *tree
	client  *kgo.Client // for administration
	admin   *kadm.Client
}

// A site is the network with its ZooKeeper ensemble, on which clusters come and go.
type site struct {
	dir     string
	hosts   []host // of the brokers
	keepers []*keeper
	made    int  // clusters so far
	keep    bool // whether dir stays
}

// sharedSite is the one site of the process: its network can be made only once.
func sharedSite(t *testing.T) *site {
	t.Helper()
	s, err := theSite()
	if err != nil {
		t.Fatal("chaos needs root, network namespaces, ip, nsenter, mount and mkfs.ext4: ", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.keep = true
			t.Logf("kept: %s", s.dir)
		}
	})
	return s
}

var theSite = sync.OnceValues(func() (*site, error) {
	dir, err := os.MkdirTemp("", "gregor-chaos-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir}
	ending = s.end
	return s, s.build()
})

// ending is what is left to do when all tests are over.
var ending = func() {}

func (s *site) end() {
	for _, k := range s.keepers {
		k.kill()
	}
	if s.keep {
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
}

func (s *site) build() error {
	if err := makeBridge(); err != nil {
		return err
	}
	var keeperHosts []host
	for i := range 3 {
		h, err := makeHost(fmt.Sprintf("zk%d", i+1), fmt.Sprintf("10.77.0.%d", 11+i))
		if err != nil {
			return err
		}
		keeperHosts = append(keeperHosts, h)
	}
	for i := range brokerCount + 1 {
		h, err := makeHost(fmt.Sprintf("b%d", i+1), fmt.Sprintf("10.77.0.%d", 1+i))
		if err != nil {
			return err
		}
		s.hosts = append(s.hosts, h)
	}
	var err error
	s.keepers, err = makeEnsemble(s.dir, keeperHosts)
	return err
}

// newCluster starts a cluster of its own chroot and empty disks; it ends with t.
func (s *site) newCluster(t *testing.T) *cluster {
	t.Helper()
	s.made++
	var addrs []string
	for _, k := range s.keepers {
		addrs = append(addrs, k.addr())
	}
	chroot := fmt.Sprintf("/cluster-%d", s.made)
	c := &cluster{keepers: s.keepers}
	conn, _, err := zk.Connect(addrs, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	c.tree = &tree{conn, chroot}
	for i, h := range s.hosts {
		c.nodes = append(c.nodes, s.newNode(t, h, int32(i+1), strings.Join(addrs, ",")+chroot))
	}
	for _, n := range c.nodes[:brokerCount] {
		n.wanted = true
		n.launch()
	}
	for _, n := range c.nodes[:brokerCount] {
		if err := n.awaitStarted(); err != nil {
			t.Fatal(err)
		}
	}
	if c.client, err = kgo.NewClient(append(patience(), kgo.SeedBrokers(c.seeds()...))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	c.admin = kadm.NewClient(c.client)
	return c
}

func (s *site) newNode(t *testing.T, h host, id int32, connect string) *node {
	t.Helper()
	name := fmt.Sprintf("%s-%d", h.name, s.made)
	d, err := makeDisk(filepath.Join(s.dir, name+".img"), filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.unmount(); err != nil {
			t.Errorf("unmounting %s: %v", d.dir, err)
		}
	})
	logs := filepath.Join(d.dir, "logs")
	settings := map[string]string{
		"zookeeper.session.timeout.ms":            fmt.Sprint(sessionTimeout.Milliseconds()),
		"zookeeper.connection.timeout.ms":         "30000",
		"replica.lag.time.max.ms":                 fmt.Sprint(replicaLag.Milliseconds()),
		"replica.fetch.wait.max.ms":               "200",
		"replica.socket.timeout.ms":               "5000",
		"controller.socket.timeout.ms":            "5000",
		"request.timeout.ms":                      "5000",
		"default.replication.factor":              "3",
		"min.insync.replicas":                     "2",
		"offsets.topic.num.partitions":            fmt.Sprint(offsetsPartitions),
		"offsets.topic.replication.factor":        "3",
		"transaction.state.log.min.isr":           "2",
		"leader.imbalance.check.interval.seconds": "10",
		"auto.create.topics.enable":               "false",
		"num.network.threads":                     "2",
		"num.io.threads":                          "4",
	}
	if *protocol != "" {
		settings["inter.broker.protocol.version"] = *protocol
	}
	var lines []string
	for key, value := range settings {
		lines = append(lines, key+"="+value)
	}
	b := harness.NewBroker(t, harness.DefaultKind(), connect, lines...)
	b.Addr, b.LogDir, b.Prefix = fmt.Sprintf("%s:%d", h.ip, brokerPort), logs, h.enter()
	b.Set["broker.id"], b.Set["listeners"], b.Set["log.dirs"] = fmt.Sprint(id), "PLAINTEXT://"+b.Addr, logs
	n := &node{host: h, Broker: b, id: id, disk: d, log: filepath.Join(s.dir, name+".log")}
	if n.client, err = kgo.NewClient(append(patience(), kgo.SeedBrokers(b.Addr))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.client.Close)
	return n
}

// patience is what every franz-go client here has of it: little, since servers go away.
func patience() []kgo.Opt {
	return []kgo.Opt{
		kgo.Dialer(dial), kgo.RequestTimeoutOverhead(3 * time.Second), kgo.MetadataMinAge(200 * time.Millisecond), kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.RetryTimeout(10 * time.Second),
	}
}

func (c *cluster) seeds() []string {
	var list []string
	for _, n := range c.nodes[:brokerCount] {
		list = append(list, n.Addr)
	}
	return list
}

func (n *node) String() string { return fmt.Sprintf("broker %d", n.id) }

func (n *node) awaitStarted() error {
	if err := n.WaitLog(harness.Started, limit); err != nil {
		return fmt.Errorf("%v did not start: %w", n, err)
	}
	return nil
}

// start starts a broker that does not run. While the registration of its last life stands, a broker may end again: then start does what a supervisor
// does.
func (n *node) start() error {
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		if err := n.saveLog(); err != nil {
			return err
		}
		n.launch()
		err := n.awaitStarted()
		if err == nil || n.Running() || time.Now().After(deadline) || !strings.Contains(n.Log(), "NodeExists") {
			return err
		}
	}
}

func (n *node) launch() {
	n.lives++
	n.Launch()
}

// saveLog adds what the last life printed to the node's log file.
func (n *node) saveLog() error {
	file, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if n.lives > 0 {
		fmt.Fprintf(file, "%s\n--- the end of a life ---\n", n.Log())
	}
	return file.Close()
}

func (n *node) pause()  { n.Signal(syscall.SIGSTOP); n.paused = true }
func (n *node) resume() { n.Signal(syscall.SIGCONT); n.paused = false }

// stop ends the broker with SIGTERM: a controlled shutdown.
func (n *node) stop() error {
	n.Signal(syscall.SIGTERM)
	for deadline := time.Now().Add(limit); n.Running(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%v does not stop", n)
		}
	}
	return nil
}

// powerFails is what a machine without power does: nothing that was not synced stays, and nobody is told. So the process stops before its disk fails: it would take the
// directory offline, and say so to the controller.
func (n *node) powerFails() error {
	n.Signal(syscall.SIGSTOP)
	err := n.disk.powerFails()
	n.Kill()
	return errors.Join(err, n.disk.unmount(), n.disk.mount())
}

// others is the hosts of every server but n.
func (c *cluster) others(n *node) []host { return append(c.peers(n), c.ensemble()...) }

// peers is the hosts of every broker but n.
func (c *cluster) peers(n *node) []host {
	var list []host
	for _, other := range c.nodes {
		if other != n {
			list = append(list, other.host)
		}
	}
	return list
}

func (c *cluster) ensemble() []host {
	var list []host
	for _, k := range c.keepers {
		list = append(list, k.host)
	}
	return list
}

// heal makes good whatever a fault did: the network is whole, everybody awake, whoever should run runs.
func (c *cluster) heal() error {
	var failures []error
	for _, n := range c.nodes {
		failures = append(failures, n.heal())
		if n.paused {
			n.resume()
		}
	}
	for _, k := range c.keepers {
		failures = append(failures, k.heal())
		if !k.running() {
			failures = append(failures, k.start())
		}
	}
	failures = append(failures, awaitServing(c.keepers))
	for _, n := range c.nodes {
		if n.wanted && !n.Running() {
			failures = append(failures, n.start())
		}
	}
	return errors.Join(failures...)
}

// abandon ends a cluster that went wrong; its files stay.
func (c *cluster) abandon() {
	for _, n := range c.nodes {
		_ = n.heal()
		if n.Running() {
			n.Kill()
		}
		_ = n.saveLog()
		n.wanted, n.lives = false, 0
	}
}

// createTopic makes a topic and waits until it has leaders.
func (c *cluster) createTopic(ctx context.Context, topic string, replicas [][]int32, configs map[string]string) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	if err := c.create(ctx, topic, replicas, values); err != nil {
		return fmt.Errorf("creating %s: %w", topic, err)
	}
	return eventually(limit, func() error {
		for p := range replicas {
			if s, err := c.tree.state(topic, int32(p)); err != nil || s.Leader < 0 {
				return fmt.Errorf("%s-%d has no leader: %v", topic, p, err)
			}
		}
		return nil
	})
}

// eventually calls condition until it returns nil; its last error when it does not in time.
func eventually(timeout time.Duration, condition func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still after %v: %w", timeout, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
