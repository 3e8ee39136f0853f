package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk/zktest"
)

// cluster is several brokers in this process, on one ZooKeeper. A stopped one is nil.
type cluster struct {
	t       testing.TB
	zk      *zktest.Server
	props   []map[string]string // by broker id
	brokers []*running
}

// startCluster starts n brokers, ids from 0 on, the first being the controller. more overrides their configuration.
func startCluster(t testing.TB, n int, more map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, zk: zktest.Start(t), brokers: make([]*running, n)}
	for id := range n {
		props := properties(t, c.zk, map[string]string{
			"broker.id": strconv.Itoa(id), "offsets.topic.replication.factor": strconv.Itoa(n), "zookeeper.session.timeout.ms": "20000",
			"controlled.shutdown.retry.backoff.ms": "50", "auto.leader.rebalance.enable": "false", "num.replica.fetchers": "1",
		})
		for key, value := range more {
			props[key] = value
		}
		c.props = append(c.props, props)
		c.start(id)
	}
	for id := range n {
		c.await(fmt.Sprint("broker ", id, " knows of all"), func() bool { return len(c.brokers[id].metadata.AliveBrokers()) == n })
	}
	return c
}

func (c *cluster) start(id int) {
	c.t.Helper()
	r, err := tryBroker(c.t, c.zk, c.props[id])
	if err != nil {
		c.t.Fatalf("broker %d: %v", id, err)
	}
	c.brokers[id] = r
}

func (c *cluster) stop(id int) {
	c.t.Helper()
	if err := c.brokers[id].Shutdown(); err != nil {
		c.t.Fatalf("broker %d: %v", id, err)
	}
	c.brokers[id] = nil
}

func (c *cluster) await(what string, ok func() bool) {
	c.t.Helper()
	eventually(c.t, what, ok)
}

// live is any broker that runs.
func (c *cluster) live() *running {
	for _, r := range c.brokers {
		if r != nil {
			return r
		}
	}
	c.t.Fatal("no broker runs")
	return nil
}

// create makes a topic with these replicas, the controller being broker 0, and waits until every broker knows it.
func (c *cluster) create(name string, partitions ...[]int32) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, int32(patience.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
	for i, replicas := range partitions {
		topic.ReplicaAssignment = append(topic.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: replicas})
	}
	req.Topics = append(req.Topics, topic)
	if got := ask[*kmsg.CreateTopicsResponse](c.brokers[0].dial(), req).Topics[0]; got.ErrorCode != 0 {
		c.t.Fatalf("creating %s: %v", name, protocol.ErrorCode(got.ErrorCode))
	}
	for id, r := range c.brokers {
		c.await(fmt.Sprintf("broker %d hears of %s", id, name), func() bool { return r.metadata.AllLed(name, int32(len(partitions))) })
	}
}

// inSync waits until this broker knows that a partition has n replicas in sync.
func (c *cluster) inSync(topic string, partition int32, n int) {
	c.t.Helper()
	tp := protocol.TopicPartition{Topic: topic, Partition: partition}
	c.await(fmt.Sprintf("%d replicas of %v in sync", n, tp), func() bool {
		p, ok := c.live().metadata.partition(tp)
		return ok && len(p.isr) == n
	})
}

// coordinator finds the running coordinator of a group.
func (c *cluster) coordinator(group string) *running {
	c.t.Helper()
	var found *running
	c.await("the coordinator of "+group, func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = 3, group
		resp := ask[*kmsg.FindCoordinatorResponse](c.live().dial(), req)
		if resp.ErrorCode != 0 {
			return false
		}
		found = c.brokers[resp.NodeID]
		return found != nil
	})
	return found
}

// retriable are the answers with which a coordinator sends its clients looking for another, or to wait.
func retriable(code int16) bool {
	switch protocol.ErrorCode(code) {
	case protocol.NotCoordinator, protocol.CoordinatorNotAvailable, protocol.CoordinatorLoadInProgress, protocol.RequestTimedOut:
		return true
	}
	return false
}

// commit commits an offset for t-0, asking on as clients do.
func (c *cluster) commit(group string, offset int64) {
	c.t.Helper()
	var code int16
	c.await(fmt.Sprint("a commit of ", offset), func() bool {
		code = c.tryCommit(group, offset)
		return !retriable(code)
	})
	if code != 0 {
		c.t.Fatalf("commit of %d: %v", offset, protocol.ErrorCode(code))
	}
}

func (c *cluster) tryCommit(group string, offset int64) int16 {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, group, -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "t"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return ask[*kmsg.OffsetCommitResponse](c.coordinator(group).dial(), req).Topics[0].Partitions[0].ErrorCode
}

