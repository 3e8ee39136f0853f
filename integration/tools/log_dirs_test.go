package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// TestStockToolsMoveLogs is what the tools say while logs move between the two log directories of a broker.
func TestStockToolsMoveLogs(t *testing.T) {
	apache, subject := newSideOfTwoDirs(t, harness.Apache), newSideOfTwoDirs(t, harness.DefaultKind())
	for _, version := range []string{"2.0.0", "3.9.2"} {
		prefix := "l" + strings.ReplaceAll(version, ".", "") + "-"
		t.Run(version, func(t *testing.T) { runScript(t, version, prefix, apache, subject, moveSteps(version, prefix)) })
		// The admin client of 2.0.0's reassign-partitions is never closed: it would go on complaining when these brokers have gone.
		harness.EndTools(t, version)
	}
}

// newSideOfTwoDirs starts a broker with the log directories {logs} and {logs}2.
func newSideOfTwoDirs(t *testing.T, kind harness.Kind) *side {
	t.Helper()
	zk := harness.SharedZooKeeper(t).Chroot()
	b := harness.NewBroker(t, kind, zk)
	b.Set["log.dirs"] = b.LogDir + "," + b.LogDir + "2"
	b.Start()
	return &side{broker: b, zk: zk, files: t.TempDir()}
}

func moveSteps(version, prefix string) []step {
	at, failure := "--bootstrap-server {addr} ", 1
	if version == "2.0.0" {
		at, failure = "--zookeeper {zk} --bootstrap-server {addr} ", 0 // said, but not with an exit code
	}
	reassign := func(name, args string, exit int, show ...func(string) string) step {
		return step{name: name, tool: "reassign-partitions", args: at + args, exit: exit, show: append(show, sorted)}
	}
	to := func(file, dir string) step {
		return writeFile(file, prefix, `{"version":1,"partitions":[{"topic":"{t}moved","partition":0,"replicas":[0],"log_dirs":["`+dir+`"]}]}`)
	}
	describe := step{name: "log dirs", tool: "log-dirs", args: "--bootstrap-server {addr} --describe --topic-list {t}moved", show: []func(string) string{
		without(`"(size|offsetLag)":[1-9]\d*`, `"$1":1`), dirsInOrder}}
	// The quota lets the first mebibyte through and then nothing for a while.
	const slow, fast = "50000", "900000000"
	quota := func(name, rate string) step {
		config := "replica.alter.log.dirs.io.max.bytes.per.second=" + rate
		return step{name: name, tool: "configs", args: "--bootstrap-server {addr} --alter --entity-type brokers --entity-name 0 --add-config " + config}
	}
	return []step{
		{name: "create", tool: "topics", args: topicsFlag(version) + " --create --topic {t}moved --partitions 1 --replication-factor 1"},
		awaitTopics(prefix, "moved"),
		to("first.json", "{logs}"), to("second.json", "{logs}2"), to("nowhere.json", "/nowhere"), to("any.json", "any"),
		{name: "fill", do: func(t *testing.T, s *side) string {
			var records []*kgo.Record
			for range 300 {
				records = append(records, &kgo.Record{Topic: prefix + "moved", Value: bytes.Repeat([]byte("x"), 10_000)})
			}
			harness.Produce(t, s.broker.Client(kgo.ProducerBatchCompression(kgo.NoCompression())), records...)
			return ""
		}},
		reassign("to a directory that is not there", "--execute --reassignment-json-file {files}/nowhere.json", failure, firstLine),
		reassign("to any directory", "--execute --reassignment-json-file {files}/any.json", 0),
		reassign("to the first directory", "--execute --reassignment-json-file {files}/first.json", 0),
		inDir(prefix, ""),
		reassign("verify the first", "--verify --reassignment-json-file {files}/first.json", 0),
		reassign("verify what was not asked for", "--verify --reassignment-json-file {files}/second.json", 0),
		describe,
		quota("a slow quota", slow),
		reassign("to the second directory", "--execute --reassignment-json-file {files}/second.json", 0),
		{name: "await the future log", do: awaitFuture(prefix + "moved")},
		reassign("verify in the middle", "--verify --reassignment-json-file {files}/second.json", 0),
		describe,
		reassign("call it off", "--execute --reassignment-json-file {files}/first.json", 0),
		inDir(prefix, ""), describe,
		quota("a fast quota", fast),
		reassign("to the second directory again", "--execute --reassignment-json-file {files}/second.json", 0),
		inDir(prefix, "2"),
		reassign("verify the second", "--verify --reassignment-json-file {files}/second.json", 0),
		describe,
	}
}

// dirsInOrder shows what log-dirs prints with a line for each log and empty directory, sorted: the tool's order is that of a hash map of paths.
func dirsInOrder(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") {
			lines = append(lines, strings.TrimSpace(line))
			continue
		}
		var printed struct {
			Brokers []struct {
				Broker  int
				LogDirs []struct {
					LogDir     string
					Error      any
					Partitions []any
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &printed); err != nil {
			return fmt.Sprintf("%v:\n%s", err, text)
		}
		for _, b := range printed.Brokers {
			for _, d := range b.LogDirs {
				lines = append(lines, fmt.Sprint("broker ", b.Broker, " has ", d.LogDir, ", error ", d.Error))
				for _, p := range d.Partitions {
					lines = append(lines, fmt.Sprint("in ", d.LogDir, ": ", p))
				}
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// inDir awaits that all of the log lies in one directory, and shows what is beside it.
func inDir(prefix, dir string) step {
	return step{name: "await the log in {logs}" + dir, do: func(t *testing.T, s *side) string {
		harness.Eventually(t, 30*time.Second, func() error {
			var found []string
			for _, d := range []string{"", "2"} {
				all, err := filepath.Glob(filepath.Join(s.broker.LogDir+d, prefix+"moved-0*"))
				if err != nil {
					return err
				}
				for _, path := range all {
					if !strings.HasSuffix(path, "-delete") {
						found = append(found, path)
					}
				}
			}
			if want := filepath.Join(s.broker.LogDir+dir, prefix+"moved-0"); len(found) != 1 || found[0] != want {
				return fmt.Errorf("found %q, want %s", found, want)
			}
			return nil
		})
		return ""
	}}
}

// awaitFuture awaits that copying has begun.
func awaitFuture(topic string) func(t *testing.T, s *side) string {
	return func(t *testing.T, s *side) string {
		harness.Eventually(t, 30*time.Second, func() error {
			logs, err := filepath.Glob(filepath.Join(s.broker.LogDir+"2", topic+"-0.*-future", "*.log"))
			for _, path := range logs {
				if st, err := os.Stat(path); err == nil && st.Size() > 0 {
					return nil
				}
			}
			return fmt.Errorf("%q, %v", logs, err)
		})
		return ""
	}
}
