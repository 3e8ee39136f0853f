// Sandbox starts a real ZooKeeper and one or more gregor brokers on this machine and stops all on Ctrl-C; "make run" and "make cluster" are this.
// What they log goes to files in the data folder, so that the terminal keeps what to try next.
package main

import (
	"context"
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
	zookeeper, err := s.start("ZooKeeper", "zookeeper.log", cmd)
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
		broker, err := s.start(fmt.Sprintf("broker %d", id), "server"+s.suffix(id)+".log", exec.Command(s.gregor, "server", properties))
		if err != nil {
			return err
		}
		defer broker.stop()
		serves := func() bool { return exec.CommandContext(ctx, s.gregor, "healthcheck", addr).Run() == nil }
		if err := broker.await(ctx, serves); err != nil {
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
				return c.hasEnded()
			}
			fmt.Println(c.hasEnded())
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

// suffix tells the files of one broker from those of the others.
func (s *sandbox) suffix(id int) string {
	if len(s.brokers) == 1 {
		return ""
	}
	return fmt.Sprintf("-%d", id)
}

// writeProperties leaves a broker's server.properties alone that is there already: it is the user's to change.
func (s *sandbox) writeProperties(id int) (path string, err error) {
	replicas, inSync := min(len(s.brokers), 3), min(len(s.brokers), 2)
	path = filepath.Join(s.data, "server"+s.suffix(id)+".properties")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	text := fmt.Sprintf("broker.id=%d\nlisteners=PLAINTEXT://%s\nlog.dirs=%s\nzookeeper.connect=%s\n"+
		"default.replication.factor=%[5]d\nmin.insync.replicas=%[6]d\n"+
		"offsets.topic.replication.factor=%[5]d\ntransaction.state.log.replication.factor=%[5]d\ntransaction.state.log.min.isr=%[6]d\n"+
		"group.initial.rebalance.delay.ms=0\ncontrolled.shutdown.retry.backoff.ms=200\n", id, s.brokers[id], filepath.Join(s.data, "logs"+s.suffix(id)), s.zookeeper, replicas, inSync)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func (s *sandbox) printHints() {
	fmt.Printf(`
gregor listens on %[1]s, ZooKeeper on %[2]s.
Data, server*.properties and what they log (server*.log, zookeeper.log) are in %[3]s.
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
	log  string // the file with its output, which is kept from one start to the next
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func (s *sandbox) start(name, logName string, cmd *exec.Cmd) (*child, error) {
	c := &child{name: name, log: filepath.Join(s.data, logName), cmd: cmd, done: make(chan struct{})}
	output, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// hasEnded says how the process ended, which nobody asked it to, and where it may have said why.
func (c *child) hasEnded() error {
	return fmt.Errorf("%s ended (%v), see %s", c.name, c.cmd.ProcessState, c.log)
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
			return c.hasEnded()
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("%s was not ready after 30 seconds, see %s", c.name, c.log)
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
