package tools

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

func perfSteps(version, prefix string) []step {
	const at = "--bootstrap-server {addr} "
	list, perfFlag := at, at
	if version == "2.0.0" {
		list, perfFlag = "--broker-list {addr} ", "--broker-list {addr} "
	}
	bootstrap := "--broker-list"
	if version != "2.0.0" {
		bootstrap = "--bootstrap-server"
	}
	measured := []func(string) string{numbers}
	steps := []step{
		{name: "create", tool: "topics", args: topicsFlag(version) + " --create --topic {t}perf --partitions 1 --replication-factor 1"},
		awaitTopics(prefix, "perf"),
		{name: "producer", tool: "producer-perf-test",
			args: "--topic {t}perf --num-records 5000 --record-size 200 --throughput -1 --producer-props bootstrap.servers={addr}",
			show: []func(string) string{lastLine, numbers}},
		{name: "how many", tool: "get-offsets", args: list + "--topic {t}perf --time -1"},
		{name: "consumer", tool: "consumer-perf-test", args: perfFlag + "--topic {t}perf --messages 5000 --timeout 20000", show: measured},
		{name: "verifiable producer", do: func(t *testing.T, s *side) string {
			p := harness.StartTool(t, version, "verifiable-producer", bootstrap, s.broker.Addr, "--topic", prefix+"verify", "--max-messages", "20")
			if code := p.Wait(60 * time.Second); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.Output())
			}
			return sorted(without(`"(offset|partition|avg_throughput|timestamp)":-?[0-9.]+`, `"$1":N`)(withoutLogLines(p.Output())))
		}},
		{name: "verifiable consumer", do: func(t *testing.T, s *side) string {
			p := harness.StartTool(t, version, "verifiable-consumer", bootstrap, s.broker.Addr, "--topic", prefix+"verify",
				"--group-id", prefix+"verify", "--max-messages", "20", "--reset-policy", "earliest")
			if code := p.Wait(60 * time.Second); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.Output())
			}
			// How many batches the twenty records come in depends on timing; that the last offset committed is 20 does not.
			p.WaitOutput(`"offset":20\b`, time.Second)
			return ""
		}},
	}
	return append(steps, endToEnd(version)...)
}

// endToEnd runs e2e-latency; see TestEndToEndLatency20 for the one of 2.0.
func endToEnd(version string) []step {
	args := "{addr} {t}perf 50 1 100"
	switch version {
	case "2.0.0":
		return nil
	case "4.2.0":
		args = "--bootstrap-server {addr} --topic {t}perf --num-records 50 --producer-acks 1 --record-size 100"
	}
	return []step{{name: "end to end", tool: "e2e-latency", args: args, show: []func(string) string{numbers, without(`(?m)^N\tN\n`, "")}}}
}

// TestEndToEndLatency20 runs the tool of 2.0 by itself, because it races with itself: it sends its first record while its own
// consumer may not have asked for the end of the topic yet, and then waits a minute for a record that it skipped. It has
// several attempts; a broker that does not serve it fails them all.
func TestEndToEndLatency20(t *testing.T) {
	b := harness.StartBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot())
	b.CreateTopic("e2e", 1, nil)
	// A consumer that keeps refreshing its metadata is more likely to have its connection to the leader open in time.
	properties := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(properties, []byte("metadata.max.age.ms=10\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 12 {
		p := harness.StartTool(t, "2.0.0", "e2e-latency", b.Addr, "e2e", "20", "1", "100", properties)
		if err = p.TryOutput(`Avg latency: [\d.]+ ms\s+Percentiles: 50th = \d+`, 6*time.Second); err == nil {
			break
		}
		p.Kill()
	}
	if err != nil {
		t.Error(err)
	}
	b.Stop()
}

func dumpSteps(version, prefix string) []step {
	if version == "2.0.0" {
		// 2.0 prints neither sanity checks that 3.9 could not do, nor anything that 4.2 does not read better; it must not complain.
		return []step{{name: "dump", tool: "dump-log", args: "--deep-iteration --files {logs}/{t}one-0/00000000000000000000.log", show: dumped}}
	}
	file := "{logs}/{t}three-1/00000000000000000000"
	return []step{
		{name: "log", tool: "dump-log", args: "--deep-iteration --print-data-log --files {logs}/{t}one-0/00000000000000000000.log", show: dumped},
		{name: "keyed log", tool: "dump-log", args: "--deep-iteration --print-data-log --files " + file + ".log", show: dumped},
	}
}

// indexSteps look at the indexes of a stopped broker: while it runs, Apache Kafka's own are files at full size, whose unused
// end the tool takes for corrupt entries.
func indexSteps() []step {
	file := "{logs}/{t}perf-0/00000000000000000000" // a log that is large enough for entries
	return []step{
		{name: "index", tool: "dump-log", args: "--index-sanity-check --files " + file + ".index"},
		{name: "time index", tool: "dump-log", args: "--index-sanity-check --files " + file + ".timeindex"},
		{name: "verify index", tool: "dump-log", args: "--verify-index-only --files " + file + ".index"},
		{name: "verify time index", tool: "dump-log", args: "--verify-index-only --files " + file + ".timeindex"},
	}
}

// groupOffsetsStep reads what groups left in a stopped broker's __consumer_offsets; a running one may be writing its next batch.
// Which commits there are depends on the timing of automatic commits; that every one can be read does not.
func groupOffsetsStep(version string) step {
	return step{name: "group offsets", do: func(t *testing.T, s *side) string {
		for _, partition := range []string{"0", "1", "2", "3", "4"} {
			st := step{tool: "dump-log", args: "--offsets-decoder --files {logs}/__consumer_offsets-" + partition + "/00000000000000000000.log"}
			text, exit := s.run(t, version, "", st)
			if exit != 0 {
				t.Errorf("%s: __consumer_offsets-%s: exit code %d\n%s", s.broker.Addr, partition, exit, text)
			}
			for _, line := range strings.Split(text, "\n") {
				if bad := complaint.FindString(line); bad != "" {
					t.Errorf("%s: dump-log complains about __consumer_offsets-%s (%q): %s", s.broker.Addr, partition, bad, line)
				}
			}
		}
		return ""
	}}
}

var complaint = regexp.MustCompile(`(?i)exception|could not|invalid|error`)

// dumped masks what depends on times: checksums, sizes and positions (a time delta is a variable number of bytes), producer ids.
var dumped = []func(string) string{
	without(`(crc|size|batchSize|position|producerId|CreateTime|producerEpoch|timestamp|Starting offset): -?\w+`, "$1: N"),
}
