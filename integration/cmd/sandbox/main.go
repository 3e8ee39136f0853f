// Sandbox starts a real ZooKeeper and one gregor broker on this machine and stops both on Ctrl-C; "make run" is this.
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
	"syscall"
	"time"

	"gregor/integration/stock"
)

// release is the one whose jars bring the ZooKeeper server, and whose tools the hints name.
const release = "3.9.2"

func main() {
	gregor := flag.String("gregor", "../bin/gregor", "the gregor binary")
	data := flag.String("data", "../data", "folder for all data; it is kept")
	broker := flag.String("broker", "127.0.0.1:9092", "address of the broker")
	zookeeper := flag.String("zookeeper", "127.0.0.1:2181", "address of ZooKeeper")
	flag.Parse()
	if err := run(*gregor, *data, *broker, *zookeeper); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(gregor, data, brokerAddr, zookeeperAddr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	gregor, err = filepath.Abs(gregor)
	if err != nil {
		return err
	}
	properties, err := writeConfigs(data, brokerAddr, zookeeperAddr)
	if err != nil {
		return err
	}
	kafka, err := stock.Install(ctx, release)
	if err != nil {
		return err
	}
	zk, err := kafka.Command(context.Background(), stock.JVM{Heap: "128M", Log: "WARN"}, "zookeeper-server", filepath.Join(data, "zookeeper.properties"))
	if err != nil {
		return err
	}
	zookeeper, err := start(zk)
	if err != nil {
		return err
	}
	defer zookeeper.stop()
	if err := zookeeper.await(ctx, func() bool { return stock.Serving(zookeeperAddr) }); err != nil {
		return fmt.Errorf("ZooKeeper: %w", err)
	}
	broker, err := start(exec.Command(gregor, "server", properties))
	if err != nil {
		return err
	}
	defer broker.stop()
	if err := broker.await(ctx, func() bool { return accepts(brokerAddr) }); err != nil {
		return fmt.Errorf("gregor: %w", err)
	}
	printHints(brokerAddr, zookeeperAddr, data)
	select {
	case <-ctx.Done():
		return nil
	case <-broker.done:
		return fmt.Errorf("gregor ended by itself: %v", broker.cmd.ProcessState)
	case <-zookeeper.done:
		return fmt.Errorf("ZooKeeper ended by itself: %v", zookeeper.cmd.ProcessState)
	}
}

// writeConfigs leaves a server.properties alone that is there already: it is the user's to change.
func writeConfigs(data, broker, zookeeper string) (properties string, err error) {
	host, port, err := net.SplitHostPort(zookeeper)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=%s\nmaxClientCnxns=0\n", filepath.Join(data, "zookeeper"), port, host)
	if err := os.WriteFile(filepath.Join(data, "zookeeper.properties"), []byte(text), 0o644); err != nil {
		return "", err
	}
	properties = filepath.Join(data, "server.properties")
	if _, err := os.Stat(properties); err == nil {
		return properties, nil
	}
	text = fmt.Sprintf("broker.id=0\nlisteners=PLAINTEXT://%s\nlog.dirs=%s\nzookeeper.connect=%s\n"+
		"offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"+
		"group.initial.rebalance.delay.ms=0\n", broker, filepath.Join(data, "logs"), zookeeper)
	return properties, os.WriteFile(properties, []byte(text), 0o644)
}

func printHints(broker, zookeeper, data string) {
	fmt.Printf(`
gregor listens on %[1]s, ZooKeeper on %[2]s; data and server.properties are in %[3]s.
Try it from another terminal, in the folder integration:

  go run ./cmd/stock %[4]s topics --bootstrap-server %[1]s --create --topic hello --partitions 3
  echo world | go run ./cmd/stock %[4]s console-producer --bootstrap-server %[1]s --topic hello
  go run ./cmd/stock %[4]s console-consumer --bootstrap-server %[1]s --topic hello --from-beginning --max-messages 1

Ctrl-C stops both.

`, broker, zookeeper, data, release)
}

// child is a process in a group of its own, so that Ctrl-C reaches it only through stop, in the right order.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func start(cmd *exec.Cmd) (*child, error) {
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// await returns once the process is ready, or says why it will not be.
func (c *child) await(ctx context.Context, ready func() bool) error {
	deadline := time.After(30 * time.Second)
	for !ready() {
		select {
		case <-c.done:
			return fmt.Errorf("it ended: %v", c.cmd.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return errors.New("not ready after 30 seconds")
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
