package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gregor/integration/stock"
)

// ApacheVersion is the release that gregor is compared with, and whose jars bring the ZooKeeper server.
const ApacheVersion = "3.9.2"

// defaultTickMs is short, so that sessions can be: two ticks are the shortest session.
const defaultTickMs = 500

// ZooKeeper is one running ZooKeeper server.
type ZooKeeper struct {
	Addr    string // host:port
	proc    *process
	release *stock.Release
	config  string // its properties file
	chroots atomic.Int32
}

// StartZooKeeper starts a server that ends with the test.
func StartZooKeeper(t testing.TB) *ZooKeeper {
	t.Helper()
	return StartZooKeeperTick(t, defaultTickMs)
}

// StartZooKeeperTick is StartZooKeeper with another tick, in milliseconds.
func StartZooKeeperTick(t testing.TB, tickMs int) *ZooKeeper {
	t.Helper()
	z, err := startZooKeeper(tempDir(t, "zookeeper"), tickMs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.proc.kill)
	return z
}

var zookeeperReady = regexp.MustCompile(`binding to port|PrepRequestProcessor \(sid:0\) started`)

func startZooKeeper(dir string, tickMs int) (*ZooKeeper, error) {
	var lastErr error
	for range 3 { // another process may take the port between its choice and its use
		z, err := tryStartZooKeeper(dir, tickMs)
		if err == nil {
			return z, nil
		}
		lastErr = err
	}
	return nil, lastErr
}

func tryStartZooKeeper(dir string, tickMs int) (*ZooKeeper, error) {
	release, err := stock.Install(context.Background(), ApacheVersion)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	z := &ZooKeeper{Addr: fmt.Sprintf("127.0.0.1:%d", port), release: release, config: filepath.Join(dir, "zookeeper.properties")}
	if err := os.WriteFile(z.config, []byte(zookeeperConfig(filepath.Join(dir, "data"), port, tickMs)), 0o644); err != nil {
		return nil, err
	}
	if err := z.launch(); err != nil {
		return nil, err
	}
	if err := z.proc.output.waitFor(zookeeperReady, 30*time.Second); err != nil {
		z.proc.kill()
		return nil, fmt.Errorf("ZooKeeper: %w\n%s", err, tail(z.proc.output.String(), 30))
	}
	deadline := time.Now().Add(30 * time.Second)
	for !stock.Serving(z.Addr) {
		if time.Now().After(deadline) {
			z.proc.kill()
			return nil, fmt.Errorf("ZooKeeper does not serve\n%s", tail(z.proc.output.String(), 30))
		}
		time.Sleep(50 * time.Millisecond)
	}
	return z, nil
}

func zookeeperConfig(data string, port, tickMs int) string {
	return fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\ntickTime=%d\nminSessionTimeout=%d\nmaxSessionTimeout=60000\n",
		data, port, tickMs, 2*tickMs)
}

// launch starts the process and returns at once.
func (z *ZooKeeper) launch() (err error) {
	jvm := stock.JVM{Heap: "96M", Log: "INFO", Options: []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"}}
	cmd, err := z.release.Command(context.Background(), jvm, "zookeeper-server", z.config)
	if err != nil {
		return err
	}
	z.proc, err = startProcess(cmd)
	return err
}

// Chroot is a connect string into a part of the tree that nobody else uses. The broker makes the node itself.
func (z *ZooKeeper) Chroot() string {
	return fmt.Sprintf("%s/cluster-%d", z.Addr, z.chroots.Add(1))
}

// Pause stops the server's process until Resume: to a broker, an ensemble that does not answer.
func (z *ZooKeeper) Pause(t testing.TB) { z.signal(t, syscall.SIGSTOP) }

// Resume ends a Pause.
func (z *ZooKeeper) Resume(t testing.TB) { z.signal(t, syscall.SIGCONT) }

func (z *ZooKeeper) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := z.proc.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// FourLetterWord sends one of ZooKeeper's administrative words (ruok, dump, stat, ...) and returns the answer.
func (z *ZooKeeper) FourLetterWord(word string) (string, error) {
	return stock.FourLetterWord(z.Addr, word)
}

// freePort finds a port that nobody listens on right now.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
