package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// unclean: a partition whose last replica in sync is dead has no leader, until one of the three ways to allow it is gone: the topic's config, a request, the
// brokers' default.
func unclean(t *testing.T, c *harness.Cluster) {
	topics := []string{"unclean-topic", "unclean-asked", "unclean-default"}
	for _, topic := range topics {
		c.CreateTopic(topic, preferring(1, 3, 2), nil)
	}
	vanish(c, 2)
	for _, topic := range topics {
		c.AwaitISR(topic, 0, 3)
		harness.Produce(t, c.Client(), &kgo.Record{Topic: topic, Value: []byte("on broker 3 only")})
	}
	vanish(c, 3)
	c.Broker(2).Start()
	c.AwaitAgreement()
	adm, ctx := admin(t, c)
	leaderless := func(topics ...string) {
		t.Helper()
		for _, topic := range topics {
			if s, _ := c.State(topic, 0); s.Leader != -1 || !slices.Equal(s.ISR, []int32{3}) {
				t.Errorf("%s: %+v", topic, s)
			}
		}
	}
	leaderless(topics...)
	yes := kadm.AlterConfig{Op: kadm.SetConfig, Name: "unclean.leader.election.enable", Value: new(string)}
	*yes.Value = "true"
	led := func(topic string) {
		t.Helper()
		c.AwaitState(topic, 0, func(s harness.PartitionState) error {
			if s.Leader != 2 || !slices.Equal(s.ISR, []int32{2}) {
				return errors.New("not led by broker 2 alone")
			}
			return nil
		})
	}
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{yes}, topics[0])
	done(t, err, altered[0].Err)
	led(topics[0])
	leaderless(topics[1:]...)
	answers, err := adm.ElectLeaders(ctx, kadm.ElectLiveReplica, kadm.TopicsSet{topics[1]: {0: {}}})
	done(t, err, answers[topics[1]][0].Err)
	led(topics[1])
	leaderless(topics[2])
	altered, err = adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{yes})
	done(t, err, altered[0].Err)
	led(topics[2])
	yes.Op, yes.Value = kadm.DeleteConfig, nil
	altered, err = adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{yes})
	done(t, err, altered[0].Err)

	c.Broker(3).Start()
	for _, topic := range topics {
		if s := c.AwaitISR(topic, 0, 2, 3); s.Recovery != 0 {
			t.Errorf("%s: still recovering: %+v", topic, s)
		}
	}
	harness.Produce(t, c.Client(), &kgo.Record{Topic: topics[0], Value: []byte("on both")})
	if n := c.CompareReplicas(topics...); n != 1 {
		t.Errorf("%d batches, but only the last record is on a replica that may lead", n)
	}
}

// fill writes some megabytes into partition 0, more than one fetch of a follower takes.
func fill(t *testing.T, c *harness.Cluster, topic string) {
	t.Helper()
	client := c.Client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 8 {
		var records []*kgo.Record
		for range 10 {
			records = append(records, &kgo.Record{Topic: topic, Value: []byte(strings.Repeat("x", 50_000))})
		}
		harness.Produce(t, client, records...)
	}
}

// throttle slows the replication of topics to a trickle, so that a reassignment stays in progress, until the returned function is called.
func throttle(t *testing.T, c *harness.Cluster, topics ...string) (release func()) {
	t.Helper()
	adm, ctx := admin(t, c)
	alter := func(op kadm.IncrementalOp, value string, names ...string) (all []kadm.AlterConfig) {
		for _, name := range names {
			all = append(all, kadm.AlterConfig{Op: op, Name: name, Value: &value})
		}
		return all
	}
	apply := func(answers kadm.AlterConfigsResponses, err error) {
		t.Helper()
		done(t, err)
		for _, answer := range answers {
			done(t, answer.Err)
		}
	}
	rates := []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	apply(adm.AlterTopicConfigs(ctx, alter(kadm.SetConfig, "*", "leader.replication.throttled.replicas", "follower.replication.throttled.replicas"), topics...))
	apply(adm.AlterBrokerConfigs(ctx, alter(kadm.SetConfig, "1000", rates...), c.Of(harness.Apache)...))
	return func() {
		apply(adm.AlterBrokerConfigs(ctx, alter(kadm.DeleteConfig, "", rates...), c.Of(harness.Apache)...))
	}
}

func assign(topic string, replicas ...int32) kadm.AlterPartitionAssignmentsReq {
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, 0, replicas)
	return req
}

