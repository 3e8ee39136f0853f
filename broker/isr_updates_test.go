package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
	"gregor/zk/zktest"
)

// duo is a cluster of brokers 0 and 1 in this process. Topic t has one partition, which broker 0 leads and broker 1 follows.
type duo struct {
	t       *testing.T
	zk      *zktest.Server
	props   [2]map[string]string
	brokers [2]*running
	tp      protocol.TopicPartition
}

func startDuo(t *testing.T, more map[string]string) *duo {
	t.Helper()
	d := &duo{t: t, zk: zktest.Start(t), tp: protocol.TopicPartition{Topic: "t"}}
	for id := range d.brokers {
		own := map[string]string{
			"broker.id": strconv.Itoa(id), "broker.rack": "rack-" + strconv.Itoa(id), "replica.fetch.wait.max.ms": "100",
			"zookeeper.session.timeout.ms": "60000", // a machine that stands still for a while is no dead broker
			"controlled.shutdown.enable":   "false", // the last replica has nobody to hand its leadership to
		}
		maps.Copy(own, more)
		d.props[id] = properties(t, d.zk, own)
		d.start(id)
	}
	for id := range d.brokers {
		eventually(t, "broker "+strconv.Itoa(id)+" knows both", func() bool { return len(d.brokers[id].metadata.AliveBrokers()) == 2 })
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 5, int32(patience.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = d.tp.Topic, -1, -1
	topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{0, 1}}}
	req.Topics = append(req.Topics, topic)
	if code := ask[*kmsg.CreateTopicsResponse](d.brokers[0].dial(), req).Topics[0].ErrorCode; code != 0 {
		t.Fatal(protocol.ErrorCode(code))
	}
	eventually(t, "both have the replica", func() bool { return d.replica(0) != nil && d.replica(1) != nil })
	d.awaitISR("a new topic", 0, 1)
	return d
}

func (d *duo) start(id int) {
	d.t.Helper()
	var err error
	if d.brokers[id], err = tryBroker(d.t, d.zk, d.props[id]); err != nil {
		d.t.Fatal(err)
	}
}

func (d *duo) replica(id int) *replication.Partition {
	p, _ := d.brokers[id].replicas.Partition(d.tp)
	return p
}

// awaitMetadata waits, for the minute at most in which Kafka tells the controller what leaders wrote into ZooKeeper, until broker 0 was told this of the partition.
func (d *duo) awaitMetadata(what string, want func(partitionImage) bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), isrNotificationDelay)
	defer cancel()
	cache := d.brokers[0].metadata
	if !cache.Await(ctx, func() bool { p, ok := cache.partition(d.tp); return ok && want(p) }) {
		d.t.Fatalf("%s: not within %v", what, isrNotificationDelay)
	}
}

// awaitISR waits until ZooKeeper and the leader have this ISR.
func (d *duo) awaitISR(what string, isr ...int32) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%s: ISR %v", what, isr), func() bool {
		states, err := d.brokers[0].Broker.zk.PartitionStates([]protocol.TopicPartition{d.tp})
		return err == nil && slices.Equal(states[d.tp].ISR, isr) && slices.Equal(d.replica(0).ISR(), isr)
	})
}

// A follower that stops fetching leaves the ISR, and joins again when it has caught up, whoever decides about it.
func TestISRShrinksAndExpands(t *testing.T) {
	for _, ibp := range []string{"3.9", "3.2", "2.8", "2.6"} { // AlterPartition by id with epochs, by name, of version 0; by ZooKeeper
		t.Run(ibp, func(t *testing.T) {
			d := startDuo(t, map[string]string{"inter.broker.protocol.version": ibp, "replica.lag.time.max.ms": "1500"})
			c := d.brokers[0].dial()
			c.produced("t", 0, "a")
			_, epoch := d.replica(0).Leader()

			stop := kmsg.NewPtrStopReplicaRequest()
			stop.Version, stop.ControllerEpoch, stop.BrokerEpoch = 3, d.brokers[0].controller.Epoch(), -1
			stop.Topics = []kmsg.StopReplicaRequestTopic{{Topic: "t", PartitionStates: []kmsg.StopReplicaRequestTopicPartitionState{{Partition: 0, LeaderEpoch: -1}}}}
			if resp := d.brokers[1].replicas.StopReplica(stop); resp.ErrorCode != 0 {
				t.Fatal(resp.ErrorCode)
			}
			c.produced("t", 0, "b")
			d.awaitISR("broker 1 fetches no more", 0)
			if p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, -1, values("c"))).Topics[0].Partitions[0]; p.ErrorCode != 0 {
				t.Errorf("acks -1: %v", protocol.ErrorCode(p.ErrorCode))
			}
			if _, now := d.replica(0).Leader(); now != epoch {
				t.Errorf("the ISR shrank with leader epoch %d, not by the leader's proposal in %d", now, epoch)
			}

			if err := d.brokers[1].Shutdown(); err != nil {
				t.Fatal(err)
			}
			d.start(1)
			d.awaitISR("broker 1 fetches again", 0, 1)
			d.awaitMetadata("the controller knows", func(p partitionImage) bool { return slices.Equal(p.isr, []int32{0, 1}) })
			if p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, -1, values("d"))).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 3 {
				t.Errorf("acks -1: %v at %d", protocol.ErrorCode(p.ErrorCode), p.BaseOffset)
			}
			if end := d.replica(1).Log().LogEndOffset(); end != 4 {
				t.Errorf("acknowledged, and broker 1's log ends at %d", end)
			}
		})
	}
}

