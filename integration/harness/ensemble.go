package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gregor/integration/stock"
)

// An Ensemble is several ZooKeeper servers that need more than half of them to serve.
type Ensemble struct {
	Servers []*ZooKeeper
	Connect string // all addresses, without a chroot
}

// StartEnsemble starts n servers that end with the test, and returns when each serves.
func StartEnsemble(t testing.TB, n int) *Ensemble {
	t.Helper()
	var errs []error
	for range 3 { // another process may take a port between its choice and its use
		e, err := newEnsemble(tempDir(t, "zookeeper"), n)
		if err != nil {
			t.Fatal(err)
		}
		if err = e.start(); err == nil {
			t.Cleanup(e.kill)
			return e
		}
		e.kill()
		errs = append(errs, err)
	}
	t.Fatal(errors.Join(errs...))
	return nil
}

// newEnsemble writes the servers' folders.
func newEnsemble(dir string, n int) (*Ensemble, error) {
	release, err := stock.Install(context.Background(), ApacheVersion)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3 * n) // each server's for clients, for the ensemble and for its elections
	if err != nil {
		return nil, err
	}
	members, addrs := "initLimit=20\nsyncLimit=10\n", make([]string, n)
	for i := range n {
		members += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", i+1, ports[3*i+1], ports[3*i+2])
		addrs[i] = fmt.Sprintf("127.0.0.1:%d", ports[3*i])
	}
	e := &Ensemble{Connect: strings.Join(addrs, ",")}
	for i, addr := range addrs {
		home := filepath.Join(dir, strconv.Itoa(i+1))
		data := filepath.Join(home, "data")
		z := &ZooKeeper{Addr: addr, release: release, config: filepath.Join(home, "zookeeper.properties")}
		e.Servers = append(e.Servers, z)
		err := errors.Join(os.MkdirAll(data, 0o755),
			os.WriteFile(filepath.Join(data, "myid"), []byte(strconv.Itoa(i+1)), 0o644),
			os.WriteFile(z.config, []byte(zookeeperConfig(data, ports[3*i], defaultTickMs)+members), 0o644))
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// freePorts finds n different ports that nobody listens on right now.
func freePorts(n int) (ports []int, err error) {
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // only when all are found: they differ
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (e *Ensemble) start() error {
	for _, z := range e.Servers {
		if err := z.launch(); err != nil {
			return err
		}
	}
	for _, z := range e.Servers {
		if err := z.awaitServing(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Ensemble) kill() {
	for _, z := range e.Servers {
		if z.proc != nil {
			z.proc.kill()
		}
	}
}

// LoseQuorum kills servers with kill -9, the one that leads among them, until those that are left are too few to serve; it returns the killed.
func (e *Ensemble) LoseQuorum(t testing.TB) (killed []*ZooKeeper) {
	t.Helper()
	leads := func(z *ZooKeeper) bool {
		answer, err := z.FourLetterWord("srvr")
		return err == nil && strings.Contains(answer, "Mode: leader")
	}
	var followers []*ZooKeeper
	for _, z := range e.Servers {
		if leads(z) {
			killed = append(killed, z)
		} else {
			followers = append(followers, z)
		}
	}
	if len(killed) != 1 {
		t.Fatalf("%d of %d ZooKeeper servers lead", len(killed), len(e.Servers))
	}
	for len(killed) <= len(e.Servers)/2 {
		killed = append(killed, followers[0])
		followers = followers[1:]
	}
	for _, z := range killed {
		z.proc.kill()
	}
	return killed
}

// Restart starts a killed server of an ensemble again and waits until it serves, which it does as part of a quorum.
func (z *ZooKeeper) Restart(t testing.TB) {
	t.Helper()
	if err := z.launch(); err != nil {
		t.Fatal(err)
	}
	if err := z.awaitServing(); err != nil {
		t.Fatal(err)
	}
}

func (z *ZooKeeper) awaitServing() error {
	for deadline := time.Now().Add(30 * time.Second); !stock.Serving(z.Addr); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("ZooKeeper %s does not serve\n%s", z.Addr, tail(z.proc.output.String(), 30))
		}
	}
	return nil
}