func alterAssignment(t *testing.T, c *harness.Cluster, topic string, req kadm.AlterPartitionAssignmentsReq) error {
	t.Helper()
	adm, ctx := admin(t, c)
	answers, err := adm.AlterPartitionAssignments(ctx, req)
	done(t, err)
	return answers[topic][0].Err
}

// awaitAssignment is awaitReplicas of partition 0, which returns its state.
func awaitAssignment(t *testing.T, c *harness.Cluster, topic string, replicas ...int32) harness.PartitionState {
	t.Helper()
	awaitReplicas(t, c, topic, 0, replicas)
	return c.AwaitISR(topic, 0, slices.Clone(replicas)...)
}

// awaitReplicas waits until a partition has these replicas and its topic no reassignment, and its files lie with these only.
func awaitReplicas(t *testing.T, c *harness.Cluster, topic string, partition int32, replicas []int32) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() error {
		got, _ := c.Topic(topic)
		if !slices.Equal(got.Partitions[strconv.Itoa(int(partition))], replicas) || len(got.Adding)+len(got.Removing) > 0 {
			return fmt.Errorf("%s-%d: %+v, not %v", topic, partition, got, replicas)
		}
		for _, b := range c.Running() {
			if has := b.PartitionDir(topic, partition) != ""; has != slices.Contains(replicas, b.ID()) {
				return fmt.Errorf("broker %d has files of %s-%d: %v", b.ID(), topic, partition, has)
			}
		}
		return nil
	})
}

func awaitReassigning(t *testing.T, c *harness.Cluster, topic string, replicas, adding, removing []int32) {
	t.Helper()
	adm, ctx := admin(t, c)
	listed, err := adm.ListPartitionReassignments(ctx, kadm.TopicsSet{topic: {0: {}}})
	done(t, err)
	got := listed[topic][0]
	if !slices.Equal(got.Replicas, replicas) || !slices.Equal(got.AddingReplicas, adding) || !slices.Equal(got.RemovingReplicas, removing) {
		t.Errorf("%s: %+v, want %v, adding %v, removing %v", topic, got, replicas, adding, removing)
	}
}

// reassigns: a partition moves from one Apache broker to the other, is cancelled on its way, moves again, grows and shrinks; under traffic.
func reassigns(t *testing.T, c *harness.Cluster) {
	const topic = "moves"
	c.CreateTopic(topic, preferring(1, 2), nil)
	fill(t, c, topic)
	c.CreateTopic("moves-busy", preferring(1, 2), nil)
	tr := startTraffic(t, c, "moves-busy", 1)
	for _, refused := range []struct {
		req  kadm.AlterPartitionAssignmentsReq
		want error
	}{
		{func() (r kadm.AlterPartitionAssignmentsReq) { r.CancelAssign(topic, 0); return }(), kerr.NoReassignmentInProgress},
		{assign(topic, 9), kerr.InvalidReplicaAssignment},
		{assign(topic, 3, 3), kerr.InvalidReplicaAssignment},
		{assign(topic, -1), kerr.InvalidReplicaAssignment},
	} {
		if err := alterAssignment(t, c, topic, refused.req); !errors.Is(err, refused.want) {
			t.Errorf("%v: %v, want %v", refused.req, err, refused.want)
		}
	}
	release := throttle(t, c, topic)
	done(t, alterAssignment(t, c, topic, assign(topic, 3)))
	awaitReassigning(t, c, topic, []int32{3, 2}, []int32{3}, []int32{2})
	var cancel kadm.AlterPartitionAssignmentsReq
	cancel.CancelAssign(topic, 0)
	done(t, alterAssignment(t, c, topic, cancel))
	awaitAssignment(t, c, topic, 2)
	release()

	done(t, alterAssignment(t, c, topic, assign(topic, 3)))
	if s := awaitAssignment(t, c, topic, 3); s.Leader != 3 {
		t.Errorf("after the move: %+v", s)
	}
	for _, replicas := range [][]int32{{3, 2}, {2}, {2, 3}, {3, 2}} {
		for _, name := range []string{topic, "moves-busy"} {
			done(t, alterAssignment(t, c, name, assign(name, replicas...)))
			awaitAssignment(t, c, name, replicas...)
		}
	}
	tr.ackedMore()
	tr.finish()
	if n := c.CompareReplicas(topic, "moves-busy"); n == 0 {
		t.Error("nothing was compared")
	}
}

