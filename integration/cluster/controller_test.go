package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/integration/harness"
)

// TestController has the broker under test as the controller of two Apache Kafka brokers, which hold all replicas. The parts share the cluster; each leaves
// it whole.
func TestController(t *testing.T) {
	c := harness.NewCluster(t, harness.SharedZooKeeper(t).Chroot(), []harness.Kind{harness.DefaultKind(), harness.Apache, harness.Apache},
		"zookeeper.session.timeout.ms=30000", // a broker that is to be missed loses its registration by hand; one that only hangs must not
		"replica.high.watermark.checkpoint.interval.ms=1000", "offsets.topic.num.partitions=2")
	for _, b := range c.Brokers {
		b.Set["broker.rack"] = []string{"", "east", "west", "east"}[b.ID()]
	}
	c.Broker(3).Set["log.dirs"] += "," + c.Broker(3).LogDir + "-2"
	c.Start()
	if id := c.Controller(); id != 1 {
		t.Fatalf("the controller is broker %d", id)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster)
	}{
		{"racks", racks},
		{"a broker dies and returns", dies},
		{"a broker is replaced unseen", bounces},
		{"controlled shutdown", shutsDown},
		{"a slow follower", lags},
		{"preferred leaders", preferred},
		{"unclean leaders", unclean},
		{"reassignment", reassigns},
		{"reassignment by znode", reassignsByZNode},
		{"more partitions", grows},
		{"deletion", deletes},
		{"a log directory fails", dirFails},
		{"the controller's session expires", controllerExpires},
		{"a broker's session expires", brokerExpires},
		{"the controller moves", controllerMoves},
		{"lives in the state", lives},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			c.In(t)
			part.run(t, c)
			c.AwaitAgreement()
		}) {
			break
		}
	}
}

// preferring is n partitions with those replicas.
func preferring(n int, replicas ...int32) [][]int32 {
	return slices.Repeat([][]int32{replicas}, n)
}

// vanish kills a broker and takes its registration away at once, as the end of its session would some seconds later.
func vanish(c *harness.Cluster, id int32) {
	c.Broker(id).Kill()
	c.Tree.Delete(fmt.Sprintf("/brokers/ids/%d", id))
}

// racks: of every partition's two replicas one is in each rack (broker 2 is alone in the west).
func racks(t *testing.T, c *harness.Cluster) {
	adm, ctx := admin(t, c)
	_, err := adm.CreateTopic(ctx, 12, 2, nil, "racked")
	done(t, err)
	c.AwaitAgreement()
	topic, _ := c.Topic("racked")
	for p, replicas := range topic.Partitions {
		if len(replicas) != 2 || !slices.Contains(replicas, 2) {
			t.Errorf("partition %s has the replicas %v", p, replicas)
		}
	}
	deleteTopics(t, c, "racked")
}

func deleteTopics(t *testing.T, c *harness.Cluster, names ...string) {
	t.Helper()
	adm, ctx := admin(t, c)
	answers, err := adm.DeleteTopics(ctx, names...)
	done(t, err, answers.Error())
	awaitNoTopic(t, c, names...)
}

func awaitNoTopic(t *testing.T, c *harness.Cluster, names ...string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		for _, name := range names {
			if _, ok := c.Topic(name); ok {
				return fmt.Errorf("topic %s still stands", name)
			}
			if c.Tree.Exists("/admin/delete_topics/" + name) {
				return fmt.Errorf("the deletion of %s is still queued", name)
			}
			for _, b := range c.Running() {
				if dir := b.PartitionDir(name, 0); dir != "" {
					return fmt.Errorf("broker %d still has %s", b.ID(), dir)
				}
			}
		}
		return nil
	})
}

// dies: the controller takes a dead broker out of every ISR and moves its leaderships; when it is back it follows, and returns to the ISR on the word of the
// Apache leader (AlterPartition).
func dies(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("dies", [][]int32{{2, 3}, {3, 2}}, nil)
	tr := startTraffic(t, c, "dies", 2)
	tr.ackedMore()
	before, _ := c.State("dies", 1)
	vanish(c, 3)
	for p := range int32(2) {
		s := c.AwaitISR("dies", p, 2)
		if s.Leader != 2 || p == 1 && s.LeaderEpoch <= before.LeaderEpoch {
			t.Errorf("partition %d: %+v, before %+v", p, s, before)
		}
	}
	tr.ackedMore()
	c.AwaitAgreement()
	c.Broker(3).Start()
	c.AwaitFullISR("dies")
	tr.ackedMore()
	tr.finish()
	if n := c.CompareReplicas("dies"); n == 0 {
		t.Error("no batch was compared")
	}
}

