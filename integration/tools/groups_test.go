package tools

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// liveGroup is a step that has one member of a group running, on each side, until the part of the script ends.
func liveGroup(group, topic, prefix string) step {
	return step{name: "a live member of " + group, do: func(t *testing.T, s *side) string {
		client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr), kgo.ClientID("live"), kgo.ConsumerGroup(prefix+group), kgo.ConsumeTopics(prefix+topic),
			kgo.Balancers(kgo.RangeBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		if err != nil {
			t.Fatal(err)
		}
		s.keep = append(s.keep, client.Close)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for records := 0; records < 7; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			records += fetches.NumRecords()
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			t.Fatal(err)
		}
		return ""
	}}
}

func groupSteps(version, prefix string) []step {
	const at = "--bootstrap-server {addr} "
	table := []func(string) string{tidy, sorted}
	reset := func(name, group, form string) step {
		return step{name: "reset " + name, tool: "consumer-groups", args: at + "--reset-offsets --group {t}" + group + " " + form, show: table}
	}
	steps := []step{
		liveGroup("live", "three", prefix),
		{name: "list", tool: "consumer-groups", args: at + "--list", show: []func(string) string{sorted}},
		{name: "describe live", tool: "consumer-groups", args: at + "--describe --group {t}live", show: table, errors: true},
		{name: "describe members", tool: "consumer-groups", args: at + "--describe --group {t}live --members --verbose", show: table},
		{name: "describe state", tool: "consumer-groups", args: at + "--describe --group {t}live --state", show: table},
		{name: "describe empty", tool: "consumer-groups", args: at + "--describe --group {t}g1", show: table, errors: true},
		{name: "describe empty state", tool: "consumer-groups", args: at + "--describe --group {t}g1 --state", show: table},
		{name: "describe missing", tool: "consumer-groups", args: at + "--describe --group {t}none", show: table, errors: true},
		reset("a live group", "live", "--topic {t}three --to-earliest --execute"),
		reset("earliest", "g1", "--topic {t}one --to-earliest --execute"),
		reset("latest dry", "g1", "--topic {t}one --to-latest --dry-run"),
		reset("offset", "g1", "--topic {t}one:0 --to-offset 5 --execute"),
		reset("shift", "g1", "--topic {t}one --shift-by -2 --execute"),
		reset("shift too far", "g1", "--topic {t}one --shift-by 10000 --execute"),
		reset("current", "g1", "--topic {t}one --to-current --execute"),
		reset("datetime", "g1", "--topic {t}one --to-datetime 2001-01-01T00:00:00.000 --execute"),
		reset("datetime to come", "g1", "--topic {t}one --to-datetime 2101-01-01T00:00:00.000 --execute"),
		reset("duration", "g1", "--all-topics --by-duration P1D --execute"),
		reset("export", "g1", "--topic {t}one --to-offset 4 --export --dry-run"),
		writeFile("plan.csv", prefix, "{t}one,0,7\n"),
		reset("file", "g1", "--from-file {files}/plan.csv --execute"),
		{name: "describe after resets", tool: "consumer-groups", args: at + "--describe --group {t}g1", show: table, errors: true},
		{name: "a new group", tool: "consumer-groups", args: at + "--reset-offsets --group {t}g2 --topic {t}one --topic {t}three --to-latest --execute", show: table},
		{name: "delete a live group", tool: "consumer-groups", args: at + "--delete --group {t}live", show: []func(string) string{firstLine}},
	}
	if version != "2.0.0" {
		steps = append(steps,
			step{name: "list states", tool: "consumer-groups", args: at + "--list --state", show: table},
			step{name: "list live", tool: "consumer-groups", args: at + "--list --state Stable", show: table},
			step{name: "delete offsets", tool: "consumer-groups", args: at + "--delete-offsets --group {t}g2 --topic {t}one", show: table},
			step{name: "delete offsets in use", tool: "consumer-groups", args: at + "--delete-offsets --group {t}live --topic {t}three:1", show: table},
			step{name: "describe all", tool: "consumer-groups", args: at + "--describe --all-groups --state", show: table},
		)
	}
	return append(steps,
		step{name: "describe the new group", tool: "consumer-groups", args: at + "--describe --group {t}g2", show: table, errors: true},
		step{name: "delete", tool: "consumer-groups", args: at + "--delete --group {t}g1 --group {t}g2", show: []func(string) string{without(`'v\d+-g\d'`, "GROUP")}},
		step{name: "list after delete", tool: "consumer-groups", args: at + "--list", show: []func(string) string{sorted}},
	)
}

// firstLine keeps a message and drops the stack trace under it.
func firstLine(text string) string {
	for i, c := range text {
		if c == '\n' && i > 0 {
			return text[:i]
		}
	}
	return text
}