// reassignsByZNode: as the tools of Kafka 2 ask for it, with an entry for a topic that does not exist, and one that a later request overrides.
func reassignsByZNode(t *testing.T, c *harness.Cluster) {
	const path = "/admin/reassign_partitions"
	for _, topic := range []string{"znode-a", "znode-b"} {
		c.CreateTopic(topic, preferring(1, 2), nil)
		fill(t, c, topic)
	}
	release := throttle(t, c, "znode-a", "znode-b")
	c.Tree.Create(path, `{"version":1,"partitions":[{"topic":"znode-a","partition":0,"replicas":[3]},`+
		`{"topic":"znode-b","partition":0,"replicas":[3]},{"topic":"no such","partition":0,"replicas":[3]}]}`)
	harness.Eventually(t, time.Minute, func() error {
		if data, _ := c.Tree.Get(path); strings.Contains(data, "no such") {
			return fmt.Errorf("%s: %s", path, data)
		}
		if a, _ := c.Topic("znode-b"); !slices.Equal(a.Partitions["0"], []int32{3, 2}) {
			return fmt.Errorf("znode-b: %+v", a)
		}
		return nil
	})
	done(t, alterAssignment(t, c, "znode-b", assign("znode-b", 2, 3)))
	if data, _ := c.Tree.Get(path); strings.Contains(data, "znode-b") || !strings.Contains(data, "znode-a") {
		t.Errorf("%s: %s", path, data)
	}
	release()
	awaitAssignment(t, c, "znode-a", 3)
	awaitAssignment(t, c, "znode-b", 2, 3)
	harness.Eventually(t, time.Minute, func() error {
		if c.Tree.Exists(path) {
			return errors.New(path + " still stands")
		}
		return nil
	})
}

// grows: by request, and behind the controller's back as a tool older than topic ids does it.
func grows(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("grows", preferring(1, 2, 3), nil)
	adm, ctx := admin(t, c)
	answers, err := adm.CreatePartitions(ctx, 2, "grows")
	done(t, err, answers.Error())
	c.AwaitAgreement()
	before, _ := c.Topic("grows")
	if len(before.Partitions) != 3 {
		t.Errorf("%+v", before)
	}
	before.Partitions["3"] = []int32{3, 2}
	old, err := json.Marshal(map[string]any{"version": 1, "partitions": before.Partitions})
	done(t, err)
	c.Tree.Set("/brokers/topics/grows", string(old))
	if s := c.AwaitISR("grows", 3, 2, 3); s.Leader != 3 {
		t.Errorf("the new partition: %+v", s)
	}
	if c.Broker(1).Kind == harness.Apache {
		// Its controller loses the id, and gives the topic another one when it is elected again (KAFKA-14190).
		whole, err := json.Marshal(map[string]any{"version": 3, "topic_id": before.ID, "partitions": before.Partitions,
			"adding_replicas": struct{}{}, "removing_replicas": struct{}{}})
		done(t, err)
		c.Tree.Set("/brokers/topics/grows", string(whole))
	}
	harness.Eventually(t, time.Minute, func() error {
		if after, _ := c.Topic("grows"); after.ID != before.ID {
			return fmt.Errorf("the topic's id was %q and is %q", before.ID, after.ID)
		}
		return nil
	})
}

// deletes: with a replica on a dead broker, and in the middle of a reassignment.
func deletes(t *testing.T, c *harness.Cluster) {
	for _, topic := range []string{"deleted-dead", "deleted-moving"} {
		c.CreateTopic(topic, preferring(1, 2), nil)
	}
	done(t, alterAssignment(t, c, "deleted-dead", assign("deleted-dead", 2, 3)))
	awaitAssignment(t, c, "deleted-dead", 2, 3)
	fill(t, c, "deleted-moving")
	release := throttle(t, c, "deleted-moving")
	done(t, alterAssignment(t, c, "deleted-moving", assign("deleted-moving", 3)))

	vanish(c, 3)
	c.AwaitISR("deleted-dead", 0, 2)
	adm, ctx := admin(t, c)
	adm.SetTimeoutMillis(500)
	answers, err := adm.DeleteTopics(ctx, "deleted-dead", "deleted-moving")
	done(t, err)
	for _, answer := range answers {
		if answer.Err != nil && !errors.Is(answer.Err, kerr.RequestTimedOut) {
			t.Errorf("deleting %s: %v", answer.Topic, answer.Err)
		}
	}
	for _, topic := range []string{"deleted-dead", "deleted-moving"} {
		if !c.Tree.Exists("/admin/delete_topics/"+topic) || !c.Tree.Exists("/brokers/topics/"+topic) {
			t.Errorf("%s was deleted while it could not be", topic)
		}
	}
	if dir := c.Broker(2).PartitionDir("deleted-moving", 0); dir == "" {
		t.Error("the topic that moves has lost its replica")
	}
	c.Broker(3).Start()
	awaitNoTopic(t, c, "deleted-dead")
	release()
	awaitNoTopic(t, c, "deleted-moving")
}

