package cluster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/integration/harness"
)

// mixedSettings: everything has three replicas, two of which must have a record before it is acknowledged. Sessions outlast the pauses of a busy machine.
var mixedSettings = []string{"zookeeper.session.timeout.ms=12000", "min.insync.replicas=2", "offsets.topic.num.partitions=3", "replica.lag.time.max.ms=10000", "group.min.session.timeout.ms=1000"}

// TestMixed has gregor and Apache Kafka in one cluster, one to two and two to one, with the controller on either side, and stops and kills every broker in turn
// under traffic. In the end the replicas are the same to the byte.
func TestMixed(t *testing.T) {
	subject := harness.DefaultKind()
	for _, kinds := range [][]harness.Kind{
		{harness.Apache, subject, harness.Apache},
		{subject, harness.Apache, subject},
	} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			c := harness.StartCluster(t, harness.SharedZooKeeper(t).Chroot(), kinds, mixedSettings...)
			c.CreateTopic("mixed", [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, map[string]string{"segment.bytes": "100000"})
			tr := startTraffic(t, c, "mixed", 3)
			tr.ackedMore()
			op := startOperator(t, c, "mixed")
			ok := t.Run("stopped in turn, controller 1", func(t *testing.T) {
				inTurn(t, c, tr, op, 1, func(_ *testing.T, b *harness.Broker) { b.Stop() })
			}) && t.Run("killed in turn, controller 2", func(t *testing.T) { inTurn(t, c, tr, op, 2, killed(c, tr)) })
			if !ok {
				return
			}
			op.finish()
			if gregors := c.Of(subject); len(gregors) == 2 {
				t.Run("drained of Apache Kafka and back", func(t *testing.T) { drain(t, c, tr, gregors) })
			} else {
				t.Run("ZooKeeper is away", func(t *testing.T) { zooKeeperAway(t, c, tr, 15*time.Second) })
			}
			tr.finish()
			compare(t, c)
			c.VerifyReplicas(".*")
		})
	}
}

// killed is the end by kill -9 of a leader that has appended what none of its followers has: noticed when the session ends, the first time; at once, the other
// times. When it comes back, that tail has to go.
func killed(c *harness.Cluster, tr *traffic) func(*testing.T, *harness.Broker) {
	first := true
	return func(t *testing.T, b *harness.Broker) {
		led := b.ID() - 1 // the partition whose preferred leader it is
		preferAgain(t, c) // on a busy machine its session may have ended meanwhile, and its leadership with it
		c.AwaitLeader(tr.topic, led, b.ID())
		resume := c.PauseAllBut(b.ID())
		defer resume()
		tr.appendAlone(t, b, led)
		if first {
			first = false
			b.Kill()
			resume()
			b.AwaitUnregistered()
		} else {
			vanish(c, b.ID())
			resume()
		}
		tr.ackedMore()
		s, _ := c.State(tr.topic, led)
		err := harness.CompareLogs(b.PartitionDir(tr.topic, led), c.Broker(s.Leader).PartitionDir(tr.topic, led), math.MaxInt64)
		if err == nil || !strings.Contains(err.Error(), "differ") {
			t.Errorf("of partition %d the dead leader has nothing that its successor has not: %v", led, err)
		}
	}
}

// inTurn ends and restarts each broker, with that controller at the beginning of each turn; then leadership goes back to where it belongs. Kafka's tools are at
// work all the time.
func inTurn(t *testing.T, c *harness.Cluster, tr *traffic, op *operator, controller int32, end func(*testing.T, *harness.Broker)) {
	c.In(t)
	for _, b := range c.Brokers {
		c.MoveController(controller)
		end(t, b)
		tr.ackedMore()
		administer(t, c, b.ID())
		op.onceMore(t)
		b.Start()
		c.AwaitFullISR()
		preferAgain(t, c)
		c.AwaitAgreement()
		tr.ackedMore()
	}
}

