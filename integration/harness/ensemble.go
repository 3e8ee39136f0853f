package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gregor/integration/stock"
)

// An Ensemble is several ZooKeeper servers that form one.
type Ensemble struct {
	Servers []*ZooKeeper
	Connect string // all addresses, without a chroot
}

// StartEnsemble starts n servers that end with the test, and returns when each serves.
func StartEnsemble(t testing.TB, n int) *Ensemble {
	t.Helper()
	release, err := stock.Install(context.Background(), ApacheVersion)
	if err != nil {
		t.Fatal(err)
	}
	var ports []int // client, peer and election port of each
	for range 3 * n {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	var members strings.Builder
	for i := range n {
		fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, ports[3*i+1], ports[3*i+2])
	}
	e := &Ensemble{}
	var addrs []string
	for i := range n {
		z := &ZooKeeper{Addr: fmt.Sprintf("127.0.0.1:%d", ports[3*i]), release: release}
		dir := tempDir(t, fmt.Sprintf("zookeeper-%d", i+1))
		z.config = filepath.Join(dir, "zookeeper.properties")
		data := filepath.Join(dir, "data")
		text := zookeeperConfig(data, ports[3*i], defaultTickMs) + "initLimit=20\nsyncLimit=10\n" + members.String()
		if err := os.MkdirAll(data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(z.config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "myid"), []byte(strconv.Itoa(i+1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := z.launch(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { z.proc.kill() })
		e.Servers = append(e.Servers, z)
		addrs = append(addrs, z.Addr)
	}
	for _, z := range e.Servers {
		z.AwaitServing(t)
	}
	e.Connect = strings.Join(addrs, ",")
	return e
}

// Leader is the server that leads the ensemble now; nil when none says so.
func (e *Ensemble) Leader() *ZooKeeper {
	for _, z := range e.Servers {
		if text, err := z.FourLetterWord("srvr"); err == nil && strings.Contains(text, "Mode: leader") {
			return z
		}
	}
	return nil
}

// Kill ends the server's process with SIGKILL.
func (z *ZooKeeper) Kill() { z.proc.kill() }

// Restart starts the server of an Ensemble again after Kill, on the same data.
func (z *ZooKeeper) Restart(t testing.TB) {
	t.Helper()
	if err := z.launch(); err != nil {
		t.Fatal(err)
	}
}

// AwaitServing waits until the server answers; one of an ensemble answers while it belongs to a quorum.
func (z *ZooKeeper) AwaitServing(t testing.TB) {
	t.Helper()
	Eventually(t, 30*time.Second, func() error {
		if text, err := z.FourLetterWord("srvr"); err != nil || !strings.Contains(text, "Mode: ") {
			return fmt.Errorf("ZooKeeper %s: %q, %v\n%s", z.Addr, text, err, tail(z.proc.output.String(), 5))
		}
		return nil
	})
}
