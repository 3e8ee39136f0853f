package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// traffic is, of each client stack, an idempotent producer with acks=all for every partition of a topic, and a group of two members that commits what it read,
// while others do things to the cluster. One ledger has it all.
type traffic struct {
	*ledger
	t       *testing.T
	cluster *harness.Cluster
	topic   string
	stop    context.CancelFunc
	running sync.WaitGroup
	alone   int // calls of appendAlone
}

// startTraffic begins to write and to read, some sixty records a second, partition and stack.
func startTraffic(t *testing.T, c *harness.Cluster, topic string, partitions int32) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{ledger: newLedger(), t: t, cluster: c, topic: topic, stop: cancel}
	t.Cleanup(func() {
		cancel()
		tr.running.Wait()
	})
	run := func(what string, do func() error) {
		tr.running.Go(func() {
			if err := do(); err != nil {
				tr.fail(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	for _, s := range stacks {
		for p := range partitions {
			series := series{s.name, p}
			tr.begin(series)
			run(series.String(), func() error { return s.write(ctx, tr, series) })
		}
		group := tr.group(s)
		tr.commitStart(group, partitions)
		for range 2 {
			run("a member of "+group, func() error { return s.join(ctx, tr, group) })
		}
	}
	return tr
}

func (tr *traffic) group(s stack) string { return tr.topic + "-" + s.name }

// commitStart commits the start of every partition for a group, so that from now on no member of it may be told that there is nothing committed.
func (tr *traffic) commitStart(group string, partitions int32) {
	tr.t.Helper()
	offsets := kadm.Offsets{}
	for p := range partitions {
		offsets.Add(kadm.Offset{Topic: tr.topic, Partition: p, At: 0, LeaderEpoch: -1})
	}
	adm, ctx := admin(tr.t, tr.cluster)
	harness.Eventually(tr.t, time.Minute, func() error {
		answers, err := adm.CommitOffsets(ctx, group, offsets)
		return errors.Join(err, answers.Error())
	})
}

// ackedMore waits until every series has some more records acknowledged: the cluster serves.
func (tr *traffic) ackedMore() {
	before := tr.progress()
	tr.cluster.Eventually(90*time.Second, func() error {
		now := tr.progress()
		for s, n := range before {
			if now[s] < n+20 {
				return fmt.Errorf("%s, %v: %d records acknowledged, %d of them new", tr.topic, s, now[s], now[s]-n)
			}
		}
		return nil
	})
}

// appendAlone has a leader append, and acknowledge for itself only, records for half a second. Its followers are paused: they get the first of them at most, in the
// answer to the fetch that each has sent.
func (tr *traffic) appendAlone(t *testing.T, leader *harness.Broker, partition int32) {
	t.Helper()
	client := leader.Client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	tr.alone++
	r := record{series: series{fmt.Sprintf("leader %d alone, %d", leader.ID(), tr.alone), partition}}
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); r.number++ {
		harness.Produce(t, client, &kgo.Record{Topic: tr.topic, Partition: partition, Value: r.value()})
	}
}

// finish ends the traffic and wants every acknowledged record where it was acknowledged, once, in order, and seen by the groups.
func (tr *traffic) finish() {
	tr.t.Helper()
	tr.groupsCatchUp()
	tr.stop()
	tr.running.Wait()
	tr.check(tr.t, tr.cluster.Running()[0].ReadAll(tr.topic))
}

// groupsCatchUp waits until each group has seen everything that is acknowledged at the call.
func (tr *traffic) groupsCatchUp() {
	promises := tr.promises()
	tr.cluster.Eventually(2*time.Minute, func() error {
		for _, s := range stacks {
			if missing := tr.unseen(tr.group(s), promises); missing > 0 {
				return fmt.Errorf("group %s has not seen %d of %d records", tr.group(s), missing, len(promises))
			}
		}
		return nil
	})
}

// admin is an admin client with a deadline for all that a part does with it.
func admin(t *testing.T, c *harness.Cluster) (*kadm.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return kadm.NewClient(c.Client()), ctx
}

// done fails the test on any of an admin request's errors.
func done(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
