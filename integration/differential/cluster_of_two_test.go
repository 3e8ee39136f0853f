package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/integration/harness"
)

// TestClusterOfTwo compares what two brokers of Apache Kafka and two of gregor say of their cluster: each asked for what is the other's, and one
// asked after the other was killed. Broker 0 is the controller.
func TestClusterOfTwo(t *testing.T) {
	rows, err := readKnown("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	zk := harness.SharedZooKeeper(t)
	var targets [2]*target
	for i, kind := range []harness.Kind{harness.Apache, harness.DefaultKind()} {
		targets[i] = startTwo(t, kind, zk.Chroot())
	}
	playAll(t, clusterOfTwoScenarios(), rows, targets[0], targets[1])
}

// startTwo starts brokers 0 and 1 in racks of their own. Broker 0 also has the listener EXTRA, which broker 1 lacks; broker 1 has two log directories.
func startTwo(t *testing.T, kind harness.Kind, connect string) *target {
	more := []string{"offsets.topic.replication.factor=3", "auto.leader.rebalance.enable=false", "replica.lag.time.max.ms=5000"}
	first := harness.NewBroker(t, kind, connect, append(more, "broker.rack=r0", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT")...)
	extra := harness.NewBroker(t, kind, connect).Addr // a free port
	first.Set["listeners"] += ",EXTRA://" + extra
	first.Start()
	second := harness.NewBroker(t, kind, connect, append(more, "broker.id=1", "broker.rack=r1")...)
	second.Set["log.dirs"] = second.LogDir + "," + second.LogDir + secondDir
	second.Start()
	name := string(kind)
	tg := newTarget(name, first)
	tg.second, tg.extra = newTarget(name, second), extra
	tree := harness.ZooKeeperTree(t, connect)
	tg.second.kill = func() {
		second.Kill()
		tree.Delete("/brokers/ids/1") // as the end of its session will, 18 s later
	}
	s := newSession(tg)
	defer s.close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, _ := s.quiet(at(12, kmsg.NewPtrMetadataRequest())).(*kmsg.MetadataResponse)
		if resp != nil && len(resp.Brokers) == 2 && resp.ControllerID == 0 {
			return tg
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no cluster of two: %+v", kind, resp)
		}
	}
}

func clusterOfTwoScenarios() []scenario {
	return []scenario{
		{"two placement", twoPlacement},
		{"two coordinators without enough brokers", twoNoCoordinator},
		{"two metadata", twoMetadata},
		{"two not controller", twoNotController},
		{"two not leader", twoNotLeader},
		{"two not coordinator", twoNotCoordinator},
		{"two configs", twoConfigs},
		{"two elections", twoElections},
		{"two log dirs", twoLogDirs},
		{"two one killed", twoKilled},
	}
}

// second is a session with the cluster's other broker, with the same transcript.
func (s *session) second() *session {
	other := s.another()
	other.target = s.target.second
	return other
}

// assigned makes a topic with these replicas and waits until both brokers know its leaders.
func (s *session) assigned(name string, partitions ...[]int32) {
	t := newTopic(name, -1, -1)
	for i, replicas := range partitions {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: replicas})
	}
	resp, _ := s.quiet(newTopics(7, t)).(*kmsg.CreateTopicsResponse)
	if resp == nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		panic(abort{fmt.Sprintf("creating %s: %+v", name, resp)})
	}
	other := s.second()
	defer other.close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, _ := other.quiet(metadataRequest(12, name)).(*kmsg.MetadataResponse)
		if resp != nil && len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == len(partitions) {
			return
		}
		if time.Now().After(deadline) {
			panic(abort{fmt.Sprintf("broker 1 does not hear of %s: %+v", name, resp)})
		}
	}
}

// onBoth asks both brokers.
func (s *session) onBoth(label string, r func() kmsg.Request) {
	s.do("first "+label, r())
	other := s.second()
	defer other.close()
	other.do("second "+label, r())
}

