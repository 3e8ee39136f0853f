package lifecycle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

// TestCommandLine is about gregor's own command, whatever broker the other tests are pointed at.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		exit   int
		stdout string // what standard output holds
		stderr string // what standard error holds
	}{
		{"no arguments", nil, 1, "", "Usage:"},
		{"an unknown command", []string{"serve"}, 1, "", "Usage:"},
		{"server without a file", []string{"server"}, 1, "", "Usage:"},
		{"version", []string{"--version"}, 0, "Kafka 3.9", ""},
		{"help", []string{"--help"}, 0, "Usage:", ""},
		{"a missing file", []string{"server", "/nonexistent/server.properties"}, 1, "/nonexistent/server.properties", ""},
		{"an override without a value", []string{"server", "x", "--override"}, 1, "", "--override"},
		{"a healthcheck of nothing", []string{"healthcheck", "127.0.0.1:1"}, 1, "", "127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, stdout, stderr := gregor(t, c.args...)
			if exit != c.exit || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, want %d with %q on standard output and %q on standard error\n%s\n--\n%s", exit, c.exit, c.stdout, c.stderr, stdout, stderr)
			}
		})
	}
}

// TestBadConfiguration wants the key, the value and what is allowed in one message, and exit code 1.
func TestBadConfiguration(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		says  []string
	}{
		{"not a number", []string{"num.partitions=many"}, []string{"num.partitions", "many"}},
		{"out of range", []string{"num.partitions=0"}, []string{"num.partitions", "0", "at least 1"}},
		{"not one of", []string{"compression.type=best"}, []string{"compression.type", "best", "gzip"}},
		{"no ZooKeeper", []string{"zookeeper.connect="}, []string{"zookeeper.connect"}},
		{"a bad listener", []string{"listeners=PLAINTEXT//127.0.0.1:9092"}, []string{"listeners"}},
		{"two listeners on one port", []string{"listeners=A://127.0.0.1:9092,B://127.0.0.1:9092", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT", "inter.broker.listener.name=A"}, []string{"port"}},
		{"an authorizer", []string{"authorizer.class.name=kafka.security.authorizer.AclAuthorizer"}, []string{"authorizer.class.name"}},
		{"a TLS listener", []string{"listeners=SSL://127.0.0.1:9093"}, []string{"SSL"}},
		{"a SASL listener", []string{"listeners=SASL_PLAINTEXT://127.0.0.1:9093"}, []string{"SASL"}},
		{"protected znodes", []string{"zookeeper.set.acl=true"}, []string{"zookeeper.set.acl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "server.properties")
			text := "broker.id=0\nzookeeper.connect=127.0.0.1:1\nlog.dirs=" + filepath.Join(dir, "logs") + "\n" + strings.Join(c.lines, "\n") + "\n"
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			exit, stdout, stderr := gregor(t, "server", file)
			all := stdout + stderr
			if exit != 1 {
				t.Errorf("exit code %d, want 1\n%s", exit, all)
			}
			// The message is one line that is not the listing of all values.
			for line := range strings.Lines(all) {
				if containsAll(line, c.says) && strings.Contains(line, "] ") {
					return
				}
			}
			t.Errorf("no line says %q:\n%.3000s", c.says, all)
		})
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// gregor runs the binary to its end.
func gregor(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	binary, err := harness.GregorBinary()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