// zooKeeperAway: for longer than a session lasts nobody hears of ZooKeeper. Leaders go on serving; when it is back everybody comes together again.
func zooKeeperAway(t *testing.T, c *harness.Cluster, tr *traffic, long time.Duration) {
	c.In(t)
	zk := harness.SharedZooKeeper(t)
	zk.Pause(t)
	resume := sync.OnceFunc(func() { zk.Resume(t) })
	defer resume()
	back := time.Now().Add(long)
	for time.Now().Before(back) {
		tr.ackedMore()
		time.Sleep(100 * time.Millisecond)
	}
	resume()
	c.AwaitController()
	c.AwaitFullISR()
	c.AwaitAgreement()
	tr.ackedMore()
}

// preferAgain elects the preferred leaders of all partitions.
func preferAgain(t *testing.T, c *harness.Cluster) {
	t.Helper()
	adm, ctx := admin(t, c)
	answers, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	done(t, err)
	for _, partitions := range answers {
		for _, answer := range partitions {
			if answer.Err != nil {
				t.Errorf("electing the preferred leader of %s-%d: %v %s", answer.Topic, answer.Partition, answer.Err, answer.ErrMessage)
			}
		}
	}
}

// reassignAll moves every partition of every topic to replicas of these brokers, each partition's leader another one, and waits until it is done.
func reassignAll(t *testing.T, c *harness.Cluster, brokers ...int32) {
	t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	want := map[string]map[int32][]int32{}
	for _, name := range c.Tree.Children("/brokers/topics") {
		topic, _ := c.Topic(name)
		want[name] = map[int32][]int32{}
		for p := range topic.Partitions {
			n, err := strconv.ParseInt(p, 10, 32)
			done(t, err)
			at := int(n) % len(brokers)
			want[name][int32(n)] = slices.Concat(brokers[at:], brokers[:at])
			req.Assign(name, int32(n), want[name][int32(n)])
		}
	}
	adm, ctx := admin(t, c)
	answers, err := adm.AlterPartitionAssignments(ctx, req)
	done(t, err, answers.Error())
	for name, partitions := range want {
		for p, replicas := range partitions {
			awaitReplicas(t, c, name, p, replicas)
		}
	}
	c.AwaitFullISR()
}

// drain takes every replica off the Apache Kafka broker, stops it, lets the others serve alone, and gives it everything back.
func drain(t *testing.T, c *harness.Cluster, tr *traffic, gregors []int32) {
	c.In(t)
	reassignAll(t, c, gregors...)
	apache := c.Broker(c.Of(harness.Apache)[0])
	for _, topic := range c.Tree.Children("/brokers/topics") {
		if dir := apache.PartitionDir(topic, 0); dir != "" {
			t.Errorf("the drained broker still has %s", dir)
		}
	}
	apache.Stop()
	c.AwaitAgreement()
	tr.ackedMore()
	apache.Start()
	reassignAll(t, c, 1, 2, 3)
	preferAgain(t, c)
	tr.ackedMore()
}

// TestReplacement is the migration of docs/migration.md: every broker of an all-Apache cluster is stopped and goes on as gregor, with its files and its
// server.properties, under traffic; and back again.
func TestReplacement(t *testing.T) {
	subject := harness.DefaultKind()
	c := harness.StartCluster(t, harness.SharedZooKeeper(t).Chroot(), slices.Repeat([]harness.Kind{harness.Apache}, 3), mixedSettings...)
	c.CreateTopic("moving", [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}, map[string]string{"segment.bytes": "100000"})
	tr := startTraffic(t, c, "moving", 3)
	for _, to := range []harness.Kind{subject, harness.Apache} {
		for _, b := range c.Brokers {
			tr.ackedMore()
			b.Stop()
			b.Kind = to
			b.Start()
			c.AwaitFullISR()
			preferAgain(t, c)
		}
		c.AwaitAgreement()
		tr.ackedMore()
		compare(t, c)
	}
	tr.finish()
	compare(t, c)
	c.VerifyReplicas(".*")
}

// compare wants the replicas of all topics, __consumer_offsets with them, to be the same to the byte up to the high watermark.
func compare(t *testing.T, c *harness.Cluster) {
	t.Helper()
	n := c.CompareReplicas()
	t.Logf("%d batches compared", n)
	if n == 0 {
		t.Error("no batch was compared")
	}
}