// fetchFrom asks one broker for the offset that a group committed for t-0.
func fetchFrom(r *running, group string) *kmsg.OffsetFetchResponse {
	r.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group, req.RequireStable = 7, group, true
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = "t", []int32{0}
	req.Topics = append(req.Topics, topic)
	return ask[*kmsg.OffsetFetchResponse](r.dial(), req)
}

// fetch is fetchFrom the coordinator, asking on as clients do.
func (c *cluster) fetch(group string) int64 {
	c.t.Helper()
	var resp *kmsg.OffsetFetchResponse
	c.await("the offset", func() bool {
		resp = fetchFrom(c.coordinator(group), group)
		return !retriable(resp.ErrorCode)
	})
	if p := resp.Topics[0].Partitions[0]; resp.ErrorCode == 0 && p.ErrorCode == 0 {
		return p.Offset
	}
	c.t.Fatalf("fetching the offset: %+v", resp)
	return 0
}

// preferred makes the first replica of a partition its leader.
func (c *cluster) preferred(topic string, partition int32) {
	c.t.Helper()
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.TimeoutMillis = 2, int32(patience.Milliseconds())
	asked := kmsg.NewElectLeadersRequestTopic()
	asked.Topic, asked.Partitions = topic, []int32{partition}
	req.Topics = []kmsg.ElectLeadersRequestTopic{asked}
	c.await("a preferred election", func() bool {
		resp := ask[*kmsg.ElectLeadersResponse](c.brokers[c.live().controller.ID()].dial(), req)
		code := protocol.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode)
		return code == protocol.None || code == protocol.ElectionNotNeeded
	})
}

// TestCoordinatorMoves takes a group's coordinator away again and again, by stopping it and by an election: the next one knows what was acknowledged and
// never says that there is nothing, and the former one says that it is none.
func TestCoordinatorMoves(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"min.insync.replicas": "2", "offsets.topic.num.partitions": "1"})
	c.create("t", []int32{0})
	c.commit("g", 0)
	c.inSync(groupMetadataTopic, 0, 3)
	c.preferred(groupMetadataTopic, 0)
	for round := range int64(4) {
		for i := range int64(5) {
			c.commit("g", 10*round+i)
		}
		leader := int(c.coordinator("g").id)
		c.stop(leader)
		if got := c.fetch("g"); got != 10*round+4 {
			t.Fatalf("round %d: offset %d after broker %d was stopped, want %d", round, got, leader, 10*round+4)
		}
		c.start(leader)
		c.inSync(groupMetadataTopic, 0, 3)
		former := c.coordinator("g")
		c.commit("g", 10*round+5)
		c.preferred(groupMetadataTopic, 0)
		if got := c.fetch("g"); got != 10*round+5 {
			t.Fatalf("round %d: offset %d after the election, want %d", round, got, 10*round+5)
		}
		c.await("another coordinator", func() bool { return c.coordinator("g") != former })
		c.await("the former coordinator to know", func() bool { return fetchFrom(former, "g").ErrorCode == int16(protocol.NotCoordinator) })
	}
}

// TestMembersSurviveTheirCoordinator: the generation goes on at the next coordinator.
func TestMembersSurviveTheirCoordinator(t *testing.T) {
	c := startCluster(t, 2, map[string]string{"offsets.topic.num.partitions": "1"})
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 3, "g", 30_000, 30_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	join.Protocols = append(join.Protocols, p)
	var member *kmsg.JoinGroupResponse
	c.await("the join", func() bool {
		member = ask[*kmsg.JoinGroupResponse](c.coordinator("g").dial(), join)
		return !retriable(member.ErrorCode)
	})
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.MemberID, sync.Generation = 3, "g", member.MemberID, member.Generation
	part := kmsg.NewSyncGroupRequestGroupAssignment()
	part.MemberID, part.MemberAssignment = member.MemberID, []byte("all")
	sync.GroupAssignment = append(sync.GroupAssignment, part)
	if resp := ask[*kmsg.SyncGroupResponse](c.coordinator("g").dial(), sync); resp.ErrorCode != 0 || string(resp.MemberAssignment) != "all" {
		t.Fatalf("sync: %+v", resp)
	}
	c.inSync(groupMetadataTopic, 0, 2)
	c.stop(int(c.coordinator("g").id))
	sync.GroupAssignment = nil
	var again *kmsg.SyncGroupResponse
	c.await("the next coordinator", func() bool {
		again = ask[*kmsg.SyncGroupResponse](c.coordinator("g").dial(), sync)
		return !retriable(again.ErrorCode) && protocol.ErrorCode(again.ErrorCode) != protocol.RebalanceInProgress
	})
	if again.ErrorCode != 0 || string(again.MemberAssignment) != "all" {
		t.Errorf("at the next coordinator: %v, assignment %q", protocol.ErrorCode(again.ErrorCode), again.MemberAssignment)
	}
}

