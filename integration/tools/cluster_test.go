package tools

import (
	"errors"
	"testing"
	"time"

	"gregor/integration/harness"
)

func clusterSteps(version, prefix string) []step {
	const at = "--bootstrap-server {addr} "
	sizes := without(`"size":\d+`, `"size":N`)
	old := version == "2.0.0"
	getOffsets := at + "--topic {t}three"
	if old {
		getOffsets = "--broker-list {addr} --topic {t}three"
	}
	steps := []step{
		{name: "api versions", tool: "broker-api-versions", args: at},
		{name: "get offsets", tool: "get-offsets", args: getOffsets + " --time -1", show: []func(string) string{sorted}},
		{name: "get earliest", tool: "get-offsets", args: getOffsets + " --time -2", show: []func(string) string{sorted}},
		{name: "log dirs", tool: "log-dirs", args: at + "--describe --topic-list {t}one", show: []func(string) string{sizes}},
		writeFile("delete.json", prefix, `{"version":1,"partitions":[{"topic":"{t}one","partition":0,"offset":2}]}`),
		{name: "delete records", tool: "delete-records", args: at + "--offset-json-file {files}/delete.json"},
		{name: "what is left", tool: "console-consumer", args: at + "--topic {t}one --from-beginning --max-messages 2 --timeout-ms 8000"},
		writeFile("toofar.json", prefix, `{"version":1,"partitions":[{"topic":"{t}one","partition":0,"offset":2000}]}`),
		{name: "delete records beyond the end", tool: "delete-records", args: at + "--offset-json-file {files}/toofar.json"},
	}
	if old {
		return append(steps,
			step{name: "preferred election", tool: "preferred-replica-election", args: "--zookeeper {zk}", show: []func(string) string{without(`(?s)for partitions.*`, "")}},
			step{name: "election carried out", do: func(t *testing.T, s *side) string {
				tree := harness.ZooKeeperTree(t, s.zk)
				harness.Eventually(t, 20*time.Second, func() error {
					if tree.Exists("/admin/preferred_replica_election") {
						return errors.New("the controller left /admin/preferred_replica_election")
					}
					return nil
				})
				return ""
			}},
		)
	}
	steps = append(steps,
		step{name: "get offsets by time", tool: "get-offsets", args: getOffsets + " --time 1000"},
		step{name: "get latest timestamp", tool: "get-offsets", args: getOffsets + " --time max-timestamp --partitions 0"},
		step{name: "get offsets of all", tool: "get-offsets", args: at + "--exclude-internal-topics", show: []func(string) string{sorted}},
		step{name: "get offsets of nothing", tool: "get-offsets", args: at + "--topic {t}missing", exit: 1},
		step{name: "cluster id", tool: "cluster", args: "cluster-id " + at},
		step{name: "unregister", tool: "cluster", args: "unregister --id 9 " + at, show: []func(string) string{firstLine}},
		step{name: "features", tool: "features", args: at + "describe", show: []func(string) string{firstLine}},
		step{name: "election", tool: "leader-election", args: at + "--election-type preferred --all-topic-partitions", show: []func(string) string{firstLine}},
		step{name: "election of one", tool: "leader-election", args: at + "--election-type preferred --topic {t}one --partition 0"},
		step{name: "unclean election", tool: "leader-election", args: at + "--election-type unclean --topic {t}one --partition 0"},
		step{name: "no reassignments", tool: "reassign-partitions", args: at + "--list"},
		step{name: "transactions", tool: "transactions", args: at + "describe-producers --topic {t}one --partition 0",
			show: []func(string) string{without(`(?m)^\d+.*$`, "PRODUCER")}},
	)
	return steps
}
