package cluster

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/integration/harness"
)

// An operator looks after a topic with Kafka's own tools, round after round, while others do things to the cluster. Every tool has to succeed and to tell the
// truth, whichever broker is away and whoever the controller or the coordinator is.
type operator struct {
	t       *testing.T
	cluster *harness.Cluster
	topic   string
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	rounds int
	err    error // ends the operator's work

	ends map[int32]int64 // the topic's ends when it last asked; its goroutine's own
}

// startOperator expects a topic of several partitions with three replicas each, with traffic on it.
func startOperator(t *testing.T, c *harness.Cluster, topic string) *operator {
	ctx, cancel := context.WithCancel(context.Background())
	o := &operator{t: t, cluster: c, topic: topic, stop: cancel, ends: map[int32]int64{}}
	t.Cleanup(o.end)
	o.running.Go(func() {
		for n := 1; pause(ctx, time.Second); n++ { // the brokers need the processor, too
			err := o.round(n)
			o.mu.Lock()
			o.rounds, o.err = n, err
			o.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	return o
}

// end stops after the round that is under way.
func (o *operator) end() {
	o.stop()
	o.running.Wait()
}

// finish ends the operator's work and wants no complaint.
func (o *operator) finish() {
	o.t.Helper()
	o.end()
	if o.err != nil {
		o.t.Errorf("round %d: %v", o.rounds, o.err)
	}
	o.t.Logf("%d rounds of Kafka's tools", o.rounds)
}

// onceMore waits until a round is complete that was not yet at the call.
func (o *operator) onceMore(t *testing.T) {
	t.Helper()
	state := func() (int, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.rounds, o.err
	}
	before, err := state()
	harness.Eventually(t, 3*time.Minute, func() error {
		var n int
		if n, err = state(); n == before && err == nil {
			return fmt.Errorf("%d rounds of Kafka's tools, none of them new", n)
		}
		return nil
	})
	done(t, err)
}

// later matches what a tool prints when it has met a broker at the wrong moment. Its client sets its mind on a leader or coordinator, and when that one leaves the cluster before it is asked, waits for it
// until its time is up. And a broker that has just begun to listen, of either kind, knows no topic until the controller has told it of them.
var later = regexp.MustCompile(`Timed out waiting for a node assignment|UnknownTopicOrPartitionException|does not exist as expected|Could not match any topic-partitions`)

// tool runs one of Kafka's tools with a choice of all brokers, and returns what it printed. When it has met a broker at the wrong moment it is run again, twice at most.
func tool(c *harness.Cluster, name string, args ...string) (text string, err error) {
	line := slices.Concat([]string{"--bootstrap-server", strings.Join(c.Addrs(), ",")}, args)
	for range 3 {
		result, err := harness.TryTool("", name, line...)
		text = result.Stdout + result.Stderr
		if !later.MatchString(text) {
			return text, err
		}
	}
	return text, errors.New(text)
}

func (o *operator) round(n int) error {
	for _, step := range []func(n int) error{o.describe, o.configure, o.resetGroup, o.askEnds} {
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}

// describe: no replica is ever missing from a partition.
func (o *operator) describe(int) error {
	text, err := tool(o.cluster, "topics", "--describe", "--topic", o.topic)
	if err != nil {
		return err
	}
	want := len(regexp.MustCompile(`Partition: \d+`).FindAllString(text, -1))
	if got := len(regexp.MustCompile(`Replicas: \d,\d,\d\s`).FindAllString(text, -1)); got == 0 || got != want {
		return fmt.Errorf("of %d partitions %d have three replicas:\n%s", want, got, text)
	}
	return nil
}

// configure: what one broker wrote, whichever broker is asked next reads.
func (o *operator) configure(n int) error {
	setting := fmt.Sprintf("retention.ms=%d", (7*24*time.Hour).Milliseconds()+int64(n))
	if _, err := tool(o.cluster, "configs", "--entity-type", "topics", "--entity-name", o.topic, "--alter", "--add-config", setting); err != nil {
		return err
	}
	text, err := tool(o.cluster, "configs", "--entity-type", "topics", "--entity-name", o.topic, "--describe")
	if err == nil && !strings.Contains(text, setting) {
		err = fmt.Errorf("%s was set, but:\n%s", setting, text)
	}
	return err
}

// resetGroup: what a group without members has committed stays, wherever its coordinator is.
func (o *operator) resetGroup(n int) error {
	group := o.topic + "-operator"
	if n > 1 {
		if err := o.wantCommitted(group, n-1); err != nil {
			return fmt.Errorf("before the reset to %d: %w", n, err)
		}
	}
	if err := o.reset(group, n); err != nil {
		return err
	}
	return o.wantCommitted(group, n)
}

// reset resets the group's offsets. While a broker that has just died is still in the ISR, the coordinator answers after offsets.commit.timeout.ms that it does not know:
// the tool says so, ends with 0 all the same, and has promised nothing. Then it is run again.
func (o *operator) reset(group string, offset int) (err error) {
	for range 3 {
		var text string
		text, err = tool(o.cluster, "consumer-groups", "--reset-offsets", "--group", group, "--topic", o.topic, "--to-offset", strconv.Itoa(offset), "--execute", "--timeout", "20000")
		if err != nil || !strings.Contains(text, "Executing consumer group command failed") {
			return err
		}
		err = errors.New(text)
	}
	return err
}

func (o *operator) wantCommitted(group string, offset int) error {
	text, err := tool(o.cluster, "consumer-groups", "--describe", "--group", group, "--timeout", "20000")
	if err != nil {
		return err
	}
	rows := regexp.MustCompile(regexp.QuoteMeta(o.topic)+`\s+\d+\s+(\S+)\s`).FindAllStringSubmatch(text, -1)
	if len(rows) == 0 || slices.ContainsFunc(rows, func(row []string) bool { return row[1] != strconv.Itoa(offset) }) {
		return fmt.Errorf("group %s has committed %d in every partition, but:\n%s", group, offset, text)
	}
	return nil
}

// askEnds: the end of a partition never goes back, not even when a new leader does not know yet how far the old one had come (KIP-207).
func (o *operator) askEnds(int) error {
	text, err := tool(o.cluster, "get-offsets", "--topic", o.topic)
	if err != nil {
		return err
	}
	rows := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(o.topic)+`:(\d+):(\d+)$`).FindAllStringSubmatch(text, -1)
	if len(rows) == 0 || len(rows) < len(o.ends) {
		return fmt.Errorf("ends are missing:\n%s", text)
	}
	for _, row := range rows {
		p, _ := strconv.ParseInt(row[1], 10, 32)
		end, _ := strconv.ParseInt(row[2], 10, 64)
		if end < o.ends[int32(p)] {
			return fmt.Errorf("%s-%d ended at %d and ends at %d", o.topic, p, o.ends[int32(p)], end)
		}
		o.ends[int32(p)] = end
	}
	return nil
}

// administer makes a topic, gives it another partition, and deletes it, with Kafka's tools, while a broker is away.
func administer(t *testing.T, c *harness.Cluster, away int32) {
	t.Helper()
	c.AwaitAgreement() // or the topic might be given to a broker that has just died
	const name = "while-one-is-away"
	run := func(args ...string) string {
		t.Helper()
		text, err := tool(c, "topics", append(args, "--topic", name)...)
		done(t, err)
		c.AwaitAgreement()
		return text
	}
	run("--create", "--partitions", "2", "--replication-factor", "2", "--config", "min.insync.replicas=1")
	run("--alter", "--partitions", "3")
	text := run("--describe")
	rows := regexp.MustCompile(`Replicas: (\d),(\d)\s`).FindAllStringSubmatch(text, -1)
	if id := strconv.Itoa(int(away)); len(rows) != 3 || slices.ContainsFunc(rows, func(row []string) bool { return row[1] == id || row[2] == id }) {
		t.Errorf("broker %d is away, but:\n%s", away, text)
	}
	run("--delete")
	awaitNoTopic(t, c, name)
}