// TestCommitsNeedTheirReplicas: with one of two replicas gone and min.insync.replicas 2, a commit is refused with what makes clients ask again; what was
// committed stays, and nothing is left pending.
func TestCommitsNeedTheirReplicas(t *testing.T) {
	c := startCluster(t, 2, map[string]string{"min.insync.replicas": "2", "offsets.topic.num.partitions": "1"})
	c.create("t", []int32{0})
	c.commit("g", 5)
	c.stop(1 - int(c.coordinator("g").id))
	c.inSync(groupMetadataTopic, 0, 1)
	if got := protocol.ErrorCode(c.tryCommit("g", 6)); got != protocol.CoordinatorNotAvailable {
		t.Errorf("a commit without replicas: %v", got)
	}
	if got := c.fetch("g"); got != 5 {
		t.Errorf("offset %d, want 5", got)
	}
}

// TestCommitWaitsForItsReplicas: a commit that a member of the ISR does not have is not acknowledged, and not visible.
func TestCommitWaitsForItsReplicas(t *testing.T) {
	c := startCluster(t, 1, map[string]string{"offsets.topic.num.partitions": "1", "offsets.commit.timeout.ms": "300"})
	c.create("t", []int32{0})
	c.commit("g", 5)
	r := c.live()
	tp := protocol.TopicPartition{Topic: groupMetadataTopic}
	lead := func(isr ...int32) {
		p, _ := r.replicas.Partition(tp)
		s := kmsg.NewLeaderAndISRRequestTopicPartition()
		s.LeaderEpoch, s.ISR, s.Replicas, s.ZKVersion = p.LeaderEpoch()+1, isr, []int32{0, 5}, 100+p.LeaderEpoch()
		state := kmsg.NewLeaderAndISRRequestTopicState()
		state.Topic, state.TopicID, state.PartitionStates = tp.Topic, p.TopicID(), []kmsg.LeaderAndISRRequestTopicPartition{s}
		req := kmsg.NewPtrLeaderAndISRRequest()
		req.Version, req.ControllerEpoch, req.TopicStates = 7, r.controller.Epoch(), []kmsg.LeaderAndISRRequestTopicState{state}
		if resp := ask[*kmsg.LeaderAndISRResponse](r.dial(), req); resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v", resp)
		}
	}
	lead(0, 5) // nobody is broker 5
	if got := protocol.ErrorCode(c.tryCommit("g", 6)); got != protocol.RequestTimedOut {
		t.Errorf("a commit that one replica lacks: %v", got)
	}
	if got := c.fetch("g"); got != 5 {
		t.Errorf("offset %d before the commit is replicated, want 5", got)
	}
	lead(0)
	c.commit("g", 7)
	if got := c.fetch("g"); got != 7 {
		t.Errorf("offset %d, want 7", got)
	}
}

// TestGroupsKeepTheirPartitions: more partitions of __consumer_offsets do not send groups to where their offsets never were.
func TestGroupsKeepTheirPartitions(t *testing.T) {
	c := startCluster(t, 1, nil)
	c.create("t", []int32{0})
	for i := range int64(10) {
		c.commit(fmt.Sprint("g", i), i)
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, int32(patience.Milliseconds())
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = groupMetadataTopic, 7
	req.Topics = append(req.Topics, topic)
	if resp := ask[*kmsg.CreatePartitionsResponse](c.live().dial(), req); resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	for i := range int64(10) {
		if got := c.fetch(fmt.Sprint("g", i)); got != i {
			t.Errorf("group g%d: offset %d", i, got)
		}
	}
}

// TestControlPlane: the controller reaches brokers on the listener of control.plane.listener.name, followers reach leaders on the other one (KIP-291).
func TestControlPlane(t *testing.T) {
	c := startCluster(t, 2, map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0,CONTROL://127.0.0.1:0", "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROL:PLAINTEXT", "control.plane.listener.name": "CONTROL",
	})
	c.create("t", []int32{0, 1})
	for id, r := range c.brokers {
		want := fmt.Sprintf("connected to %s (id: %d rack: null) for sending state change requests", r.Addr("CONTROL"), id)
		if log := c.brokers[0].log.String(); !strings.Contains(log, want) {
			t.Errorf("the controller did not come to broker %d by %s", id, r.Addr("CONTROL"))
		}
	}
	c.brokers[0].dial().produced("t", 0, "a")
	p, _ := c.brokers[1].replicas.Partition(protocol.TopicPartition{Topic: "t"})
	c.await("the record at the follower", func() bool { return p.Log().LogEndOffset() == 1 })
}

