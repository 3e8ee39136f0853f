package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func clusterScenarios() []scenario {
	return []scenario{
		{"describe cluster", describeCluster},
		{"log dirs", logDirs},
		{"idempotent producers", idempotent},
		{"producer ids", producerIDs},
		{"describe producers", describeProducers},
		{"features", updateFeatures},
		{"between brokers", betweenBrokers},
	}
}

func describeCluster(s *session) {
	s.each(60, 0, func(s *session, v int16) {
		for _, ops := range []bool{false, true} {
			for _, kind := range []int8{0, 1, 2, 3} {
				s.in("v%d operations %v type %d", v, ops, kind).do("", at(v, &kmsg.DescribeClusterRequest{IncludeClusterAuthorizedOperations: ops, EndpointType: kind}))
			}
		}
	})
}

func logDirs(s *session) {
	s.createTopic("ld-one", 2)
	s.fill("ld-one", 0, "a")
	s.each(35, 0, func(s *session, v int16) {
		ask := func(label string, topics ...kmsg.DescribeLogDirsRequestTopic) {
			s.do(label, at(v, &kmsg.DescribeLogDirsRequest{Topics: topics}))
		}
		ask("one", kmsg.DescribeLogDirsRequestTopic{Topic: "ld-one", Partitions: []int32{0, 1}})
		ask("unknown partition", kmsg.DescribeLogDirsRequestTopic{Topic: "ld-one", Partitions: []int32{0, 9}})
		ask("unknown topic", kmsg.DescribeLogDirsRequestTopic{Topic: "ld-none", Partitions: []int32{0}})
		ask("no partitions", kmsg.DescribeLogDirsRequestTopic{Topic: "ld-one"})
		s.do("no topics", at(v, &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{}}))
	})
	s.each(34, 0, func(s *session, v int16) {
		move := func(label, dir, topic string, partitions ...int32) {
			s.do(label, at(v, &kmsg.AlterReplicaLogDirsRequest{Dirs: []kmsg.AlterReplicaLogDirsRequestDir{{
				Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: topic, Partitions: partitions}},
			}}}))
		}
		resp, _ := s.quiet(at(2, &kmsg.DescribeLogDirsRequest{Topics: []kmsg.DescribeLogDirsRequestTopic{}})).(*kmsg.DescribeLogDirsResponse)
		if resp == nil || len(resp.Dirs) != 1 {
			panic(abort{"no log directory"})
		}
		move("same directory", resp.Dirs[0].Dir, "ld-one", 0)
		move("unknown directory", "/nowhere/at/all", "ld-one", 0)
		move("relative directory", "nowhere", "ld-one", 0)
		move("empty directory", "", "ld-one", 0)
		move("unknown partition", resp.Dirs[0].Dir, "ld-one", 7)
		move("unknown topic", resp.Dirs[0].Dir, "ld-none", 0)
		s.do("none", at(v, &kmsg.AlterReplicaLogDirsRequest{}))
	})
}