func twoPlacement(s *session) {
	s.each(19, 0, func(s *session, v int16) {
		name := func(suffix string) string { return fmt.Sprintf("tp%d-%s", v, suffix) }
		s.do("factor 3", newTopics(v, newTopic(name("three"), 2, 3)))
		s.do("factor 2", newTopics(v, newTopic(name("two"), 4, 2)))
		dead := newTopic(name("dead"), -1, -1)
		dead.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{1, 7}}}
		s.do("a replica on no broker", newTopics(v, dead))
	})
	resp, _ := s.quiet(metadataRequest(12, "tp7-two")).(*kmsg.MetadataResponse)
	leads := map[int32]int{}
	for _, p := range resp.Topics[0].Partitions {
		leads[p.Leader]++
	}
	s.in("four partitions").note("leaders", fmt.Sprint(leads[0], leads[1]))
	s.each(37, 0, func(s *session, v int16) {
		topic := fmt.Sprintf("tp%d-grow", v)
		s.quiet(newTopics(7, newTopic(topic, 1, 2)))
		grow := func(label string, count int32, assignment ...[]int32) {
			t := kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: count}
			for _, replicas := range assignment {
				t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
			}
			s.do(label, at(v, &kmsg.CreatePartitionsRequest{TimeoutMillis: 10_000, Topics: []kmsg.CreatePartitionsRequestTopic{t}}))
		}
		grow("to a broker that is not", 2, []int32{0, 9})
		grow("one replica instead of two", 2, []int32{0})
		grow("twice the same", 2, []int32{1, 1})
		grow("too many assignments", 2, []int32{1, 0}, []int32{0, 1})
		grow("right", 2, []int32{1, 0})
		grow("spread", 5)
	})
}

// twoNoCoordinator: offsets.topic.replication.factor is 3, and there are two brokers.
func twoNoCoordinator(s *session) {
	s.each(10, 0, func(s *session, v int16) {
		s.onBoth("coordinator", func() kmsg.Request {
			return at(v, &kmsg.FindCoordinatorRequest{CoordinatorKey: "g", CoordinatorKeys: []string{"g"}})
		})
	})
	s.each(3, 0, func(s *session, v int16) {
		s.onBoth("metadata", func() kmsg.Request {
			r := metadataRequest(v, "__consumer_offsets")
			r.AllowAutoTopicCreation = true
			return r
		})
	})
	s.in("join").onBoth("", func() kmsg.Request { return at(5, &kmsg.JoinGroupRequest{Group: "g", SessionTimeoutMillis: 10_000}) })
	s.in("list").onBoth("", func() kmsg.Request { return at(4, kmsg.NewPtrListGroupsRequest()) })
}

func twoMetadata(s *session) {
	s.assigned("tm-one", []int32{0}, []int32{1})
	s.assigned("tm-two", []int32{0, 1}, []int32{1, 0})
	s.each(3, 0, func(s *session, v int16) {
		s.onBoth("", func() kmsg.Request { return metadataRequest(v, "tm-one", "tm-two") })
	})
	s.each(60, 0, func(s *session, v int16) {
		s.onBoth("", func() kmsg.Request { return at(v, &kmsg.DescribeClusterRequest{EndpointType: 1}) })
	})
	extra := s.another()
	defer extra.close()
	extra.target = &target{name: s.target.name, addr: s.target.extra, replacer: s.target.replacer}
	s.each(3, 0, func(_ *session, v int16) {
		extra.in("a listener that one broker lacks: v%d", v).do("", metadataRequest(v, "tm-one", "tm-two"))
	})
	extra.in("a listener that one broker lacks").do("cluster", at(1, &kmsg.DescribeClusterRequest{EndpointType: 1}))
}

