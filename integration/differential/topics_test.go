package differential

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicScenarios() []scenario {
	return []scenario{
		{"create topics", createTopics},
		{"create topics assignments", createTopicsAssigned},
		{"create topics configs", createTopicsConfigs},
		{"metadata", metadata},
		{"metadata ids", metadataIDs},
		{"metadata auto creation", metadataAutoCreate},
		{"create partitions", createPartitions},
		{"delete topics", deleteTopics},
		{"delete records", deleteRecords},
		{"elect leaders", electLeaders},
		{"reassignments", reassignments},
	}
}

func newTopics(v int16, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	return at(v, &kmsg.CreateTopicsRequest{Topics: topics, TimeoutMillis: 10_000})
}

func newTopic(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
	return kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: partitions, ReplicationFactor: factor}
}

func createTopics(s *session) {
	s.coordinatorReady() // so that __consumer_offsets is there and cannot be made by name
	s.each(19, 0, func(s *session, v int16) {
		name := func(suffix string) string { return fmt.Sprintf("c%d%s", v, suffix) }
		s.do("right", newTopics(v, newTopic(name("-right"), 2, 1)))
		s.do("exists", newTopics(v, newTopic(name("-right"), 2, 1)))
		s.do("with a dot", newTopics(v, newTopic(name(".dot"), 1, 1)))
		s.do("collision", newTopics(v, newTopic(name("_dot"), 1, 1)))
		s.do("defaults", newTopics(v, newTopic(name("-defaults"), -1, -1)))
		s.do("twice in one", newTopics(v, newTopic(name("-twice"), 1, 1), newTopic(name("-twice"), 2, 1), newTopic(name("-once"), 1, 1)))
		for _, bad := range []string{"", ".", "..", "a b", "a/b", "ä", strings.Repeat("x", 249), strings.Repeat("y", 250), "a\x00", "__consumer_offsets"} {
			s.in("v%d name %.20q %d", v, bad, len(bad)).do("", newTopics(v, newTopic(bad, 1, 1)))
		}
		s.in("v%d", v)
		for _, n := range []int32{0, -2, -100} {
			s.do(fmt.Sprintf("partitions %d", n), newTopics(v, newTopic(name("-bad"), n, 1)))
			s.do(fmt.Sprintf("factor %d", n), newTopics(v, newTopic(name("-bad"), 1, int16(n))))
		}
		s.do("factor 2", newTopics(v, newTopic(name("-bad"), 1, 2)))
		s.do("mixed", newTopics(v, newTopic(name("-good"), 1, 1), newTopic("a b", 1, 1), newTopic(name("-bad"), 1, 7)))
		s.do("none", newTopics(v))
		for _, timeout := range []int32{0, -1} {
			r := newTopics(v, newTopic(name(fmt.Sprintf("-timeout%d", timeout)), 1, 1))
			r.TimeoutMillis = timeout
			s.do(fmt.Sprintf("timeout %d", timeout), r)
		}
		only := newTopics(v, newTopic(name("-only"), 3, 1), newTopic(name("-right"), 1, 1), newTopic("a b", 1, 1), newTopic(name("-f"), 1, 9))
		only.ValidateOnly = v >= 1
		s.do("validate only", only)
		s.do("validate only again", only)
	})
}

