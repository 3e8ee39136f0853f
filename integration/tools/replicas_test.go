package tools

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

// TestStockToolsOfCluster is what the tools of three releases say of three brokers: whole, with one of them dead, and while replicas move.
func TestStockToolsOfCluster(t *testing.T) {
	apache, subject := newClusterSide(t, harness.Apache), newClusterSide(t, harness.DefaultKind())
	for _, version := range []string{"2.0.0", "3.9.2", "4.2.0"} {
		prefix := "r" + strings.ReplaceAll(version, ".", "") + "-"
		t.Run(version, func(t *testing.T) {
			runScript(t, version, prefix, apache, subject, slices.Concat(
				brokenSteps(version, prefix), electionSteps(version, prefix), reassignmentSteps(version, prefix), replicaSteps(version, prefix)))
		})
	}
}

// newClusterSide starts three brokers of a kind, broker 1 the controller.
func newClusterSide(t *testing.T, kind harness.Kind) *side {
	t.Helper()
	zk := harness.SharedZooKeeper(t).Chroot()
	c := harness.StartCluster(t, zk, slices.Repeat([]harness.Kind{kind}, 3), "zookeeper.session.timeout.ms=30000") // one of them hangs for some steps
	return &side{broker: c.Brokers[0], cluster: c, zk: zk, files: t.TempDir()}
}

// on is a step that does something to the cluster and says nothing.
func on(name string, do func(t *testing.T, c *harness.Cluster)) step {
	return step{name: name, do: func(t *testing.T, s *side) string {
		s.cluster.In(t)
		do(t, s.cluster)
		return ""
	}}
}

// inOrder sorts the lines of a description whose partitions come as a hash map has them.
func inOrder(text string) string { return sorted(configsInOrder(tidy(text))) }

// brokenSteps: topics are described whole, and then with their last broker dead, through every filter.
func brokenSteps(version, prefix string) []step {
	at := topicsFlag(version)
	describe := func(name, args string, exit int) step {
		return step{name: name, tool: "topics", args: at + " --describe " + args, exit: exit, show: []func(string) string{inOrder}}
	}
	steps := []step{
		{name: "create of three", tool: "topics", args: at + " --create --topic {t}three --replica-assignment 1:2:3,2:3:1,3:1:2 --config min.insync.replicas=2"},
		{name: "create of two", tool: "topics", args: at + " --create --topic {t}two --replica-assignment 1:2,3:2 --config min.insync.replicas=2"},
		{name: "create of one", tool: "topics", args: at + " --create --topic {t}one --replica-assignment 1,3"},
		on("await the topics", func(_ *testing.T, c *harness.Cluster) {
			c.AwaitFullISR(prefix+"three", prefix+"two", prefix+"one")
			c.AwaitAgreement()
		}),
		describe("describe three", "--topic {t}three", 0),
		describe("nothing is under-replicated", "--under-replicated-partitions", 0),
		on("broker 3 dies", func(_ *testing.T, c *harness.Cluster) {
			c.Broker(3).Kill()
			c.Tree.Delete("/brokers/ids/3")
			c.AwaitISR(prefix+"three", 2, 1, 2)
			c.AwaitISR(prefix+"two", 1, 2)
			c.AwaitLeader(prefix+"one", 1, -1)
			c.AwaitAgreement()
		}),
		describe("describe three without broker 3", "--topic {t}three", 0),
		describe("describe one without broker 3", "--topic {t}one", 0),
		describe("under-replicated", "--under-replicated-partitions", 0),
		describe("unavailable", "--unavailable-partitions", 0),
	}
	if version != "2.0.0" {
		steps = append(steps,
			describe("under min ISR", "--under-min-isr-partitions", 0),
			describe("at min ISR", "--at-min-isr-partitions", 0),
		)
	}
	return steps
}

// electionSteps: the preferred leader that is dead cannot be elected, the one that is back can.
func electionSteps(version, prefix string) []step {
	at := topicsFlag(version)
	back := on("broker 3 returns", func(_ *testing.T, c *harness.Cluster) {
		c.Broker(3).Start()
		c.AwaitFullISR()
		c.AwaitAgreement()
	})
	elected := on("await its leadership", func(_ *testing.T, c *harness.Cluster) {
		c.AwaitLeader(prefix+"three", 2, 3)
		c.AwaitLeader(prefix+"two", 1, 3)
		c.AwaitAgreement()
	})
	describe := func(name string) step {
		return step{name: name, tool: "topics", args: at + " --describe --topic {t}three", show: []func(string) string{inOrder}}
	}
	if version == "2.0.0" {
		return []step{
			back, describe("describe before the election"),
			writeFile("elect.json", prefix, `{"partitions":[{"topic":"{t}three","partition":2},{"topic":"{t}two","partition":1}]}`),
			{name: "preferred election", tool: "preferred-replica-election", args: "--zookeeper {zk} --path-to-json-file {files}/elect.json", show: []func(string) string{
				without(`(?s)for partitions.*`, "")}},
			elected, describe("describe after the election"),
		}
	}
	elect := func(name, args string, exit int) step {
		return step{name: name, tool: "leader-election", args: "--bootstrap-server {addr} " + args, exit: exit, show: []func(string) string{
			sorted, without(`(?m)^.*(Error completing|Caused by|\tat |Suppressed|\.\.\. \d+ more).*\n?`, ""), without(`(due to:?).*`, "$1 MESSAGE")}}
	}
	return []step{
		elect("election of a dead leader", "--election-type preferred --topic {t}three --partition 2", 1),
		elect("unclean election of a dead leader", "--election-type unclean --topic {t}one --partition 1", 1),
		elect("unclean election that is not needed", "--election-type unclean --topic {t}three --partition 2", 0),
		back, describe("describe before the election"),
		writeFile("elect.json", prefix, `{"partitions":[{"topic":"{t}three","partition":2},{"topic":"{t}two","partition":1}]}`),
		elect("preferred election", "--election-type preferred --path-to-json-file {files}/elect.json", 0),
		elected, describe("describe after the election"),
		elect("preferred election again", "--election-type preferred --path-to-json-file {files}/elect.json", 0),
	}
}

