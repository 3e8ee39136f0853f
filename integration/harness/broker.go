package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gregor/integration/stock"
)

// Kind says which program a broker is.
type Kind string

// The two kinds of brokers.
const (
	Gregor Kind = "gregor"
	Apache Kind = "apache"
)

// DefaultKind is the kind that tests are about: gregor, unless GREGOR_TEST_BROKER says apache.
func DefaultKind() Kind {
	if os.Getenv("GREGOR_TEST_BROKER") == string(Apache) {
		return Apache
	}
	return Gregor
}

// A Broker is a folder with a server.properties and log directories, and at most one running process on it. It may be
// started as one kind, stopped, and started again as the other: address, files and configuration stay the same.
type Broker struct {
	Kind    Kind              // what the next Start starts
	Addr    string            // 127.0.0.1:port
	Dir     string            // the broker's folder
	LogDir  string            // its only log directory, unless Settings names others
	Connect string            // zookeeper.connect
	Env     []string          // added to the environment of the process
	Prefix  []string          // a command put before the broker's own, for example prlimit
	Heap    string            // maximum heap of Apache Kafka's JVM
	Set     map[string]string // server.properties; written anew at every Start

	t    testing.TB
	proc *process
}

// NewBroker prepares a broker with id 0. Settings are lines of server.properties ("key=value") over the harness's own, which
// keep a single broker's internal topics small. Whatever runs at the test's end is killed.
func NewBroker(t testing.TB, kind Kind, connect string, settings ...string) *Broker {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t, string(kind))
	b := &Broker{
		Kind: kind, Addr: fmt.Sprintf("127.0.0.1:%d", port), Dir: dir, LogDir: filepath.Join(dir, "logs"), Connect: connect, Heap: "320M", t: t,
	}
	b.Set = map[string]string{
		"broker.id":                                "0",
		"listeners":                                "PLAINTEXT://" + b.Addr,
		"log.dirs":                                 b.LogDir,
		"zookeeper.connect":                        connect,
		"log.cleaner.dedupe.buffer.size":           "8388608", // Apache Kafka allocates it whole, twice over during a reconfiguration
		"offsets.topic.num.partitions":             "5",
		"offsets.topic.replication.factor":         "1",
		"transaction.state.log.num.partitions":     "5",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"group.initial.rebalance.delay.ms":         "0",
	}
	for _, line := range settings {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("setting %q is not key=value", line)
		}
		b.Set[key] = value
	}
	t.Cleanup(func() {
		if b.proc == nil {
			return
		}
		b.proc.kill()
		if t.Failed() {
			if err := os.WriteFile(filepath.Join(dir, "broker.log"), []byte(b.Log()), 0o644); err != nil {
				t.Error(err)
			}
			t.Logf("the last lines of %s (%s):\n%s", b.Kind, b.Addr, tail(b.Log(), 25))
		}
	})
	return b
}

// StartBroker prepares and starts a broker; the test fails if it does not come up.
func StartBroker(t testing.TB, kind Kind, connect string, settings ...string) *Broker {
	t.Helper()
	b := NewBroker(t, kind, connect, settings...)
	b.Start()
	return b
}

// Started is the line that a broker prints once, when every listener accepts.
var Started = regexp.MustCompile(`\[KafkaServer id=\d+\] started \(kafka\.server\.KafkaServer\)`)

// Start starts the process and returns when it has printed that it is up; the test fails if it does not within two minutes, which a busy machine may need for
// Apache Kafka.
func (b *Broker) Start() {
	b.t.Helper()
	b.Launch()
	b.awaitStarted()
}

func (b *Broker) awaitStarted() {
	b.t.Helper()
	if err := b.WaitLog(Started, 2*time.Minute); err != nil {
		b.t.Fatalf("%s did not start: %v\n%s", b.Kind, err, tail(b.Log(), 60))
	}
}

// Launch starts the process and returns at once.
func (b *Broker) Launch() {
	b.t.Helper()
	if b.Running() {
		b.t.Fatal("the broker is running already")
	}
	cmd, err := b.command()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), b.Env...)
	if b.proc, err = startProcess(cmd); err != nil {
		b.t.Fatal(err)
	}
}

func (b *Broker) command() (*exec.Cmd, error) {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(b.Set)) {
		fmt.Fprintf(&text, "%s=%s\n", key, b.Set[key])
	}
	properties := filepath.Join(b.Dir, "server.properties")
	if err := os.WriteFile(properties, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	line := slices.Clone(b.Prefix)
	switch b.Kind {
	case Gregor:
		binary, err := GregorBinary()
		if err != nil {
			return nil, err
		}
		line = append(line, binary, "server", properties)
	case Apache:
		release, err := stock.Install(context.Background(), ApacheVersion)
		if err != nil {
			return nil, err
		}
		jvm := stock.JVM{Heap: b.Heap, Log: "INFO", Options: []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}}
		java, err := release.Command(context.Background(), jvm, "server", properties)
		if err != nil {
			return nil, err
		}
		line = append(line, java.Args...)
	default:
		return nil, fmt.Errorf("no kind of broker is called %q", b.Kind)
	}
	return exec.Command(line[0], line[1:]...), nil
}

// Running says whether the process runs.
func (b *Broker) Running() bool {
	if b.proc == nil {
		return false
	}
	select {
	case <-b.proc.done:
		return false
	default:
		return true
	}
}

// PID is the process id of the last start.
func (b *Broker) PID() int { return b.proc.cmd.Process.Pid }

// Log is everything that the process of the last start printed, on both streams.
func (b *Broker) Log() string { return b.proc.output.String() }

// WaitLog waits until the process of the last start has printed something that matches; it also ends when the process does.
func (b *Broker) WaitLog(pattern *regexp.Regexp, timeout time.Duration) error {
	return b.proc.output.waitFor(pattern, timeout)
}

// Signal sends a signal to the process.
func (b *Broker) Signal(sig syscall.Signal) {
	b.t.Helper()
	if err := b.proc.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.t.Fatal(err)
	}
}

// Wait waits for the process to end and returns its exit code (128 + the signal's number after a signal).
func (b *Broker) Wait(timeout time.Duration) int {
	b.t.Helper()
	code, err := b.proc.wait(timeout)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", b.Kind, err, tail(b.Log(), 60))
	}
	return code
}

// Stop ends the process with SIGTERM and fails the test unless it ends cleanly.
func (b *Broker) Stop() {
	b.t.Helper()
	b.Signal(syscall.SIGTERM)
	clean := 0
	if b.Kind == Apache {
		clean = 128 + int(syscall.SIGTERM) // what a JVM makes of a handled SIGTERM
	}
	if code := b.Wait(time.Minute); code != clean {
		b.t.Fatalf("%s ended with %d, not %d\n%s", b.Kind, code, clean, tail(b.Log(), 60))
	}
}

// Kill ends the process with SIGKILL.
func (b *Broker) Kill() {
	b.Signal(syscall.SIGKILL)
	<-b.proc.done
}

// GregorBinary is the path of the gregor binary under test, built on first use.
var GregorBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("GREGOR_BIN"); path != "" {
		return filepath.Abs(path)
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gregor-test-binary-")
	if err != nil {
		return "", err
	}
	atExit(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "gregor")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/gregor")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building gregor: %w\n%s", err, output)
	}
	return path, nil
})
