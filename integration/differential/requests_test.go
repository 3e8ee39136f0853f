package differential

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// versions of an API that Apache Kafka 3.9.2 serves in ZooKeeper mode.
type versions struct{ key, min, max int16 }

// served lists all of them: what the table of ApiVersions says.
var served = []versions{
	{0, 0, 11}, {1, 0, 17}, {2, 0, 9}, {3, 0, 12}, {4, 0, 7}, {5, 0, 4}, {6, 0, 8}, {7, 0, 3}, {8, 0, 9}, {9, 0, 9}, {10, 0, 6}, {11, 0, 9}, {12, 0, 4},
	{13, 0, 5}, {14, 0, 5}, {15, 0, 5}, {16, 0, 5}, {17, 0, 1}, {18, 0, 4}, {19, 0, 7}, {20, 0, 6}, {21, 0, 2}, {22, 0, 5}, {23, 0, 4}, {24, 0, 5},
	{25, 0, 4}, {26, 0, 4}, {27, 0, 1}, {28, 0, 4}, {29, 0, 3}, {30, 0, 3}, {31, 0, 3}, {32, 0, 4}, {33, 0, 2}, {34, 0, 2}, {35, 0, 4}, {36, 0, 2},
	{37, 0, 3}, {38, 0, 3}, {39, 0, 2}, {40, 0, 2}, {41, 0, 3}, {42, 0, 2}, {43, 0, 2}, {44, 0, 1}, {45, 0, 0}, {46, 0, 0}, {47, 0, 0}, {48, 0, 1},
	{49, 0, 1}, {50, 0, 0}, {51, 0, 0}, {56, 0, 3}, {57, 0, 1}, {58, 0, 0}, {60, 0, 1}, {61, 0, 0}, {65, 0, 0}, {66, 0, 1}, {67, 0, 0}, {68, 0, 0}, {69, 0, 0},
}

// each calls f with every version of key from min on, and puts the version into the labels of the steps.
func (s *session) each(key, min int16, f func(s *session, version int16)) {
	prefix := s.prefix
	for _, v := range served {
		if v.key != key {
			continue
		}
		for version := max(min, v.min); version <= v.max; version++ {
			f(s.in("%s v%d", prefix, version), version)
		}
	}
	s.prefix = prefix
}

// at sets the version of a request.
func at[R kmsg.Request](version int16, r R) R {
	r.SetVersion(version)
	return r
}

func ptr[T any](v T) *T { return &v }

// createTopic makes a topic with configs given as key, value, key, value, and waits until its partitions have leaders.
func (s *session) createTopic(name string, partitions int32, configs ...string) {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Version, r.TimeoutMillis = 7, 15000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	r.Topics = append(r.Topics, t)
	var resp *kmsg.CreateTopicsResponse
	for range 100 {
		resp, _ = s.quiet(r).(*kmsg.CreateTopicsResponse)
		if resp == nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 38 {
			break // 38: the controller has not yet noticed the broker it runs on
		}
		time.Sleep(50 * time.Millisecond)
	}
	if resp == nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		panic(abort{fmt.Sprintf("topic %s: %+v", name, resp)})
	}
}

// topicID asks for the id of a topic.
func (s *session) topicID(name string) [16]byte {
	r := at(12, kmsg.NewPtrMetadataRequest())
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &name
	r.Topics = append(r.Topics, t)
	resp, _ := s.quiet(r).(*kmsg.MetadataResponse)
	if resp == nil || len(resp.Topics) != 1 {
		panic(abort{"no metadata of " + name})
	}
	return resp.Topics[0].TopicID
}

// produce is a Produce request for one partition.
func produce(version int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	r := at(version, kmsg.NewPtrProduceRequest())
	r.Acks, r.TimeoutMillis = -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

// fill appends a batch per value to a partition.
func (s *session) fill(topic string, partition int32, vs ...string) {
	for _, v := range vs {
		resp, _ := s.quiet(produce(9, topic, partition, newBatch(values(v)...).bytes())).(*kmsg.ProduceResponse)
		if resp == nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			panic(abort{fmt.Sprintf("produce to %s: %+v", topic, resp)})
		}
	}
}

// fetch is a Fetch request for one partition that does not wait; below version 13 by name.
func (s *session) fetch(version int16, topic string, partition int32, offset int64) *kmsg.FetchRequest {
	r := at(version, kmsg.NewPtrFetchRequest())
	r.ReplicaID, r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = -1, 0, 0, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	if t.Topic = topic; version >= 13 {
		t.TopicID = s.topicID(topic)
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LogStartOffset = partition, offset, 1<<20, -1, -1
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}
