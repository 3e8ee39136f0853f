package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gregor/integration/harness"
	"gregor/integration/stock"
)

// A keeper is one server of the ZooKeeper ensemble.
type keeper struct {
	host
	id     int
	config string
	log    string // file with everything it printed
	cmd    *exec.Cmd
	done   chan struct{}
}

// addr is where clients of the ensemble connect.
func (k *keeper) addr() string { return k.ip + ":2181" }

// makeEnsemble prepares and starts the servers; it returns when each serves.
func makeEnsemble(dir string, hosts []host) ([]*keeper, error) {
	var members strings.Builder
	for i, h := range hosts {
		fmt.Fprintf(&members, "server.%d=%s:2888:3888\n", i+1, h.ip)
	}
	var keepers []*keeper
	for i, h := range hosts {
		k := &keeper{host: h, id: i + 1}
		home := filepath.Join(dir, h.name)
		k.config, k.log = filepath.Join(home, "zookeeper.properties"), filepath.Join(home, "zookeeper.log")
		text := fmt.Sprintf("dataDir=%s\nclientPort=2181\nclientPortAddress=%s\nmaxClientCnxns=0\ntickTime=%d\ninitLimit=20\nsyncLimit=4\n"+
			"minSessionTimeout=%d\nmaxSessionTimeout=60000\ncnxTimeout=1000\n%s", filepath.Join(home, "data"), h.ip, tickMs, 2*tickMs, members.String())
		if err := os.MkdirAll(filepath.Join(home, "data"), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(home, "data", "myid"), fmt.Append(nil, k.id), 0o644); err != nil {
			return nil, err
		}
		if err := os.WriteFile(k.config, []byte(text), 0o644); err != nil {
			return nil, err
		}
		if err := k.start(); err != nil {
			return nil, err
		}
		keepers = append(keepers, k)
	}
	return keepers, awaitServing(keepers)
}

func (k *keeper) start() error {
	release, err := stock.Install(context.Background(), harness.ApacheVersion)
	if err != nil {
		return err
	}
	jvm := stock.JVM{Heap: "96M", Log: "INFO", Options: []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"}}
	java, err := release.Command(context.Background(), jvm, "zookeeper-server", k.config)
	if err != nil {
		return err
	}
	output, err := os.OpenFile(k.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer output.Close()
	line := append(k.enter(), java.Args...)
	k.cmd, k.done = exec.Command(line[0], line[1:]...), make(chan struct{})
	k.cmd.Stdout, k.cmd.Stderr = output, output
	if err := k.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(k.cmd, k.done)
	return nil
}

func (k *keeper) kill() {
	_ = k.cmd.Process.Signal(syscall.SIGKILL)
	<-k.done
}

func (k *keeper) running() bool {
	select {
	case <-k.done:
		return false
	default:
		return true
	}
}

// leads says whether the server leads the ensemble now.
func (k *keeper) leads() bool {
	answer, err := stock.FourLetterWord(k.addr(), "srvr")
	return err == nil && strings.Contains(answer, "Mode: leader")
}

// keeperStart is how long a ZooKeeper server may take to start. No rule is about that.
const keeperStart = 2 * time.Minute

func awaitServing(keepers []*keeper) error {
	deadline := time.Now().Add(keeperStart)
	for _, k := range keepers {
		for !stock.Serving(k.addr()) {
			if time.Now().After(deadline) {
				return errors.New("the ZooKeeper server " + k.name + " does not serve; see " + k.log)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}