// idempotent walks through the sequence rules: the window of five batches, gaps, duplicates, epochs.
func idempotent(s *session) {
	s.createTopic("i-one", 2)
	send := func(label string, partition int32, id int64, epoch int16, sequence int32, n int) {
		b := newBatch(values(make([]string, n)...)...)
		b.producerID, b.producerEpoch, b.baseSequence = id, epoch, sequence
		s.do(label, produce(9, "i-one", partition, b.bytes()))
	}
	send("first", 0, 7000, 0, 0, 1)
	send("next", 0, 7000, 0, 1, 3)
	send("duplicate", 0, 7000, 0, 1, 3)
	send("duplicate of the first", 0, 7000, 0, 0, 1)
	send("same start, other count", 0, 7000, 0, 1, 2)
	send("gap", 0, 7000, 0, 9, 1)
	for i := range 6 {
		send(fmt.Sprint("more ", i), 0, 7000, 0, int32(4+i), 1)
	}
	send("too old", 0, 7000, 0, 1, 3)
	send("oldest in the window", 0, 7000, 0, 5, 1)
	send("newer epoch from 5", 0, 7000, 1, 5, 1)
	send("newer epoch from 0", 0, 7000, 1, 0, 1)
	send("older epoch", 0, 7000, 0, 10, 1)
	send("unknown producer from 5", 0, 7001, 0, 5, 1)
	send("unknown producer goes on", 0, 7001, 0, 6, 1)
	send("unknown producer in epoch 3", 0, 7002, 3, 0, 1)
	send("wrap", 1, 7003, 0, 1<<31-2, 1)
	send("wrap 2", 1, 7003, 0, 1<<31-1, 2)
	send("wrap 3", 1, 7003, 0, 1, 1)
	send("sequence -2", 1, 7004, 0, -2, 1)
	send("epoch -1", 1, 7004, -1, 0, 1)
	send("negative producer", 1, -5, 0, 0, 1)
	acks := produce(9, "i-one", 1, nil)
	b := newBatch(values("x")...)
	b.producerID, b.producerEpoch, b.baseSequence = 7005, 0, 0
	acks.Topics[0].Partitions[0].Records, acks.Acks = b.bytes(), 1
	s.do("acks 1", acks)
	s.do("acks 1 duplicate", acks)
	s.do("read 0", s.fetch(12, "i-one", 0, 0))
	s.do("read 1", s.fetch(12, "i-one", 1, 0))
	s.do("producers", &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: "i-one", Partitions: []int32{0, 1}}}})
}

func initProducerID(v int16, id int64, epoch int16) *kmsg.InitProducerIDRequest {
	return at(v, &kmsg.InitProducerIDRequest{TransactionTimeoutMillis: 1000, ProducerID: id, ProducerEpoch: epoch})
}

func producerIDs(s *session) {
	loaded := func(r kmsg.Response) bool { return r.(*kmsg.InitProducerIDResponse).ErrorCode != 14 }
	s.until("first", initProducerID(4, -1, -1), loaded)
	s.each(22, 0, func(s *session, v int16) {
		s.until("right", initProducerID(v, -1, -1), loaded)
		s.do("with id and epoch", initProducerID(v, 5, 3))
		s.do("with id", initProducerID(v, 5, -1))
		s.do("with epoch", initProducerID(v, -1, 5))
		negative := initProducerID(v, -1, -1)
		negative.TransactionTimeoutMillis = -1
		s.do("negative timeout", negative)
		empty := initProducerID(v, -1, -1)
		empty.TransactionalID = ptr("")
		s.do("empty transactional id", empty)
	})
}

func describeProducers(s *session) {
	s.createTopic("dp-one", 2)
	b := newBatch(values("a")...)
	b.producerID, b.producerEpoch, b.baseSequence = 8000, 2, 0
	s.do("produce", produce(9, "dp-one", 0, b.bytes()))
	ask := func(label, topic string, partitions ...int32) {
		s.do(label, &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: partitions}}})
	}
	ask("both", "dp-one", 0, 1)
	ask("unknown partition", "dp-one", 7)
	ask("negative partition", "dp-one", -7)
	ask("unknown topic", "dp-none", 0)
	ask("bad topic", "dp none", 0)
	ask("no partitions", "dp-one")
	s.do("none", &kmsg.DescribeProducersRequest{})
}

func updateFeatures(s *session) {
	s.each(57, 0, func(s *session, v int16) {
		ask := func(label, feature string, level int16, downgrade bool, kind int8) {
			s.do(label, at(v, &kmsg.UpdateFeaturesRequest{TimeoutMillis: 5000, FeatureUpdates: []kmsg.UpdateFeaturesRequestFeatureUpdate{
				{Feature: feature, MaxVersionLevel: level, AllowDowngrade: downgrade, UpgradeType: kind},
			}}))
		}
		ask("metadata.version", "metadata.version", 20, false, 1)
		ask("unknown", "nonsense", 1, false, 1)
		ask("empty name", "", 1, false, 1)
		ask("delete", "nonsense", 0, true, 2)
		ask("delete without downgrade", "nonsense", 0, false, 1)
		ask("type 0", "nonsense", 1, false, 0)
		ask("type 9", "nonsense", 1, false, 9)
		s.do("none", at(v, &kmsg.UpdateFeaturesRequest{TimeoutMillis: 5000}))
	})
}