// bounces: a broker is gone and registered anew before the controller looks. What it led must be elected again, for its requests of before are void.
func bounces(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("bounces", [][]int32{{2, 3}, {3, 2}}, nil)
	before, _ := c.State("bounces", 1)
	c.Broker(1).Pause()
	vanish(c, 3)
	c.Broker(3).Start()
	c.Broker(1).Resume()
	s := c.AwaitLeader("bounces", 1, 2)
	if s.LeaderEpoch <= before.LeaderEpoch {
		t.Errorf("epoch %d after %d", s.LeaderEpoch, before.LeaderEpoch)
	}
	c.AwaitFullISR("bounces")
}

// shutsDown: leadership is away before the process ends.
func shutsDown(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("shuts-down", [][]int32{{2, 3}, {3, 2}}, map[string]string{"min.insync.replicas": "1"})
	tr := startTraffic(t, c, "shuts-down", 2)
	tr.ackedMore()
	c.Broker(2).Stop()
	if text := c.Broker(2).Log(); !strings.Contains(text, "Controlled shutdown request returned successfully") {
		t.Error("broker 2 was not told that its shutdown is under control")
	}
	for p := range int32(2) {
		if s, _ := c.State("shuts-down", p); s.Leader != 3 || len(s.ISR) != 1 {
			t.Errorf("partition %d: %+v", p, s)
		}
	}
	tr.ackedMore()
	c.Broker(2).Start()
	c.AwaitFullISR("shuts-down")
	tr.finish()
}

// lags: an Apache leader takes a follower that hangs out of the ISR, and in again, through the controller. The follower stays a live broker.
func lags(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("lags", preferring(1, 2, 3), nil)
	before, _ := c.State("lags", 0)
	tr := startTraffic(t, c, "lags", 1)
	tr.ackedMore()
	c.Broker(3).Pause()
	out := c.AwaitISR("lags", 0, 2)
	c.Broker(3).Resume()
	in := c.AwaitISR("lags", 0, 2, 3)
	if out.LeaderEpoch != before.LeaderEpoch || in.LeaderEpoch != before.LeaderEpoch || in.PartitionEpoch < before.PartitionEpoch+2 {
		t.Errorf("before %+v, out %+v, in %+v", before, out, in)
	}
	tr.finish()
}

// preferred: the three ways to a preferred election.
func preferred(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("preferred", preferring(2, 3, 2), nil)
	depose := func() {
		c.Broker(3).ExpireSession()
		c.AwaitLeader("preferred", 0, 2)
		c.AwaitLeader("preferred", 1, 2)
		c.AwaitFullISR("preferred")
	}
	depose()
	adm, ctx := admin(t, c)
	answers, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{"preferred": {0: {}}})
	done(t, err)
	if got := answers["preferred"][0]; got.Err != nil {
		t.Errorf("electing: %v %s", got.Err, got.ErrMessage)
	}
	if s, _ := c.State("preferred", 0); s.Leader != 3 {
		t.Errorf("after the election: %+v", s)
	}
	if s, _ := c.State("preferred", 1); s.Leader != 2 {
		t.Errorf("not asked for: %+v", s)
	}
	c.Tree.Create("/admin/preferred_replica_election", `{"version":1,"partitions":[{"topic":"preferred","partition":1},{"topic":"no such","partition":0}]}`)
	c.AwaitLeader("preferred", 1, 3)
	harness.Eventually(t, time.Minute, func() error {
		if c.Tree.Exists("/admin/preferred_replica_election") {
			return fmt.Errorf("the request still stands")
		}
		return nil
	})
	// auto.leader.rebalance.enable: a new term of a controller that has it set looks after five seconds.
	depose()
	c.Broker(1).Stop()
	c.AwaitController(1)
	c.Broker(1).Set["auto.leader.rebalance.enable"] = "true"
	c.Broker(1).Start()
	c.MoveController(1)
	c.AwaitLeader("preferred", 0, 3)
	c.AwaitLeader("preferred", 1, 3)
	c.Broker(1).Set["auto.leader.rebalance.enable"] = "false"
	c.Broker(1).Stop()
	c.Broker(1).Start()
	c.MoveController(1)
}