// twoNotController asks broker 1 for what only the controller does.
func twoNotController(s *session) {
	s.assigned("tn-one", []int32{0, 1})
	id := s.topicID("tn-one")
	s = s.second()
	defer s.close()
	ask := func(key int16, name string, r func(v int16) kmsg.Request) {
		s.in("%s", name).each(key, 0, func(s *session, v int16) { s.do("", r(v)) })
	}
	ask(19, "create topics", func(v int16) kmsg.Request { return newTopics(v, newTopic("tn-new", 1, 1), newTopic("a b", 0, 9)) })
	ask(20, "delete topics", func(v int16) kmsg.Request {
		return at(v, &kmsg.DeleteTopicsRequest{TimeoutMillis: 1000, TopicNames: []string{"tn-one", "tn-none"}, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: ptr("tn-one")}, {TopicID: id}}})
	})
	ask(37, "create partitions", func(v int16) kmsg.Request {
		return at(v, &kmsg.CreatePartitionsRequest{TimeoutMillis: 1000, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "tn-one", Count: 3}, {Topic: "tn-none", Count: 3}}})
	})
	ask(43, "elect leaders", func(v int16) kmsg.Request {
		return at(v, &kmsg.ElectLeadersRequest{TimeoutMillis: 1000, Topics: []kmsg.ElectLeadersRequestTopic{{Topic: "tn-one", Partitions: []int32{0, 5}}}})
	})
	ask(43, "elect all leaders", func(v int16) kmsg.Request { return at(v, &kmsg.ElectLeadersRequest{TimeoutMillis: 1000}) })
	ask(45, "reassign", func(v int16) kmsg.Request {
		return at(v, &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 1000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{
			Topic: "tn-one", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: []int32{1, 0}}}}}})
	})
	ask(46, "list reassignments", func(v int16) kmsg.Request { return at(v, &kmsg.ListPartitionReassignmentsRequest{TimeoutMillis: 1000}) })
	ask(57, "update features", func(v int16) kmsg.Request {
		return at(v, &kmsg.UpdateFeaturesRequest{TimeoutMillis: 1000, FeatureUpdates: []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "f", MaxVersionLevel: 1}}})
	})
	ask(56, "alter partition", func(v int16) kmsg.Request {
		p := kmsg.AlterPartitionRequestTopicPartition{NewISR: []int32{0}, NewEpochISR: []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{{BrokerEpoch: -1}}}
		return at(v, &kmsg.AlterPartitionRequest{BrokerID: 0, BrokerEpoch: 1, Topics: []kmsg.AlterPartitionRequestTopic{{Topic: "tn-one", TopicID: id, Partitions: []kmsg.AlterPartitionRequestTopicPartition{p}}}})
	})
	ask(67, "allocate producer ids", func(v int16) kmsg.Request {
		return at(v, &kmsg.AllocateProducerIDsRequest{BrokerID: 0, BrokerEpoch: 1})
	})
	ask(7, "controlled shutdown", func(v int16) kmsg.Request {
		return at(v, &kmsg.ControlledShutdownRequest{BrokerID: 0, BrokerEpoch: -1})
	})
	s.in("afterwards").do("", metadataRequest(12, "tn-one"))
}

// twoNotLeader asks broker 1 about a partition that it follows, one that it has no replica of, and one that does not exist.
func twoNotLeader(s *session) {
	s.assigned("tl-followed", []int32{0, 1})
	s.assigned("tl-foreign", []int32{0})
	for _, topic := range []string{"tl-followed", "tl-foreign"} {
		s.fill(topic, 0, "a", "b")
		id := s.topicID(topic)
		if topic == "tl-followed" {
			s.awaitFollowed(topic, 2)
		}
		s.askNotLeader(topic, id, 0)
		s.askNotLeader(topic, id, 9)
	}
}

// awaitFollowed waits until the follower has heard of the high watermark: with a fetch of its own, which comes up to replica.fetch.wait.max.ms later.
func (s *session) awaitFollowed(topic string, highWatermark int64) {
	other := s.second()
	defer other.close()
	other.until("followed", other.fetch(12, topic, 0, 0), func(resp kmsg.Response) bool {
		return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].HighWatermark == highWatermark
	})
}