// betweenBrokers sends what only brokers send each other, with epochs that no living controller or broker has.
func betweenBrokers(s *session) {
	s.createTopic("bb-one", 1)
	id := s.topicID("bb-one")
	s.each(4, 0, func(s *session, v int16) {
		p := kmsg.LeaderAndISRRequestTopicPartition{Topic: "bb-one", LeaderEpoch: 9, ISR: []int32{0}, Replicas: []int32{0}}
		r := at(v, &kmsg.LeaderAndISRRequest{ControllerID: 3, ControllerEpoch: 0, BrokerEpoch: -1, PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{p},
			TopicStates: []kmsg.LeaderAndISRRequestTopicState{{Topic: "bb-one", TopicID: id, PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{p}}}})
		s.in("leader and isr v%d", v).do("old controller", r)
		r.BrokerEpoch = 1
		s.do("old broker epoch", r)
	})
	s.each(5, 0, func(s *session, v int16) {
		t := kmsg.StopReplicaRequestTopic{Topic: "bb-one", Partitions: []int32{0}, PartitionStates: []kmsg.StopReplicaRequestTopicPartitionState{{LeaderEpoch: 9}}}
		r := at(v, &kmsg.StopReplicaRequest{ControllerID: 3, ControllerEpoch: 0, BrokerEpoch: -1, Topics: []kmsg.StopReplicaRequestTopic{t}})
		s.in("stop replica v%d", v).do("old controller", r)
		r.BrokerEpoch = 1
		s.do("old broker epoch", r)
	})
	s.each(6, 0, func(s *session, v int16) {
		r := at(v, &kmsg.UpdateMetadataRequest{ControllerID: 3, ControllerEpoch: 0, BrokerEpoch: -1})
		s.in("update metadata v%d", v).do("old controller", r)
		r.BrokerEpoch = 1
		s.do("old broker epoch", r)
	})
	s.each(7, 0, func(s *session, v int16) {
		s.in("controlled shutdown v%d", v).do("unknown broker", at(v, &kmsg.ControlledShutdownRequest{BrokerID: 44, BrokerEpoch: -1}))
		s.do("old epoch", at(v, &kmsg.ControlledShutdownRequest{BrokerID: 44, BrokerEpoch: 1}))
	})
	s.each(56, 0, func(s *session, v int16) {
		p := kmsg.AlterPartitionRequestTopicPartition{NewISR: []int32{0}, NewEpochISR: []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{{BrokerEpoch: -1}}}
		r := at(v, &kmsg.AlterPartitionRequest{BrokerEpoch: 1, Topics: []kmsg.AlterPartitionRequestTopic{{Topic: "bb-one", TopicID: id, Partitions: []kmsg.AlterPartitionRequestTopicPartition{p}}}})
		s.in("alter partition v%d", v).do("old broker epoch", r)
		r.BrokerID = 44
		s.do("unknown broker", r)
	})
	s.in("allocate producer ids").do("old broker epoch", &kmsg.AllocateProducerIDsRequest{BrokerID: 0, BrokerEpoch: 1})
	s.do("unknown broker", &kmsg.AllocateProducerIDsRequest{BrokerID: 44, BrokerEpoch: 1})
	s.in("envelope").do("", &kmsg.EnvelopeRequest{RequestData: []byte("x"), RequestPrincipal: []byte("y"), ClientHostAddress: []byte{127, 0, 0, 1}})
	s.in("").do("the topic is unharmed", metadataRequest(12, "bb-one"))
}
