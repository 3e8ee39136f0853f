// Package labs plays through what people do first with a Kafka: the exercises of a course, with its tools and clients.
package labs

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// lab starts a broker of its own.
func lab(t *testing.T, settings ...string) *harness.Broker {
	t.Helper()
	return harness.StartBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot(), settings...)
}

const wait = 60 * time.Second

// consumer starts a console consumer in a group and in a process of its own, and returns when it has partitions.
func consumer(t *testing.T, b *harness.Broker, version, topic, group string) *harness.ToolProcess {
	t.Helper()
	return harness.StartTool(t, version, "console-consumer", "--bootstrap-server", b.Addr, "--topic", topic, "--group", group, "--from-beginning",
		"--consumer-property", "session.timeout.ms=6000")
}

// awaitMembers waits until a group is stable with this many members, all of them with partitions, and returns how many
// partitions each has.
func awaitMembers(t *testing.T, b *harness.Broker, group string, members int) []int {
	t.Helper()
	admin := kadm.NewClient(b.Client())
	var shares []int
	harness.Eventually(t, wait, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		groups, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			return err
		}
		described := groups[group]
		shares = nil
		for _, member := range described.Members {
			assigned, ok := member.Assigned.AsConsumer()
			if !ok {
				return fmt.Errorf("member %s has no assignment", member.MemberID)
			}
			share := 0
			for _, topic := range assigned.Topics {
				share += len(topic.Partitions)
			}
			shares = append(shares, share)
		}
		slices.Sort(shares)
		if described.State != "Stable" || len(shares) != members {
			return fmt.Errorf("group %s is %s with shares %v, waiting for %d members", group, described.State, shares, members)
		}
		return nil
	})
	return shares
}

// produce sends lines with a console producer of that version.
func produce(t *testing.T, b *harness.Broker, version, topic, lines string, args ...string) {
	t.Helper()
	flag := "--bootstrap-server"
	if version == "2.0.0" {
		flag = "--broker-list"
	}
	result := harness.RunTool(t, version, lines, "console-producer", append([]string{flag, b.Addr, "--topic", topic}, args...)...)
	if result.ExitCode != 0 || strings.Contains(result.Stderr, "ERROR") {
		t.Fatalf("console-producer: exit code %d\n%s%s", result.ExitCode, result.Stdout, result.Stderr)
	}
}

// TestQueueAndPublishSubscribe: members of one group share the records (a queue); every group gets them all (publish and
// subscribe).
func TestQueueAndPublishSubscribe(t *testing.T) {
	b := lab(t)
	b.CreateTopic("orders", 2, nil)
	workers := []*harness.ToolProcess{consumer(t, b, "3.9.2", "orders", "workers"), consumer(t, b, "3.9.2", "orders", "workers")}
	audit := consumer(t, b, "3.9.2", "orders", "audit")
	if shares := awaitMembers(t, b, "workers", 2); !slices.Equal(shares, []int{1, 1}) {
		t.Errorf("the workers' shares are %v, want one partition each", shares)
	}
	awaitMembers(t, b, "audit", 1)
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "key-%d:order-%02d\n", i, i)
	}
	produce(t, b, "3.9.2", "orders", lines.String(), "--property", "parse.key=true", "--property", "key.separator=:")
	harness.Eventually(t, wait, func() error {
		if all := orders(audit); len(all) != 40 {
			return fmt.Errorf("the audit has seen %d of 40 orders", len(all))
		}
		if a, b := orders(workers[0]), orders(workers[1]); len(a)+len(b) != 40 {
			return fmt.Errorf("the workers have seen %d and %d of 40 orders", len(a), len(b))
		}
		return nil
	})
	first, second := orders(workers[0]), orders(workers[1])
	if len(first) == 0 || len(second) == 0 {
		t.Errorf("the workers got %d and %d orders: not shared", len(first), len(second))
	}
	if both := slices.Concat(first, second); len(slices.Compact(slices.Sorted(slices.Values(both)))) != 40 {
		t.Error("the workers got an order twice")
	}
	for _, p := range append(workers, audit) {
		p.Stop()
	}
	awaitEmpty(t, b, "workers")
}

var orderPattern = regexp.MustCompile(`order-\d\d`)

func orders(p *harness.ToolProcess) []string { return orderPattern.FindAllString(p.Output(), -1) }

func awaitEmpty(t *testing.T, b *harness.Broker, group string) {
	t.Helper()
	admin := kadm.NewClient(b.Client())
	harness.Eventually(t, wait, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		groups, err := admin.DescribeGroups(ctx, group)
		if err == nil && groups[group].State != "Empty" {
			err = fmt.Errorf("group %s is %s", group, groups[group].State)
		}
		return err
	})
}

