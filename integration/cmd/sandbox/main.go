// Sandbox starts a real ZooKeeper and one or more gregor brokers on this machine and stops all on Ctrl-C; "make run" and "make cluster" are this.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gregor/integration/stock"
)

// release is the one whose jars bring the ZooKeeper server, and whose tools the hints name.
const release = "3.9.2"

// sandbox is what the flags say.
type sandbox struct {
	gregor    string   // the binary
	data      string   // folder for everything
	brokers   []string // addresses, in the order of broker ids
	zookeeper string   // address
}

func main() {
	gregor := flag.String("gregor", "../bin/gregor", "the gregor binary")
	data := flag.String("data", "../data", "folder for all data; it is kept")
	broker := flag.String("broker", "127.0.0.1:9092", "address of the broker; of more than one, the first: the others have the ports after it")
	count := flag.Int("brokers", 1, "how many brokers")
	zookeeper := flag.String("zookeeper", "127.0.0.1:2181", "address of ZooKeeper")
	flag.Parse()
	if err := newSandbox(*gregor, *data, *broker, *zookeeper, *count); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func newSandbox(gregor, data, broker, zookeeper string, count int) (err error) {
	s := sandbox{zookeeper: zookeeper}
	if s.data, err = filepath.Abs(data); err != nil {
		return err
	}
	if s.gregor, err = filepath.Abs(gregor); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(broker)
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(port)
	if err != nil || count < 1 {
		return fmt.Errorf("-broker %s -brokers %d: a host with the number of a port, and at least one broker", broker, count)
	}
	for i := range count {
		s.brokers = append(s.brokers, net.JoinHostPort(host, strconv.Itoa(first+i)))
	}
	return s.run()
}

func (s *sandbox) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, addr := range append([]string{s.zookeeper}, s.brokers...) {
		if accepts(addr) {
			return fmt.Errorf("something else listens on %s", addr)
		}
	}
	kafka, err := stock.Install(ctx, release)
	if err != nil {
		return err
	}
	config, err := s.writeZooKeeperConfig()
	if err != nil {
		return err
	}
	cmd, err := kafka.Command(context.Background(), stock.JVM{Heap: "128M", Log: "WARN"}, "zookeeper-server", config)
	if err != nil {
		return err
	}
	zookeeper, err := start("ZooKeeper", cmd)
	if err != nil {
		return err
	}
	defer zookeeper.stop()
	if err := zookeeper.await(ctx, func() bool { return stock.Serving(s.zookeeper) }); err != nil {
		return err
	}
	ended := make(chan *child)
	go zookeeper.tell(ended)
	for id, addr := range s.brokers {
		properties, err := s.writeProperties(id)
		if err != nil {
			return err
		}
		broker, err := start(fmt.Sprintf("broker %d", id), exec.Command(s.gregor, "server", properties))
		if err != nil {
			return err
		}
		defer broker.stop()
		if err := broker.await(ctx, func() bool { return accepts(addr) }); err != nil {
			return err
		}
		go broker.tell(ended)
	}
	s.printHints()
	// In a cluster a broker may end, by somebody's hand say: the others go on.
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-ended:
			if c == zookeeper || len(s.brokers) == 1 {
				return fmt.Errorf("%s ended by itself: %v", c.name, c.cmd.ProcessState)
			}
			fmt.Printf("%s ended: %v\n", c.name, c.cmd.ProcessState)
		}
	}
}

func (s *sandbox) writeZooKeeperConfig() (path string, err error) {
	host, port, err := net.SplitHostPort(s.zookeeper)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=%s\nmaxClientCnxns=0\n", filepath.Join(s.data, "zookeeper"), port, host)
	path = filepath.Join(s.data, "zookeeper.properties")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// writeProperties leaves a broker's server.properties alone that is there already: it is the user's to change.
func (s *sandbox) writeProperties(id int) (path string, err error) {
	suffix, replicas, inSync := "", len(s.brokers), 1
	if replicas > 1 {
		suffix, replicas, inSync = fmt.Sprintf("-%d", id), min(replicas, 3), 2
	}
	path = filepath.Join(s.data, "server"+suffix+".properties")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	text := fmt.Sprintf("broker.id=%d\nlisteners=PLAINTEXT://%s\nlog.dirs=%s\nzookeeper.connect=%s\n"+
		"default.replication.factor=%[5]d\nmin.insync.replicas=%[6]d\n"+
		"offsets.topic.replication.factor=%[5]d\ntransaction.state.log.replication.factor=%[5]d\ntransaction.state.log.min.isr=%[6]d\n"+
		"group.initial.rebalance.delay.ms=0\ncontrolled.shutdown.retry.backoff.ms=200\n", id, s.brokers[id], filepath.Join(s.data, "logs"+suffix), s.zookeeper, replicas, inSync)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func (s *sandbox) printHints() {
	fmt.Printf(`
gregor listens on %[1]s, ZooKeeper on %[2]s; data and server.properties are in %[3]s.
Try it from another terminal, in the folder integration:

  go run ./cmd/stock %[4]s topics --bootstrap-server %[5]s --create --topic hello --partitions 3
  echo world | go run ./cmd/stock %[4]s console-producer --bootstrap-server %[5]s --topic hello
  go run ./cmd/stock %[4]s console-consumer --bootstrap-server %[5]s --topic hello --from-beginning --max-messages 1
  go run ./cmd/stock %[4]s topics --bootstrap-server %[5]s --describe --topic hello

Ctrl-C stops everything.

`, strings.Join(s.brokers, ", "), s.zookeeper, s.data, release, s.brokers[0])
}

// child is a process in a group of its own, so that Ctrl-C reaches it only through stop, in the right order.
type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func start(name string, cmd *exec.Cmd) (*child, error) {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// tell says when the process has ended.
func (c *child) tell(ended chan<- *child) {
	<-c.done
	ended <- c
}

// await returns once the process is ready, or says why it will not be.
func (c *child) await(ctx context.Context, ready func() bool) error {
	deadline := time.After(30 * time.Second)
	for !ready() {
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %v", c.name, c.cmd.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return errors.New(c.name + " was not ready after 30 seconds")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// accepts says whether something accepts connections at addr.
func accepts(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// stop ends the process with SIGTERM, and with SIGKILL when that takes too long.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