func createTopicsAssigned(s *session) {
	assign := func(name string, partitions ...[]int32) kmsg.CreateTopicsRequestTopic {
		t := newTopic(name, -1, -1)
		for i, replicas := range partitions {
			t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: replicas})
		}
		return t
	}
	s.each(19, 0, func(s *session, v int16) {
		name := func(suffix string) string { return fmt.Sprintf("ca%d-%s", v, suffix) }
		do := func(label string, t kmsg.CreateTopicsRequestTopic) {
			r := newTopics(v, t)
			if slices.Contains([]string{"unknown broker", "negative broker", "empty list"}, label) {
				r.TimeoutMillis = 300 // such a topic never gets a leader, and the answer waits for one
			}
			s.do(label, r)
		}
		do("right", assign(name("right"), []int32{0}, []int32{0}))
		do("unknown broker", assign(name("unknown"), []int32{5}))
		do("negative broker", assign(name("negative"), []int32{-3}))
		do("empty list", assign(name("empty"), []int32{}))
		do("broker twice", assign(name("dup"), []int32{0, 0}))
		do("different factors", assign(name("factors"), []int32{0}, []int32{0, 1}))
		gap := assign(name("gap"), []int32{0}, []int32{0})
		gap.ReplicaAssignment[1].Partition = 5
		do("gap", gap)
		again := assign(name("again"), []int32{0}, []int32{0})
		again.ReplicaAssignment[1].Partition = 0
		do("partition twice", again)
		negative := assign(name("minus"), []int32{0})
		negative.ReplicaAssignment[0].Partition = -1
		do("partition -1", negative)
		both := assign(name("both"), []int32{0})
		both.NumPartitions = 1
		do("with partitions", both)
		both.NumPartitions, both.ReplicationFactor = -1, 1
		do("with factor", both)
	})
}

func createTopicsConfigs(s *session) {
	configs := [][2]string{
		{"retention.ms", "1000"}, {"retention.ms", "x"}, {"retention.ms", "-2"}, {"retention.ms", " 5 "}, {"retention.ms", ""}, {"cleanup.policy", "compact,delete"},
		{"cleanup.policy", "nothing"}, {"cleanup.policy", ""}, {"compression.type", "zstd"}, {"compression.type", "ZSTD"}, {"unknown.key", "1"}, {"min.insync.replicas", "0"},
		{"min.insync.replicas", "9"}, {"segment.bytes", "13"}, {"segment.bytes", "14"}, {"max.message.bytes", "-1"}, {"preallocate", "maybe"}, {"preallocate", "TRUE"},
		{"message.format.version", "0.9.0"}, {"message.format.version", "nope"}, {"message.timestamp.type", "LogAppendTime"}, {"min.cleanable.dirty.ratio", "1.5"},
		{"min.cleanable.dirty.ratio", "0.25"}, {"leader.replication.throttled.replicas", "0:0"}, {"leader.replication.throttled.replicas", "bad"},
		{"remote.storage.enable", "true"}, {"local.retention.ms", "5"}, {"retention.bytes", "99999999999999999999"}, {"compression.gzip.level", "10"}, {"compression.lz4.level", "0"},
		{"min.compaction.lag.ms", "10"}, {"max.compaction.lag.ms", "0"}, {"unclean.leader.election.enable", "1"}, {"index.interval.bytes", "0"}, {"delete.retention.ms", "-1"},
		{"flush.messages", "0"}, {"file.delete.delay.ms", "5"}, {"message.downconversion.enable", "false"},
	}
	for _, v := range []int16{0, 1, 4, 5, 7} {
		for i, c := range configs {
			t := newTopic(fmt.Sprintf("cc%d-%d", v, i), 1, 1)
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: c[0], Value: &c[1]}}
			s.in("v%d %s=%s", v, c[0], c[1]).do("", newTopics(v, t))
		}
		t := newTopic(fmt.Sprintf("cc%d-null", v), 1, 1)
		t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
		s.in("v%d", v).do("null value", newTopics(v, t))
		t = newTopic(fmt.Sprintf("cc%d-twice", v), 1, 1)
		t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms", Value: ptr("1")}, {Name: "retention.ms", Value: ptr("2")}}
		s.do("config twice", newTopics(v, t))
		t = newTopic(fmt.Sprintf("cc%d-lag", v), 1, 1)
		t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "min.compaction.lag.ms", Value: ptr("10")}, {Name: "max.compaction.lag.ms", Value: ptr("5")}}
		s.do("lags crossed", newTopics(v, t))
	}
}

func metadataRequest(v int16, names ...string) *kmsg.MetadataRequest {
	r := at(v, &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{}})
	for _, n := range names {
		r.Topics = append(r.Topics, kmsg.MetadataRequestTopic{Topic: ptr(n)})
	}
	return r
}

