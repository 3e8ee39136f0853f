package broker

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

func TestMetadataPartition(t *testing.T) {
	c := newMetadataCache()
	c.Update(metadataUpdate(topicState("t", 1, 1, noLeader, 2)))
	topic := c.image.Load().topics.get("t")
	for _, tc := range []struct {
		name      string
		version   int16
		listener  string
		partition int
		code      protocol.ErrorCode
		leader    int32
		replicas  []int32
	}{
		{"led", 5, "INTERNAL", 0, protocol.None, 1, []int32{1, 2}},
		{"v0 hides replicas that are down", 0, "INTERNAL", 0, protocol.ReplicaNotAvailable, 1, []int32{1}},
		{"no leader", 5, "INTERNAL", 1, protocol.LeaderNotAvailable, -1, []int32{1, 2}},
		{"leader is down", 12, "INTERNAL", 2, protocol.LeaderNotAvailable, -1, []int32{1, 2}},
		{"no such listener, old client", 5, "OTHER", 0, protocol.LeaderNotAvailable, -1, []int32{1, 2}},
		{"no such listener", 6, "OTHER", 0, protocol.ListenerNotFound, -1, []int32{1, 2}},
	} {
		m := metadataAnswer{image: c.image.Load(), listener: tc.listener, version: tc.version}
		got := m.partition(&topic.partitions[tc.partition])
		if got.ErrorCode != int16(tc.code) || got.Leader != tc.leader || !slices.Equal(got.Replicas, tc.replicas) || got.LeaderEpoch != 3 {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

func TestMetadataBrokersOfListener(t *testing.T) {
	c := newMetadataCache()
	c.Update(metadataUpdate())
	for listener, want := range map[string]int{"EXTERNAL": 1, "OTHER": 0} {
		m := metadataAnswer{image: c.image.Load(), listener: listener}
		if got := m.brokers(); len(got) != want {
			t.Errorf("%s: %v", listener, got)
		}
	}
}

func metadataRequest(version int16, topics ...kmsg.MetadataRequestTopic) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.Version, r.Topics = version, topics
	return r
}

// A list without brokers would have clients forget all they know, so that a broker which has just started and has not heard of a controller names itself.
func TestNamesItselfBeforeTheFirstUpdate(t *testing.T) {
	b := hotBroker(t)
	b.id = 7
	expect := func(when string, id, port int32) {
		t.Helper()
		rq := &request{listener: "PLAINTEXT"}
		resp, err := metadata(b, rq, &kmsg.MetadataRequest{Version: 12, Topics: []kmsg.MetadataRequestTopic{}})
		if err != nil {
			t.Fatal(err)
		}
		if brokers := resp.(*kmsg.MetadataResponse).Brokers; len(brokers) != 1 || brokers[0].NodeID != id || brokers[0].Port != port {
			t.Errorf("Metadata %s: %+v", when, brokers)
		}
		if resp, err = describeCluster(b, rq, &kmsg.DescribeClusterRequest{Version: 0}); err != nil {
			t.Fatal(err)
		}
		if brokers := resp.(*kmsg.DescribeClusterResponse).Brokers; len(brokers) != 1 || brokers[0].NodeID != id || brokers[0].Port != port {
			t.Errorf("DescribeCluster %s: %+v", when, brokers)
		}
	}
	expect("before the first update", 7, 9092)
	told := kmsg.NewUpdateMetadataRequestLiveBroker()
	told.ID, told.Endpoints = 3, []kmsg.UpdateMetadataRequestLiveBrokerEndpoint{{Port: 1, Host: "other", ListenerName: "PLAINTEXT"}}
	b.metadata.Update(&kmsg.UpdateMetadataRequest{Version: 8, LiveBrokers: []kmsg.UpdateMetadataRequestLiveBroker{told}})
	expect("after it", 3, 1)
}

func TestCheckMetadataRequest(t *testing.T) {
	name := "t"
	named, byID, nothing := kmsg.MetadataRequestTopic{Topic: &name}, kmsg.MetadataRequestTopic{TopicID: [16]byte{1}}, kmsg.MetadataRequestTopic{}
	for _, tc := range []struct {
		request *kmsg.MetadataRequest
		want    protocol.ErrorCode
	}{
		{metadataRequest(0, named), protocol.None},
		{metadataRequest(11, named, byID), protocol.InvalidRequest},
		{metadataRequest(10, nothing), protocol.InvalidRequest},
		{metadataRequest(12, named, byID), protocol.None},
		{metadataRequest(12, nothing), protocol.UnknownServerError},
		{metadataRequest(12, nothing, byID), protocol.None},
	} {
		if got := checkMetadataRequest(tc.request); got != tc.want {
			t.Errorf("v%d %+v: %v, want %v", tc.request.Version, tc.request.Topics, got, tc.want)
		}
	}
}

func TestMetadataAskedTopics(t *testing.T) {
	c := newMetadataCache()
	c.Update(metadataUpdate(topicState("t", 1, 1), topicState("u", 2, 1)))
	m := metadataAnswer{image: c.image.Load(), listener: "INTERNAL", version: 12}
	name, other := "t", "missing"
	found, missing := m.askedTopics(metadataRequest(12, kmsg.MetadataRequestTopic{Topic: &name}, kmsg.MetadataRequestTopic{Topic: &name}, kmsg.MetadataRequestTopic{Topic: &other}))
	if len(found) != 1 || *found[0].Topic != "t" || !slices.Equal(missing, []string{"missing"}) {
		t.Errorf("by name: %+v, missing %v", found, missing)
	}
	found, missing = m.askedTopics(metadataRequest(12, kmsg.MetadataRequestTopic{TopicID: [16]byte{2}, Topic: &name}, kmsg.MetadataRequestTopic{Topic: &other}, kmsg.MetadataRequestTopic{TopicID: [16]byte{9}}))
	if len(found) != 2 || *found[0].Topic != "u" || found[1].ErrorCode != int16(protocol.UnknownTopicID) || found[1].Topic != nil || missing != nil {
		t.Errorf("by id: %+v, missing %v", found, missing)
	}
}
