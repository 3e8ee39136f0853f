// Package harness starts what the tests need, from outside and for real: a ZooKeeper server, a broker (gregor's own binary or
// stock Apache Kafka 3.9.2, behind one interface, so that a test can prove itself on Apache Kafka first), and stock tools.
//
// GREGOR_TEST_BROKER=apache runs every test that takes DefaultKind against Apache Kafka. GREGOR_BIN names a gregor binary to
// test instead of building ../cmd/gregor.
package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a child process with its output collected; it dies with the test process.
type process struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed when it has ended
	code   int           // valid once done is closed: exit code, or 128 + signal number
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, output: newOutput(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			p.code = 128 + int(status.Signal())
		}
		p.output.finish()
		close(p.done)
	}()
	return p, nil
}

var errStillRunning = errors.New("still running")

func (p *process) wait(timeout time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.code, nil
	case <-time.After(timeout):
		return 0, fmt.Errorf("%w after %v", errStillRunning, timeout)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// output collects what a process prints and lets tests wait for a line of it.
type output struct {
	mu       sync.Mutex
	text     bytes.Buffer
	finished bool
	changed  chan struct{} // closed and replaced at every change
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(b), nil
}

func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) waitFor(pattern *regexp.Regexp, timeout time.Duration) error {
	deadline := time.After(timeout)
	for {
		o.mu.Lock()
		found, finished, changed := pattern.Match(o.text.Bytes()), o.finished, o.changed
		o.mu.Unlock()
		switch {
		case found:
			return nil
		case finished:
			return fmt.Errorf("ended without printing %q", pattern)
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("no %q within %v", pattern, timeout)
		}
	}
}

// tail is the end of a text, whole lines, for a failed test's log.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// tempDir is like t.TempDir, but stays, and is named in the test's log, when the test fails.
func tempDir(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gregor-test-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s kept: %s", name, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// repositoryRoot is the folder of gregor's own go.mod, found upwards from the test's folder.
var repositoryRoot = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module gregor\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod of module gregor above the test's folder")
		}
		dir = parent
	}
})