func metadata(s *session) {
	s.createTopic("m-one", 3)
	s.each(3, 0, func(s *session, v int16) {
		s.do("one", metadataRequest(v, "m-one"))
		if v > 0 { // an empty list means all topics in version 0
			s.do("none", metadataRequest(v))
		}
		s.do("twice", metadataRequest(v, "m-one", "m-one"))
		s.do("internal", metadataRequest(v, "__consumer_offsets"))
		all := metadataRequest(v)
		if all.Topics = nil; v == 0 {
			all.Topics = []kmsg.MetadataRequestTopic{}
		}
		if resp, _ := s.quiet(all).(*kmsg.MetadataResponse); resp != nil {
			s.note("number of all topics", fmt.Sprint(len(resp.Topics)))
		}
		for _, auto := range []bool{false} {
			r := metadataRequest(v, "", "a b", "..", strings.Repeat("z", 250))
			r.AllowAutoTopicCreation = auto
			s.do("bad names", r)
			if v >= 4 {
				s.do("unknown", metadataRequest(v, "m-unknown"))
			}
		}
		ops := metadataRequest(v, "m-one", "m-bad name")
		ops.IncludeClusterAuthorizedOperations, ops.IncludeTopicAuthorizedOperations = true, true
		s.do("operations", ops)
	})
}

func metadataIDs(s *session) {
	s.createTopic("m-id", 1)
	s.createTopic("m-id2", 1)
	id := s.topicID("m-id")
	for v := int16(10); v <= 12; v++ {
		ask := func(label string, topics ...kmsg.MetadataRequestTopic) {
			s.in("v%d", v).do(label, at(v, &kmsg.MetadataRequest{Topics: topics}))
		}
		ask("id and name", kmsg.MetadataRequestTopic{TopicID: id, Topic: ptr("m-id")})
		ask("id and other name", kmsg.MetadataRequestTopic{TopicID: id, Topic: ptr("m-id2")})
		ask("unknown id", kmsg.MetadataRequestTopic{TopicID: [16]byte{1, 2}, Topic: ptr("m-id")})
		ask("name", kmsg.MetadataRequestTopic{Topic: ptr("m-id")})
		ask("ids and names", kmsg.MetadataRequestTopic{TopicID: id, Topic: ptr("")}, kmsg.MetadataRequestTopic{Topic: ptr("m-id2")})
		if v >= 10 {
			ask("id", kmsg.MetadataRequestTopic{TopicID: id})
			ask("only unknown id", kmsg.MetadataRequestTopic{TopicID: [16]byte{1, 2}})
			ask("neither", kmsg.MetadataRequestTopic{})
		}
	}
}

// metadataAutoCreate asks for topics that are not there; the answer says LEADER_NOT_AVAILABLE until they are.
func metadataAutoCreate(s *session) {
	s.each(3, 0, func(s *session, v int16) {
		name := fmt.Sprintf("m-auto-%d", v)
		r := metadataRequest(v, name)
		r.AllowAutoTopicCreation = true
		s.do("first", r)
		s.until("in the end", r, func(resp kmsg.Response) bool {
			t := resp.(*kmsg.MetadataResponse).Topics
			return len(t) == 1 && t[0].ErrorCode == 0 && len(t[0].Partitions) > 0 && t[0].Partitions[0].ErrorCode == 0
		})
		clash := metadataRequest(v, fmt.Sprintf("m_auto.%d", v), fmt.Sprintf("m.auto_%d", v))
		clash.AllowAutoTopicCreation = true
		resp, _ := s.quiet(clash).(*kmsg.MetadataResponse)
		if resp != nil {
			for i, t := range resp.Topics {
				s.note(fmt.Sprintf("clash %d", i), fmt.Sprint(t.ErrorCode == 17 || t.ErrorCode == 5))
			}
		}
		bad := metadataRequest(v, "bad name", "")
		bad.AllowAutoTopicCreation = true
		s.do("bad names", bad)
	})
}