func (s *session) askNotLeader(topic string, id [16]byte, n int32) {
	s = s.second()
	defer s.close()
	ask := func(key, min int16, name string, r func(v int16) kmsg.Request) {
		s.in("%s %s-%d", name, topic, n).each(key, min, func(s *session, v int16) { s.do("", r(v)) })
	}
	for _, acks := range []int16{1, -1} {
		ask(0, 3, fmt.Sprintf("produce acks %d", acks), func(v int16) kmsg.Request {
			r := produce(v, topic, n, newBatch(values("x")...).bytes())
			r.Acks = acks
			return r
		})
	}
	ask(1, 4, "fetch", func(v int16) kmsg.Request {
		r := s.fetch(v, topic, n, 0)
		r.Topics[0].TopicID = id
		return r
	})
	ask(2, 1, "list offsets", func(v int16) kmsg.Request {
		return at(v, &kmsg.ListOffsetsRequest{ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: n, CurrentLeaderEpoch: -1, Timestamp: -1}}}}})
	})
	for _, epoch := range []int32{-1, 0, 7} {
		ask(23, 0, fmt.Sprintf("leader epoch, current %d", epoch), func(v int16) kmsg.Request {
			return at(v, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{Partition: n, CurrentLeaderEpoch: epoch}}}}})
		})
	}
	ask(21, 0, "delete records", func(v int16) kmsg.Request { return deleteRecordsRequest(v, topic, n, 1) })
	ask(61, 0, "producers", func(v int16) kmsg.Request {
		return at(v, &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{n}}}})
	})
	ask(35, 0, "log dirs", func(v int16) kmsg.Request {
		return at(v, &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{{Topic: topic, Partitions: []int32{n}}}})
	})
}

// twoNotCoordinator puts all of __consumer_offsets on broker 0 and asks broker 1.
func twoNotCoordinator(s *session) {
	s.assigned("__consumer_offsets", []int32{0}, []int32{0}, []int32{0}, []int32{0}, []int32{0})
	s.assigned("tg-one", []int32{0})
	s.coordinatorReady()
	s.each(10, 0, func(s *session, v int16) {
		s.onBoth("find coordinator", func() kmsg.Request {
			return at(v, &kmsg.FindCoordinatorRequest{CoordinatorKey: "tg", CoordinatorKeys: []string{"tg", "tg2"}})
		})
	})
	s = s.second()
	defer s.close()
	ask := func(key, min int16, name string, r func(v int16) kmsg.Request) {
		s.in("%s", name).each(key, min, func(s *session, v int16) { s.do("", r(v)) })
	}
	ask(11, 0, "join", func(v int16) kmsg.Request {
		return at(v, &kmsg.JoinGroupRequest{Group: "tg", SessionTimeoutMillis: 10_000, RebalanceTimeoutMillis: 10_000, ProtocolType: "consumer", Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range"}}})
	})
	ask(14, 0, "sync", func(v int16) kmsg.Request {
		return at(v, &kmsg.SyncGroupRequest{Group: "tg", MemberID: "m", ProtocolType: ptr("consumer"), Protocol: ptr("range")})
	})
	ask(12, 0, "heartbeat", func(v int16) kmsg.Request { return at(v, &kmsg.HeartbeatRequest{Group: "tg", MemberID: "m"}) })
	ask(13, 0, "leave", func(v int16) kmsg.Request {
		return at(v, &kmsg.LeaveGroupRequest{Group: "tg", MemberID: "m", Members: []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}})
	})
	ask(8, 1, "commit", func(v int16) kmsg.Request {
		return at(v, &kmsg.OffsetCommitRequest{Group: "tg", Generation: -1, RetentionTimeMillis: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "tg-one", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}})
	})
	ask(9, 1, "fetch", func(v int16) kmsg.Request {
		return at(v, &kmsg.OffsetFetchRequest{Group: "tg", Topics: []kmsg.OffsetFetchRequestTopic{{Topic: "tg-one", Partitions: []int32{0}}},
			Groups: []kmsg.OffsetFetchRequestGroup{{Group: "tg", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "tg-one", Partitions: []int32{0}}}}}})
	})
	ask(15, 0, "describe", func(v int16) kmsg.Request { return at(v, &kmsg.DescribeGroupsRequest{Groups: []string{"tg"}}) })
	ask(16, 0, "list", func(v int16) kmsg.Request { return at(v, kmsg.NewPtrListGroupsRequest()) })
	ask(42, 0, "delete", func(v int16) kmsg.Request { return at(v, &kmsg.DeleteGroupsRequest{Groups: []string{"tg"}}) })
	ask(47, 0, "delete offsets", func(v int16) kmsg.Request {
		return at(v, &kmsg.OffsetDeleteRequest{Group: "tg", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: "tg-one", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}})
	})
}

