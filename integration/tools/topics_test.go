package tools

import (
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

// TestStockTools is the whole tour, release after release on the same two brokers.
func TestStockTools(t *testing.T) {
	apache, subject := newSide(t, harness.Apache), newSide(t, harness.DefaultKind())
	for _, version := range []string{"2.0.0", "3.9.2", "4.2.0"} {
		prefix := "v" + strings.ReplaceAll(version, ".", "") + "-"
		t.Run(version, func(t *testing.T) {
			for _, part := range []struct {
				name  string
				steps func(version, prefix string) []step
			}{
				{"topics", topicSteps},
				{"console", consoleSteps},
				{"groups", groupSteps},
				{"configs", configSteps},
				{"cluster", clusterSteps},
				{"perf", perfSteps},
				{"dump", dumpSteps},
			} {
				t.Run(part.name, func(t *testing.T) {
					defer closeAll(apache, subject)
					runScript(t, version, prefix, apache, subject, part.steps(version, prefix))
				})
			}
		})
	}
	t.Run("files of stopped brokers", func(t *testing.T) {
		apache.broker.Stop()
		subject.broker.Stop()
		for _, version := range []string{"3.9.2", "4.2.0"} {
			runScript(t, version, "v392-", apache, subject, append(indexSteps(), groupOffsetsStep(version)))
		}
	})
}

func closeAll(sides ...*side) {
	for _, s := range sides {
		for _, end := range s.keep {
			end()
		}
		s.keep = nil
	}
}

// topicsFlag is how a release's kafka-topics reaches the cluster: 2.0 writes znodes behind the broker's back.
func topicsFlag(version string) string {
	if version == "2.0.0" {
		return "--zookeeper {zk}"
	}
	return "--bootstrap-server {addr}"
}

// spokenBy masks messages of brokers; those of a tool that works on ZooKeeper are the tool's own.
func spokenBy(version string) []func(string) string {
	if version == "2.0.0" {
		return nil
	}
	return []func(string) string{message}
}

func topicSteps(version, prefix string) []step {
	at := topicsFlag(version)
	internal := without(`(?m)^__consumer_offsets.*\n`, "")
	gone := step{name: "await deletion", do: func(t *testing.T, s *side) string {
		list := step{tool: "topics", args: at + " --list"}
		harness.Eventually(t, 30*time.Second, func() error {
			if text, _ := s.run(t, version, prefix, list); strings.Contains(text, prefix+"doomed") {
				return errorText("still listed:\n" + text)
			}
			return nil
		})
		return ""
	}}
	steps := []step{
		{name: "create", tool: "topics", args: at + " --create --topic {t}one --partitions 1 --replication-factor 1"},
		{name: "create with configs", tool: "topics",
			args: at + " --create --topic {t}three --partitions 3 --replication-factor 1 --config retention.ms=3600000 --config segment.bytes=1048576"},
		{name: "create doomed", tool: "topics", args: at + " --create --topic {t}doomed --partitions 2 --replication-factor 1"},
		awaitTopics(prefix, "one", "three", "doomed"),
		{name: "create again", tool: "topics", args: at + " --create --topic {t}one --partitions 1 --replication-factor 1", exit: 1},
		{name: "create if not exists", tool: "topics", args: at + " --create --if-not-exists --topic {t}one --partitions 1 --replication-factor 1"},
		{name: "create too many replicas", tool: "topics", args: at + " --create --topic {t}bad --partitions 1 --replication-factor 3", exit: 1},
		{name: "create bad name", tool: "topics", args: at + " --create --topic {t}a/b --partitions 1 --replication-factor 1", exit: 1, show: spokenBy(version)},
		{name: "create bad config", tool: "topics", args: at + " --create --topic {t}bad --partitions 1 --replication-factor 1 --config retention.ms=x", exit: 1},
		{name: "create assigned", tool: "topics", args: at + " --create --topic {t}assigned --replica-assignment 0,0"},
		awaitTopics(prefix, "assigned"),
		{name: "list", tool: "topics", args: at + " --list", show: []func(string) string{internal}},
		{name: "describe", tool: "topics", args: at + " --describe --topic {t}three", show: []func(string) string{tidy, configsInOrder}},
		{name: "describe one", tool: "topics", args: at + " --describe --topic {t}one", show: []func(string) string{tidy}},
		{name: "grow", tool: "topics", args: at + " --alter --topic {t}three --partitions 5"},
		{name: "await growth", do: func(t *testing.T, s *side) string {
			harness.Eventually(t, 30*time.Second, func() error {
				describe := step{tool: "topics", args: "--bootstrap-server {addr} --describe --topic {t}three", show: []func(string) string{tidy, configsInOrder}}
				text, _ := s.run(t, "3.9.2", prefix, describe)
				if strings.Contains(text, "Partition: 4 Leader: 0") {
					return nil
				}
				return errorText(text)
			})
			return ""
		}},
		{name: "describe grown", tool: "topics", args: at + " --describe --topic {t}three", show: []func(string) string{tidy, configsInOrder}},
		{name: "shrink", tool: "topics", args: at + " --alter --topic {t}three --partitions 2", exit: 1, show: spokenBy(version)},
		{name: "delete", tool: "topics", args: at + " --delete --topic {t}doomed"},
		gone,
		{name: "list after delete", tool: "topics", args: at + " --list", show: []func(string) string{internal}},
	}
	if version == "2.0.0" {
		return append(steps,
			step{name: "alter config", tool: "topics", args: at + " --alter --topic {t}three --config max.message.bytes=200000"},
			eventually("3.9.2", prefix, "max.message.bytes=200000", step{name: "the broker sees the config", tool: "configs",
				args: "--bootstrap-server {addr} --describe --entity-type topics --entity-name {t}three", show: []func(string) string{tidy}}),
			step{name: "topic id stays", do: topicIDStays(prefix)},
		)
	}
	return append(steps,
		step{name: "describe missing", tool: "topics", args: at + " --describe --topic {t}missing", exit: 1},
		step{name: "describe unavailable", tool: "topics", args: at + " --describe --unavailable-partitions"},
		step{name: "describe overridden", tool: "topics", args: at + " --describe --topics-with-overrides --topic {t}three", show: []func(string) string{tidy, configsInOrder}},
	)
}

// topicIDStays alters a topic with a tool that drops topic_id from the znode, and wants the id to be the old one.
func topicIDStays(prefix string) func(t *testing.T, s *side) string {
	describe := step{tool: "topics", args: "--bootstrap-server {addr} --describe --topic {t}assigned"}
	return func(t *testing.T, s *side) string {
		id := func() string {
			args := strings.Fields(s.fill(describe.args, prefix))
			text := harness.Tool(t, "", "topics", args...)
			_, rest, _ := strings.Cut(text, "TopicId: ")
			id, _, _ := strings.Cut(rest, "\t")
			if id == "" || !strings.Contains(text, "Leader: 0") {
				t.Errorf("no topic id or leader in %q", text)
			}
			return id
		}
		before := id()
		s.run(t, "2.0.0", prefix, step{tool: "topics", args: "--zookeeper {zk} --alter --topic {t}assigned --partitions 4"})
		harness.Eventually(t, 30*time.Second, func() error {
			if text, _ := s.run(t, "3.9.2", prefix, describe); !strings.Contains(text, "Partition: 3\tLeader: 0") {
				return errorText(text)
			}
			return nil
		})
		if after := id(); after != before {
			t.Errorf("topic id was %s and is %s after an alteration by an old tool", before, after)
		}
		return ""
	}
}