// reassignmentSteps: generate, execute, verify, and with the newer tools list and cancel.
func reassignmentSteps(version, prefix string) []step {
	at := "--bootstrap-server {addr} "
	old, failure := version == "2.0.0", 1
	if old {
		at, failure = "--zookeeper {zk} ", 0 // said, but not with an exit code
	}
	reassign := func(name, args string, exit int, show ...func(string) string) step {
		return step{name: name, tool: "reassign-partitions", args: at + args, exit: exit, show: show}
	}
	// The proposal starts at a random broker.
	current := without(`(?s)Proposed partition reassignment.*`, "PROPOSAL")
	steps := []step{
		writeFile("topics.json", prefix, `{"version":1,"topics":[{"topic":"{t}two"}]}`),
		writeFile("move.json", prefix, `{"version":1,"partitions":[{"topic":"{t}two","partition":0,"replicas":[3,2]},{"topic":"{t}two","partition":1,"replicas":[1,2]}]}`),
		writeFile("dead.json", prefix, `{"version":1,"partitions":[{"topic":"{t}two","partition":0,"replicas":[9]}]}`),
		reassign("generate", "--generate --broker-list 1,2,3 --topics-to-move-json-file {files}/topics.json", 0, current),
		reassign("verify before", "--verify --reassignment-json-file {files}/move.json", 0),
		reassign("execute to a broker that is not there", "--execute --reassignment-json-file {files}/dead.json", failure, firstLine),
		reassign("execute", "--execute --reassignment-json-file {files}/move.json --throttle 50000000", 0),
		on("await the move", func(_ *testing.T, c *harness.Cluster) {
			awaitMoved(c, prefix+"two", map[string][]int32{"0": {3, 2}, "1": {1, 2}})
		}),
		reassign("verify after", "--verify --reassignment-json-file {files}/move.json", 0),
		{name: "describe what moved", tool: "topics", args: topicsFlag(version) + " --describe --topic {t}two", show: []func(string) string{inOrder}},
	}
	if old {
		return steps
	}
	return append(steps,
		writeFile("slow.json", prefix, `{"version":1,"partitions":[{"topic":"{t}two","partition":1,"replicas":[3]}]}`),
		// The new replica's broker hangs, so that the reassignment stays in progress.
		on("broker 3 hangs", func(_ *testing.T, c *harness.Cluster) { c.Broker(3).Pause() }),
		reassign("execute", "--execute --reassignment-json-file {files}/slow.json", 0),
		reassign("execute while another runs", "--execute --reassignment-json-file {files}/slow.json", 1),
		reassign("verify in the middle", "--verify --preserve-throttles --reassignment-json-file {files}/slow.json", 0),
		reassign("list", "--list", 0),
		reassign("cancel", "--cancel --preserve-throttles --reassignment-json-file {files}/slow.json", 0),
		on("broker 3 goes on", func(_ *testing.T, c *harness.Cluster) {
			c.Broker(3).Resume()
			awaitMoved(c, prefix+"two", map[string][]int32{"0": {3, 2}, "1": {1, 2}})
			c.AwaitFullISR()
		}),
		reassign("list nothing", "--list", 0),
		reassign("cancel nothing", "--cancel --reassignment-json-file {files}/slow.json", 0),
	)
}

// awaitMoved waits until a topic's replicas are these and none moves.
func awaitMoved(c *harness.Cluster, topic string, want map[string][]int32) {
	c.Eventually(30*time.Second, func() error {
		if got, _ := c.Topic(topic); fmt.Sprint(got.Partitions) != fmt.Sprint(want) || len(got.Adding)+len(got.Removing) > 0 {
			return fmt.Errorf("%+v", got)
		}
		if c.Tree.Exists("/admin/reassign_partitions") {
			return errors.New("/admin/reassign_partitions still stands")
		}
		return nil
	})
	c.AwaitFullISR(topic)
	c.AwaitAgreement()
}

// replicaSteps: what lies where, and whether it is the same.
func replicaSteps(version, prefix string) []step {
	steps := []step{
		{name: "log dirs of all", tool: "log-dirs", args: "--bootstrap-server {addr} --describe --broker-list 1,2,3 --topic-list {t}three", show: []func(string) string{
			without(`"size":\d+`, `"size":N`), func(text string) string { return sorted(strings.ReplaceAll(text, "{", "\n{")) }}},
		on("replica verification", func(_ *testing.T, c *harness.Cluster) { c.VerifyReplicas(prefix + ".*") }),
	}
	if version != "2.0.0" { // which asks for ever
		steps = append(steps, step{name: "log dirs of a broker that is not there", tool: "log-dirs", args: "--bootstrap-server {addr} --describe --broker-list 1,9", exit: 1})
	}
	return steps
}
