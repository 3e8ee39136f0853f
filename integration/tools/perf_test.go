package tools

import (
	"regexp"
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
	return []step{
		{name: "create", tool: "topics", args: topicsFlag(version) + " --create --topic {t}perf --partitions 1 --replication-factor 1"},
		awaitTopics(prefix, "perf"),
		{name: "producer", tool: "producer-perf-test",
			args: "--topic {t}perf --num-records 5000 --record-size 200 --throughput -1 --producer-props bootstrap.servers={addr}",
			show: []func(string) string{lastLine, numbers}},
		{name: "how many", tool: "get-offsets", args: list + "--topic {t}perf --time -1"},
		{name: "consumer", tool: "consumer-perf-test", args: perfFlag + "--topic {t}perf --messages 5000 --timeout 20000", show: measured},
		endToEnd(version, prefix),
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
}

// endToEnd runs e2e-latency. The one of 2.0 races with itself: it sends its first record while its own consumer may not yet
// have asked for the end of the topic, and then waits a minute for a record that it skipped. So it gets several attempts.
func endToEnd(version, prefix string) step {
	const percentiles = `Percentiles: 50th = \d+`
	if version != "2.0.0" {
		args := "{addr} {t}perf 50 1 100"
		if version == "4.2.0" {
			args = "--bootstrap-server {addr} --topic {t}perf --num-records 50 --producer-acks 1 --record-size 100"
		}
		return step{name: "end to end", tool: "e2e-latency", args: args, show: []func(string) string{numbers, without(`(?m)^N\tN\n`, "")}}
	}
	return step{name: "end to end", do: func(t *testing.T, s *side) string {
		var err error
		for range 8 {
			p := harness.StartTool(t, version, "e2e-latency", s.broker.Addr, prefix+"perf", "50", "1", "100")
			if err = p.TryOutput(percentiles, 7*time.Second); err == nil {
				return ""
			}
			p.Kill()
		}
		t.Error(err)
		return ""
	}}
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
		{name: "index", tool: "dump-log", args: "--index-sanity-check --files " + file + ".index"},
		{name: "time index", tool: "dump-log", args: "--index-sanity-check --files " + file + ".timeindex"},
		{name: "verify index", tool: "dump-log", args: "--verify-index-only --files " + file + ".index"},
		{name: "group offsets", do: func(t *testing.T, s *side) string {
			var all string
			for _, partition := range []string{"0", "1", "2", "3", "4"} {
				st := step{tool: "dump-log", args: "--offsets-decoder --files {logs}/__consumer_offsets-" + partition + "/00000000000000000000.log"}
				text, exit := s.run(t, version, prefix, st)
				if exit != 0 {
					t.Errorf("__consumer_offsets-%s: exit code %d\n%s", partition, exit, text)
				}
				all += text
			}
			// Which commits there are depends on the timing of automatic commits; that every one can be read does not.
			if bad := regexp.MustCompile(`(?i)exception|could not|invalid|error`).FindString(all); bad != "" {
				t.Errorf("dump-log complains (%q):\n%s", bad, all)
			}
			return ""
		}},
	}
}

// dumped masks what depends on times: checksums, sizes and positions (a time delta is a variable number of bytes), producer ids.
var dumped = []func(string) string{
	without(`(crc|size|batchSize|position|producerId|CreateTime|producerEpoch|timestamp|Starting offset): -?\w+`, "$1: N"),
}