// dirFails: a broker says that one of its log directories failed; the replicas in it are offline, those in the other are not.
func dirFails(t *testing.T, c *harness.Cluster) {
	const topic, partitions = "dir-fails", 4
	c.CreateTopic(topic, preferring(partitions, 3, 2), nil)
	b := c.Broker(3)
	failing := strings.Split(b.Set["log.dirs"], ",")[1]
	inFailing := func(p int32) bool { return strings.HasPrefix(b.PartitionDir(topic, p), failing+"/") }
	var lost []int32
	for p := range int32(partitions) {
		if inFailing(p) {
			lost = append(lost, p)
		}
	}
	if len(lost) == 0 || len(lost) == partitions {
		t.Fatalf("partitions %v are in %s", lost, failing)
	}
	done(t, os.RemoveAll(failing), os.WriteFile(failing, nil, 0o644))
	for p := range int32(partitions) {
		if slices.Contains(lost, p) {
			c.AwaitISR(topic, p, 2)
		}
	}
	for p := range int32(partitions) {
		if s, _ := c.State(topic, p); (s.Leader == 2) != slices.Contains(lost, p) {
			t.Errorf("partition %d, failed %v: %+v", p, slices.Contains(lost, p), s)
		}
	}
	b.Stop()
	done(t, os.Remove(failing), os.Mkdir(failing, 0o755))
	b.Start()
	c.AwaitFullISR(topic)
}

// controllerExpires: another is elected while the old one comes back as an ordinary broker, and nobody who writes notices.
func controllerExpires(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("controller-expires", preferring(1, 2, 3), nil)
	tr := startTraffic(t, c, "controller-expires", 1)
	tr.ackedMore()
	epoch := controllerEpoch(c)
	c.Broker(1).ExpireSession()
	c.AwaitController()
	c.AwaitAgreement()
	if now := controllerEpoch(c); now <= epoch {
		t.Errorf("controller epoch %d after %d", now, epoch)
	}
	c.MoveController(1)
	c.CreateTopic("controller-expired", preferring(1, 3, 2), nil)
	tr.finish()
}

func controllerEpoch(c *harness.Cluster) int {
	text, _ := c.Tree.Get("/controller_epoch")
	var epoch int
	_, _ = fmt.Sscan(text, &epoch)
	return epoch
}

// brokerExpires: what a broker led whose session ended moves away, and it follows when it has registered again.
func brokerExpires(t *testing.T, c *harness.Cluster) {
	c.CreateTopic("broker-expires", preferring(1, 2, 3), nil)
	tr := startTraffic(t, c, "broker-expires", 1)
	tr.ackedMore()
	before, _ := c.State("broker-expires", 0)
	c.Broker(2).ExpireSession()
	s := c.AwaitState("broker-expires", 0, func(s harness.PartitionState) error {
		if s.LeaderEpoch <= before.LeaderEpoch {
			return errors.New("no new leader epoch")
		}
		return nil
	})
	c.AwaitISR("broker-expires", 0, 2, 3)
	tr.ackedMore()
	tr.finish()
	t.Logf("%+v, then %+v", before, s)
}

// controllerMoves: what one kind of controller began the other finishes, both ways.
func controllerMoves(t *testing.T, c *harness.Cluster) {
	const topic = "controller-moves"
	c.CreateTopic(topic, preferring(1, 2), nil)
	fill(t, c, topic)
	for _, way := range []struct {
		from, to int32 // controllers
		replicas []int32
	}{{1, 2, []int32{3}}, {2, 1, []int32{2}}} {
		c.MoveController(way.from)
		release := throttle(t, c, topic)
		done(t, alterAssignment(t, c, topic, assign(topic, way.replicas...)))
		c.MoveController(way.to)
		if a, _ := c.Topic(topic); len(a.Adding) == 0 {
			t.Fatalf("the reassignment was over too soon: %+v", a)
		}
		release()
		awaitAssignment(t, c, topic, way.replicas...)
		adm, ctx := admin(t, c)
		name := fmt.Sprintf("made-by-%d", way.to)
		_, err := adm.CreateTopic(ctx, 3, 2, nil, name)
		done(t, err)
		c.AwaitAgreement()
	}
	deleteTopics(t, c, "made-by-1", "made-by-2")
}