// TestOlderProtocol runs two brokers with the protocol of an old release: topics without ids, ISR changes and producer ids through ZooKeeper, and the
// old versions of all requests between brokers.
func TestOlderProtocol(t *testing.T) {
	for _, release := range []string{"2.0", "2.4", "2.7"} {
		t.Run(release, func(t *testing.T) {
			c := startCluster(t, 2, map[string]string{"inter.broker.protocol.version": release, "min.insync.replicas": "2", "offsets.topic.num.partitions": "1"})
			c.create("t", []int32{1, 0})
			if znode, _ := c.zk.Get("/brokers/topics/t"); len(znode) == 0 || strings.Contains(string(znode), "topic_id") {
				t.Errorf("the topic's znode: %s", znode)
			}
			req := produceTo("t", 0, -1, values("a", "b"))
			if resp := ask[*kmsg.ProduceResponse](c.brokers[1].dial(), req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Errorf("acks all: %+v", resp)
			}
			c.commit("g", 3)
			alone := &Broker{config: c.brokers[1].config, zk: c.brokers[1].Broker.zk, id: 1} // it has no controller to ask
			if block, err := alone.allocateProducerIDs(t.Context()); err != nil || block.empty() {
				t.Errorf("a block of producer ids: %v, %v", block, err)
			}
			init := kmsg.NewPtrInitProducerIDRequest()
			init.Version, init.ProducerID, init.ProducerEpoch = 4, -1, -1
			if resp := ask[*kmsg.InitProducerIDResponse](c.brokers[1].dial(), init); resp.ErrorCode != 0 {
				t.Errorf("no producer id: %+v", resp)
			}
			c.stop(1)
			c.await("broker 0 to lead", func() bool { return c.brokers[0].leads("t", 0) })
			c.start(1)
			p, _ := c.brokers[0].replicas.Partition(protocol.TopicPartition{Topic: "t"})
			c.await("broker 1 in sync", func() bool { return len(p.ISR()) == 2 })
			if got := c.fetch("g"); got != 3 {
				t.Errorf("offset %d", got)
			}
			c.brokers[0].deleteTopic("t")
			c.await("the follower's log to go", func() bool { return c.brokers[1].logs.Get(protocol.TopicPartition{Topic: "t"}) == nil })
		})
	}
}

// TestProducerIDsOfSeveralBrokers: no id is given out twice.
func TestProducerIDsOfSeveralBrokers(t *testing.T) {
	c := startCluster(t, 3, nil)
	seen := map[int64]int32{}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.ProducerID, req.ProducerEpoch = 4, -1, -1
	for _, r := range c.brokers {
		conn := r.dial()
		for range 1500 { // more than one block
			var resp *kmsg.InitProducerIDResponse
			for deadline := time.Now().Add(patience); ; {
				if resp = ask[*kmsg.InitProducerIDResponse](conn, req); protocol.ErrorCode(resp.ErrorCode) != protocol.CoordinatorLoadInProgress || time.Now().After(deadline) {
					break
				}
			}
			if resp.ErrorCode != 0 {
				t.Fatalf("broker %d: %v", r.id, protocol.ErrorCode(resp.ErrorCode))
			}
			if other, twice := seen[resp.ProducerID]; twice {
				t.Fatalf("id %d from broker %d and broker %d", resp.ProducerID, other, r.id)
			}
			seen[resp.ProducerID] = r.id
		}
	}
}

// TestRacks: a broker that comes back in a rack is known with it; while others have none, nothing is placed, as in Kafka.
func TestRacks(t *testing.T) {
	c := startCluster(t, 2, nil)
	c.create("t", []int32{0, 1})
	c.stop(1)
	c.props[1]["broker.rack"] = "r"
	c.start(1)
	c.await("the rack of broker 1", func() bool {
		places := c.brokers[0].brokerPlaces()
		return len(places) == 2 && places[1].Rack == "r"
	})
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, int32(patience.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "u", 1, 1
	create.Topics = append(create.Topics, topic)
	if got := ask[*kmsg.CreateTopicsResponse](c.brokers[0].dial(), create).Topics[0]; protocol.ErrorCode(got.ErrorCode) != protocol.UnknownServerError || got.ErrorMessage != nil {
		t.Errorf("a topic with some brokers in racks: %+v", got)
	}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, int32(patience.Milliseconds())
	more := kmsg.NewCreatePartitionsRequestTopic()
	more.Topic, more.Count = "t", 2
	grow.Topics = append(grow.Topics, more)
	if got := ask[*kmsg.CreatePartitionsResponse](c.brokers[0].dial(), grow).Topics[0]; protocol.ErrorCode(got.ErrorCode) != protocol.UnknownServerError || got.ErrorMessage != nil {
		t.Errorf("partitions with some brokers in racks: %+v", got)
	}
	c.inSync("t", 0, 2)
}