// TestKeyedOrder: records of one key stay in one partition, in the order they were sent.
func TestKeyedOrder(t *testing.T) {
	b := lab(t)
	b.CreateTopic("keyed", 3, nil)
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, "k%d:%03d\n", i%6, i)
	}
	produce(t, b, "2.0.0", "keyed", lines.String(), "--property", "parse.key=true", "--property", "key.separator=:")
	home, last, used := map[string]int32{}, map[string]string{}, map[int32]bool{}
	for partition, records := range b.ReadAll("keyed") {
		used[partition] = true
		for _, r := range records {
			key, value := string(r.Key), string(r.Value)
			if where, seen := home[key]; seen && where != partition {
				t.Errorf("key %s stands in partitions %d and %d", key, where, partition)
			}
			if value <= last[key] {
				t.Errorf("key %s: %s follows %s", key, value, last[key])
			}
			home[key], last[key] = partition, value
		}
	}
	if len(home) != 6 || len(used) < 2 {
		t.Errorf("%d keys in %d partitions", len(home), len(used))
	}
}

// TestAutoCreation: producing to, or consuming from, a topic that does not exist makes it with the broker's defaults; with
// auto.create.topics.enable=false nobody makes it.
func TestAutoCreation(t *testing.T) {
	b := lab(t, "num.partitions=4")
	for _, version := range []string{"2.0.0", "3.9.2"} {
		topic := "auto-" + version
		produce(t, b, version, topic, "hello\n")
		b.AwaitTopics(topic)
		read := b.ReadAll(topic)
		described := harness.Tool(t, "", "topics", "--bootstrap-server", b.Addr, "--describe", "--topic", topic)
		if len(slices.Concat(read[0], read[1], read[2], read[3])) != 1 || !strings.Contains(described, "PartitionCount: 4") {
			t.Errorf("%s: records %v\n%s", version, read, described)
		}
	}
	strict := lab(t, "auto.create.topics.enable=false")
	result := harness.RunTool(t, "3.9.2", "hello\n", "console-producer", "--bootstrap-server", strict.Addr, "--topic", "none",
		"--producer-property", "max.block.ms=1500")
	if list := harness.Tool(t, "", "topics", "--bootstrap-server", strict.Addr, "--list"); strings.Contains(list, "none") {
		t.Errorf("the topic was made all the same: %s\n%s%s", list, result.Stdout, result.Stderr)
	}
}

// TestRebalance: a group spreads its partitions anew when a member joins, leaves, and is killed.
func TestRebalance(t *testing.T) {
	for _, version := range []string{"2.0.0", "3.9.2"} {
		t.Run(version, func(t *testing.T) {
			b := lab(t)
			b.CreateTopic("work", 4, nil)
			first := consumer(t, b, version, "work", "team")
			if shares := awaitMembers(t, b, "team", 1); shares[0] != 4 {
				t.Errorf("alone it has %v of 4 partitions", shares)
			}
			second := consumer(t, b, version, "work", "team")
			if shares := awaitMembers(t, b, "team", 2); !slices.Equal(shares, []int{2, 2}) {
				t.Errorf("after one joined the shares are %v", shares)
			}
			second.Stop()
			if shares := awaitMembers(t, b, "team", 1); shares[0] != 4 {
				t.Errorf("after one left the shares are %v", shares)
			}
			third := consumer(t, b, version, "work", "team")
			awaitMembers(t, b, "team", 2)
			third.Kill() // says no good-bye: the session timeout finds out
			if shares := awaitMembers(t, b, "team", 1); shares[0] != 4 {
				t.Errorf("after one was killed the shares are %v", shares)
			}
			produce(t, b, version, "work", "a\nb\nc\n")
			first.WaitOutput(`(?s)(a|b|c)\n.*(a|b|c)\n.*(a|b|c)\n`, wait)
			first.Stop()
		})
	}
}

// TestZooKeeperDump: the broker's presence as ZooKeeper itself tells it.
func TestZooKeeperDump(t *testing.T) {
	zk := harness.StartZooKeeper(t)
	b := harness.StartBroker(t, harness.DefaultKind(), zk.Addr) // without chroot
	dump, err := zk.FourLetterWord("dump")
	if err != nil || !strings.Contains(dump, "\t/brokers/ids/0\n") || !strings.Contains(dump, "\t/controller\n") {
		t.Errorf("dump: %v\n%s", err, dump)
	}
	b.Stop()
	harness.Eventually(t, wait, func() error {
		if dump, err = zk.FourLetterWord("dump"); err == nil && strings.Contains(dump, "/brokers/ids/0") {
			err = fmt.Errorf("still there:\n%s", dump)
		}
		return err
	})
}