// DeleteRecords is answered when the follower's log starts there, too.
func TestDeleteRecordsWaitsForFollower(t *testing.T) {
	d := startDuo(t, nil)
	c := d.brokers[0].dial()
	if p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, -1, values("a", "b", "c"))).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Fatal(protocol.ErrorCode(p.ErrorCode))
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, int32(patience.Milliseconds())
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 2}}}}
	p := ask[*kmsg.DeleteRecordsResponse](c, req).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || p.LowWatermark != 2 {
		t.Errorf("%v, low watermark %d", protocol.ErrorCode(p.ErrorCode), p.LowWatermark)
	}
	if start := d.replica(1).Log().LogStartOffset(); start != 2 {
		t.Errorf("answered while broker 1's log starts at %d", start)
	}
}

// Fetching from the nearest replica (KIP-392): the leader sends a consumer of the follower's rack there, and the follower serves it, up to its own watermark.
func TestFetchFromNearestReplica(t *testing.T) {
	d := startDuo(t, map[string]string{"replica.selector.class": rackAwareSelector})
	if p := ask[*kmsg.ProduceResponse](d.brokers[0].dial(), produceTo("t", 0, -1, values("a"))).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Fatal(protocol.ErrorCode(p.ErrorCode))
	}
	eventually(t, "the follower's watermark", func() bool { return d.replica(1).Log().HighWatermark() == 1 })
	const nobody = -1
	for _, tc := range []struct {
		name      string
		broker    int
		version   int16
		rack      string
		replica   int32
		preferred int32
		code      protocol.ErrorCode
		records   int
	}{
		{"the follower's rack", 0, 12, "rack-1", -1, 1, protocol.None, 0},
		{"the leader's rack", 0, 12, "rack-0", -1, nobody, protocol.None, 1},
		{"a rack of nobody", 0, 12, "rack-2", -1, nobody, protocol.None, 1},
		{"no rack", 0, 12, "", -1, nobody, protocol.None, 1},
		{"a version without racks", 0, 10, "", -1, nobody, protocol.None, 1},
		{"the follower", 1, 12, "rack-1", -1, nobody, protocol.None, 1},
		{"the follower, without a rack", 1, 11, "", -1, nobody, protocol.None, 1},
		{"the follower, in a version of leaders only", 1, 10, "", -1, nobody, protocol.NotLeaderOrFollower, 0},
		{"the follower, debugging", 1, 10, "", debuggingReplicaID, nobody, protocol.None, 1},
		{"the follower, as a replica", 1, 12, "", 0, nobody, protocol.NotLeaderOrFollower, 0},
	} {
		req := fetchPartitions("t", 1)
		req.Version, req.Rack, req.ReplicaID = tc.version, tc.rack, tc.replica
		req.MaxWaitMillis = 2 * int32(patience.Milliseconds()) // nobody waits: not who is sent elsewhere either
		p := ask[*kmsg.FetchResponse](d.brokers[tc.broker].dial(), req).Topics[0].Partitions[0]
		if p.PreferredReadReplica != tc.preferred || protocol.ErrorCode(p.ErrorCode) != tc.code || len(recordValues(t, p.RecordBatches)) != tc.records {
			t.Errorf("%s: %v, preferred %d, %d bytes; want %v, %d, %d records", tc.name, protocol.ErrorCode(p.ErrorCode), p.PreferredReadReplica, len(p.RecordBatches), tc.code, tc.preferred, tc.records)
		}
		if tc.code == protocol.None && p.HighWatermark != 1 {
			t.Errorf("%s: watermark %d", tc.name, p.HighWatermark)
		}
	}
	// A consumer that waits at the follower is woken when the watermark moves there.
	req := fetchPartitions("t", 1)
	req.MaxWaitMillis, req.Topics[0].Partitions[0].FetchOffset = int32(patience.Milliseconds()), 1
	follower := d.brokers[1].dial()
	sent := follower.send(req)
	d.brokers[0].dial().produced("t", 0, "b")
	if p := follower.receive(req, sent).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(recordValues(t, p.RecordBatches)) != 1 {
		t.Errorf("%v, %d bytes", protocol.ErrorCode(p.ErrorCode), len(p.RecordBatches))
	}
}