func createPartitions(s *session) {
	s.each(37, 0, func(s *session, v int16) {
		name := fmt.Sprintf("n-%d", v)
		s.createTopic(name, 1)
		ask := func(label, topic string, count int32, timeout int32, assignment ...[]int32) {
			t := kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: count}
			for _, a := range assignment {
				t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: a})
			}
			s.do(label, at(v, &kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{t}, TimeoutMillis: timeout}))
		}
		ask("same", name, 1, 9000)
		ask("fewer", name, 0, 9000)
		ask("negative", name, -1, 9000)
		ask("more", name, 2, 9000)
		ask("assigned", name, 3, 9000, []int32{0})
		ask("unknown broker", name, 4, 9000, []int32{7})
		ask("broker twice", name, 4, 9000, []int32{0, 0})
		ask("wrong factor", name, 4, 9000, []int32{0, 1})
		ask("empty list", name, 4, 9000, []int32{})
		ask("too few lists", name, 5, 9000, []int32{0})
		ask("too many lists", name, 4, 9000, []int32{0}, []int32{0})
		ask("unknown topic", "n-none", 4, 9000)
		ask("empty topic", "", 4, 9000)
		ask("timeout 0", name, 4, 0)
		only := at(v, &kmsg.CreatePartitionsRequest{ValidateOnly: true, TimeoutMillis: 9000, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 6}, {Topic: "n-none", Count: 2}}})
		s.do("validate only", only)
		twice := at(v, &kmsg.CreatePartitionsRequest{TimeoutMillis: 9000, Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 6}, {Topic: name, Count: 7}}})
		s.do("twice", twice)
		s.do("none", at(v, &kmsg.CreatePartitionsRequest{TimeoutMillis: 9000}))
		s.until("metadata", metadataRequest(12, name), func(resp kmsg.Response) bool {
			t := resp.(*kmsg.MetadataResponse).Topics
			return len(t) == 1 && len(t[0].Partitions) == 4
		})
	})
}

func deleteTopics(s *session) {
	s.each(20, 0, func(s *session, v int16) {
		name := func(n int) string { return fmt.Sprintf("d-%d-%d", v, n) }
		for n := range 4 {
			s.createTopic(name(n), 1)
		}
		id := s.topicID(name(3))
		ask := func(label string, timeout int32, names ...string) {
			r := at(v, &kmsg.DeleteTopicsRequest{TimeoutMillis: timeout, TopicNames: names})
			for _, n := range names {
				r.Topics = append(r.Topics, kmsg.DeleteTopicsRequestTopic{Topic: ptr(n)})
			}
			s.do(label, r)
		}
		ask("right", 9000, name(0))
		ask("again", 9000, name(0))
		ask("timeout 0", 0, name(1))
		ask("mixed", 9000, name(2), "d-none", "", "a b")
		ask("twice", 9000, "d-none", "d-none")
		ask("none", 9000)
		if v < 6 {
			return
		}
		byID := func(label string, topics ...kmsg.DeleteTopicsRequestTopic) {
			s.do(label, at(v, &kmsg.DeleteTopicsRequest{TimeoutMillis: 9000, Topics: topics}))
		}
		byID("name and id", kmsg.DeleteTopicsRequestTopic{Topic: ptr(name(3)), TopicID: id})
		byID("neither", kmsg.DeleteTopicsRequestTopic{})
		byID("unknown id", kmsg.DeleteTopicsRequestTopic{TopicID: [16]byte{5}})
		byID("id", kmsg.DeleteTopicsRequestTopic{TopicID: id})
	})
}

func deleteRecordsRequest(v int16, topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
	return at(v, &kmsg.DeleteRecordsRequest{TimeoutMillis: 9000, Topics: []kmsg.DeleteRecordsRequestTopic{{
		Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: offset}},
	}}})
}