// twoConfigs asks one broker about the other's configuration.
func twoConfigs(s *session) {
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger} {
		s.in("type %d", kind).each(32, 0, func(s *session, v int16) {
			s.do("describe", at(v, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: "1", ConfigNames: []string{"broker.rack"}}}}))
		})
		s.in("type %d", kind).each(33, 0, func(s *session, v int16) {
			s.do("alter", at(v, &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: kind, ResourceName: "1", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "log.retention.ms", Value: ptr("1")}}}}}))
		})
		s.in("type %d", kind).each(44, 0, func(s *session, v int16) {
			s.do("alter incrementally", at(v, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: "1", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "log.retention.ms", Value: ptr("1")}}}}}))
		})
	}
	// Any broker may change what is not one broker's alone, and all hear of it.
	other := s.second()
	defer other.close()
	other.in("by the second").do("broker default", at(1, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeBroker, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "log.flush.interval.ms", Value: ptr("98765")}}}}}))
	seen := at(1, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "0", ConfigNames: []string{"log.flush.interval.ms"}}}})
	s.in("by the second").until("seen by the first", seen, func(r kmsg.Response) bool {
		configs := r.(*kmsg.DescribeConfigsResponse).Resources[0].Configs
		return len(configs) == 1 && configs[0].Value != nil && *configs[0].Value == "98765"
	})
}

// twoElections moves a partition to its preferred leader and back.
func twoElections(s *session) {
	s.assigned("te-one", []int32{0, 1}, []int32{1, 0})
	led := func(label string, partition, by int32) {
		s.until(label, metadataRequest(12, "te-one"), func(r kmsg.Response) bool {
			for _, p := range r.(*kmsg.MetadataResponse).Topics[0].Partitions {
				if p.Partition == partition {
					return p.Leader == by && len(p.ISR) == 2
				}
			}
			return false
		})
	}
	led("from the start", 1, 1)
	s.do("reorder", &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 9000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{
		Topic: "te-one", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 1, Replicas: []int32{0, 1}}}}}})
	s.until("reordered", metadataRequest(12, "te-one"), func(r kmsg.Response) bool {
		for _, p := range r.(*kmsg.MetadataResponse).Topics[0].Partitions {
			if p.Partition == 1 {
				return p.Replicas[0] == 0
			}
		}
		return false
	})
	s.each(43, 0, func(s *session, v int16) {
		s.do("preferred", at(v, &kmsg.ElectLeadersRequest{TimeoutMillis: 9000, Topics: []kmsg.ElectLeadersRequestTopic{{Topic: "te-one", Partitions: []int32{0, 1}}}}))
	})
	led("at the end", 1, 0)
}

// secondDir is what the name of broker 1's other log directory ends with.
const secondDir = "-2"