// Who is nearest.
func TestNearestReplica(t *testing.T) {
	replica := func(id int32, end int64, caughtUp int) replication.ReadReplica {
		return replication.ReadReplica{ID: id, LogEndOffset: end, LastCaughtUp: time.Unix(int64(caughtUp), 0)}
	}
	leader := replica(0, 100, 0)
	for _, tc := range []struct {
		name     string
		replicas []replication.ReadReplica
		near     []int32
		want     int32
	}{
		{"not the leader here", nil, []int32{0, 1}, -1},
		{"the leader is near", []replication.ReadReplica{leader, replica(1, 100, 9)}, []int32{0, 1}, -1},
		{"nobody is near", []replication.ReadReplica{leader, replica(1, 100, 9)}, nil, -1},
		{"the longest log", []replication.ReadReplica{leader, replica(1, 90, 5), replica(2, 80, 9), replica(3, 100, 9)}, []int32{1, 2}, 1},
		{"caught up last", []replication.ReadReplica{leader, replica(1, 90, 5), replica(2, 90, 9)}, []int32{1, 2}, 2},
		{"the highest id", []replication.ReadReplica{leader, replica(2, 90, 5), replica(1, 90, 5)}, []int32{1, 2}, 2},
	} {
		if got := nearestReplica(tc.replicas, func(id int32) bool { return slices.Contains(tc.near, id) }); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// When the controller is told of ISR changes in ZooKeeper: 5 s after the last one, or a minute after it was told last.
func TestISRChangesDue(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	c := &isrChanges{propagated: start}
	due := func(after time.Duration, want int) {
		t.Helper()
		if got := c.due(start.Add(after)); len(got) != want {
			t.Errorf("after %v: %v, want %d", after, got, want)
		}
	}
	due(time.Hour, 0)
	c.propagated = start
	c.add(protocol.TopicPartition{Topic: "t"}, start)
	c.add(protocol.TopicPartition{Topic: "t", Partition: 1}, start.Add(3*time.Second))
	due(8*time.Second, 0)
	due(8*time.Second+1, 2)
	due(9*time.Second, 0)
	for s := 9; s <= 68; s++ { // more and more of them
		c.add(protocol.TopicPartition{Topic: "t"}, start.Add(time.Duration(s)*time.Second))
		due(time.Duration(s)*time.Second, 0)
	}
	due(68*time.Second+2, 1)
}

// A replica whose broker was born again after the fetch that brought it up to date is not proposed for the ISR (KIP-903).
func TestRebornReplicaIsNotProposed(t *testing.T) {
	r := startBroker(t, nil)
	epoch := r.epoch.Load()
	for _, tc := range []struct {
		name   string
		added  []replication.ISRMember
		reborn bool
	}{
		{"nobody is added", nil, false},
		{"in the life that is registered", []replication.ISRMember{{Broker: r.id, BrokerEpoch: epoch}}, false},
		{"in an earlier life", []replication.ISRMember{{Broker: r.id, BrokerEpoch: epoch - 1}}, true},
		{"in a life that this ZooKeeper server has not heard of yet", []replication.ISRMember{{Broker: r.id, BrokerEpoch: epoch + 1}}, false},
		{"of a broker that is not registered", []replication.ISRMember{{Broker: 9, BrokerEpoch: 3}}, true},
		{"by a fetch that does not tell", []replication.ISRMember{{Broker: r.id, BrokerEpoch: -1}}, false},
		{"the second of two", []replication.ISRMember{{Broker: r.id, BrokerEpoch: epoch}, {Broker: 9, BrokerEpoch: 3}}, true},
	} {
		reborn, err := r.addsReborn(&replication.ISRProposal{Added: tc.added}, map[int32]int64{})
		if err != nil || reborn != tc.reborn {
			t.Errorf("%s: %v, %v", tc.name, reborn, err)
		}
	}
}