func deleteRecords(s *session) {
	s.createTopic("dr-compact", 1, "cleanup.policy", "compact")
	s.each(21, 0, func(s *session, v int16) {
		name := fmt.Sprintf("dr-%d", v)
		s.createTopic(name, 2)
		s.fill(name, 0, "a", "b", "c")
		for _, offset := range []int64{1, 0, -2, 4, 2, -1, 3} {
			s.in("v%d offset %d", v, offset).do("", deleteRecordsRequest(v, name, 0, offset))
		}
		s.in("v%d", v).do("empty partition", deleteRecordsRequest(v, name, 1, 0))
		s.do("empty partition high", deleteRecordsRequest(v, name, 1, -1))
		s.do("unknown partition", deleteRecordsRequest(v, name, 8, 0))
		s.do("unknown topic", deleteRecordsRequest(v, "dr-none", 0, 0))
		s.do("compacted", deleteRecordsRequest(v, "dr-compact", 0, 0))
		s.do("internal", deleteRecordsRequest(v, "__consumer_offsets", 0, 0))
		s.do("none", at(v, &kmsg.DeleteRecordsRequest{TimeoutMillis: 100}))
	})
}

func electLeaders(s *session) {
	s.createTopic("e-one", 2)
	s.each(43, 0, func(s *session, v int16) {
		for _, kind := range []int8{0, 1, 2, -1} {
			s.in("v%d type %d", v, kind)
			ask := func(label string, topics ...kmsg.ElectLeadersRequestTopic) {
				s.do(label, at(v, &kmsg.ElectLeadersRequest{ElectionType: kind, TimeoutMillis: 9000, Topics: topics}))
			}
			ask("one", kmsg.ElectLeadersRequestTopic{Topic: "e-one", Partitions: []int32{0}})
			ask("mixed", kmsg.ElectLeadersRequestTopic{Topic: "e-one", Partitions: []int32{1, 7}}, kmsg.ElectLeadersRequestTopic{Topic: "e-none", Partitions: []int32{0}})
			s.do("empty", at(v, &kmsg.ElectLeadersRequest{ElectionType: kind, TimeoutMillis: 9000, Topics: []kmsg.ElectLeadersRequestTopic{}}))
			ask("no partitions", kmsg.ElectLeadersRequestTopic{Topic: "e-one"})
			if resp, _ := s.quiet(at(v, &kmsg.ElectLeadersRequest{ElectionType: kind, TimeoutMillis: 9000})).(*kmsg.ElectLeadersResponse); resp != nil {
				s.note("all", fmt.Sprint(resp.ErrorCode))
			}
		}
	})
}

func reassignments(s *session) {
	s.createTopic("r-one", 2)
	ask := func(label, topic string, partition int32, replicas []int32) {
		s.do(label, &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 9000, Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{
			Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: partition, Replicas: replicas}},
		}}})
	}
	list := func(label string, topics []kmsg.ListPartitionReassignmentsRequestTopic) {
		s.do(label, &kmsg.ListPartitionReassignmentsRequest{TimeoutMillis: 9000, Topics: topics})
	}
	list("nothing runs", nil)
	list("empty list", []kmsg.ListPartitionReassignmentsRequestTopic{})
	list("one topic", []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "r-one", Partitions: []int32{0, 9}}, {Topic: "r-none", Partitions: []int32{0}}})
	ask("the same", "r-one", 0, []int32{0})
	s.until("epoch after it", metadataRequest(12, "r-one"), func(resp kmsg.Response) bool {
		for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
			if p.Partition == 0 {
				return p.LeaderEpoch == 1
			}
		}
		return false
	})
	ask("unknown broker", "r-one", 0, []int32{4})
	ask("negative broker", "r-one", 0, []int32{-4})
	ask("empty", "r-one", 0, []int32{})
	ask("twice", "r-one", 0, []int32{0, 0})
	ask("unknown partition", "r-one", 9, []int32{0})
	ask("unknown topic", "r-none", 0, []int32{0})
	ask("cancel nothing", "r-one", 0, nil)
	ask("cancel unknown", "r-none", 0, nil)
	s.do("none", &kmsg.AlterPartitionAssignmentsRequest{TimeoutMillis: 9000})
	list("still nothing", nil)
}