// twoLogDirs says where in broker 1 a replica is to be before it is there (KIP-113), gives it the replica, and moves it from directory to directory.
func twoLogDirs(s *session) {
	s.assigned("tl-one", []int32{0}, []int32{0})
	s.fill("tl-one", 0, "a", "b")
	other := s.second()
	defer other.close()
	describe := func() *kmsg.DescribeLogDirsRequest {
		return at(4, &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{{Topic: "tl-one", Partitions: []int32{0, 1}}}})
	}
	var dirs [2]string
	resp, _ := other.quiet(describe()).(*kmsg.DescribeLogDirsResponse)
	if resp == nil || len(resp.Dirs) != len(dirs) {
		panic(abort{fmt.Sprintf("not two log directories: %+v", resp)})
	}
	for _, d := range resp.Dirs {
		i := 0
		if strings.HasSuffix(d.Dir, secondDir) {
			i = 1
		}
		dirs[i] = d.Dir
	}
	move := func(label, dir, topic string, partitions ...int32) {
		other.do(label, at(2, &kmsg.AlterReplicaLogDirsRequest{Dirs: []kmsg.AlterReplicaLogDirsRequestDir{{
			Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: topic, Partitions: partitions}},
		}}}))
	}
	// settled waits until directory i, and no other, has partition 0 with its records.
	settled := func(label string, i int) {
		other.until(label, describe(), func(r kmsg.Response) bool {
			for _, d := range r.(*kmsg.DescribeLogDirsResponse).Dirs {
				has := len(d.Topics) == 1 && slices.ContainsFunc(d.Topics[0].Partitions, func(p kmsg.DescribeLogDirsResponseDirTopicPartition) bool {
					return p.Partition == 0 && !p.IsFuture && p.Size > 0
				})
				if has != (d.Dir == dirs[i]) || len(d.Topics) > 1 {
					return false
				}
			}
			return true
		})
	}
	move("before it is there", dirs[1], "tl-one", 0)
	move("nowhere before it is there", "/nowhere/at/all", "tl-one", 1)
	move("no such topic", dirs[1], "tl-none", 0)
	s.do("reassign", &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 9000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{
		Topic: "tl-one", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: []int32{1}}}}}})
	settled("where it was wanted", 1)
	move("where it is", dirs[1], "tl-one", 0)
	move("one of two", dirs[0], "tl-one", 0, 1)
	settled("moved", 0)
}

// twoKilled kills broker 1 and asks broker 0.
func twoKilled(s *session) {
	s.assigned("tk-one", []int32{0}, []int32{1})
	s.assigned("tk-two", []int32{0, 1}, []int32{1, 0})
	s.assigned("tk-gone", []int32{1})
	s.fill("tk-one", 0, "a")
	s.fill("tk-two", 0, "a")
	s.target.second.kill()
	offline := func(r kmsg.Response) bool {
		m := r.(*kmsg.MetadataResponse)
		if len(m.Brokers) != 1 {
			return false
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if p.Leader == 1 || len(p.Replicas) == 2 && (len(p.OfflineReplicas) != 1 || len(p.ISR) != 1) {
					return false
				}
			}
		}
		return true
	}
	s.each(3, 5, func(s *session, v int16) { s.until("metadata", metadataRequest(v, "tk-one", "tk-two"), offline) })
	for v := range int16(5) {
		s.in("v%d", v).do("metadata", metadataRequest(v, "tk-one", "tk-two"))
	}
	s.in("describe cluster").do("", at(1, &kmsg.DescribeClusterRequest{EndpointType: 1}))
	for _, topic := range []string{"tk-one", "tk-two"} {
		for n := range int32(2) {
			s.in("%s-%d", topic, n)
			for _, acks := range []int16{1, -1} {
				r := produce(9, topic, n, newBatch(values("x")...).bytes())
				r.Acks = acks
				s.do(fmt.Sprintf("produce acks %d", acks), r)
			}
			s.do("fetch", s.fetch(12, topic, n, 0))
			s.do("list offsets", at(7, &kmsg.ListOffsetsRequest{ReplicaID: -1, Topics: []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: n, CurrentLeaderEpoch: -1, Timestamp: -1}}}}}))
		}
	}
	s.in("elect leaders")
	for kind := range int8(2) {
		s.do(fmt.Sprintf("type %d", kind), at(2, &kmsg.ElectLeadersRequest{ElectionType: kind, TimeoutMillis: 3000, Topics: []kmsg.ElectLeadersRequestTopic{{Topic: "tk-one", Partitions: []int32{0, 1}}, {Topic: "tk-two", Partitions: []int32{0, 1}}}}))
	}
	s.in("create").do("factor 2", newTopics(7, newTopic("tk-new", 1, 2)))
	s.do("partitions", at(3, &kmsg.CreatePartitionsRequest{TimeoutMillis: 5000, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "tk-one", Count: 3, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{1}}}}}}))
	s.in("reassign to the dead").do("", &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 5000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{
		Topic: "tk-one", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: 0, Replicas: []int32{0, 1}}}}}})
	s.in("delete").do("with a dead replica", at(5, &kmsg.DeleteTopicsRequest{TimeoutMillis: 1000, TopicNames: []string{"tk-gone"}}))
	s.do("metadata of it", metadataRequest(12, "tk-gone"))
}
