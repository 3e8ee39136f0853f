package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// metadataUpdate is a request of version 8 with one live broker, 1, reachable through two listeners.
func metadataUpdate(topics ...kmsg.UpdateMetadataRequestTopicState) *kmsg.UpdateMetadataRequest {
	r := kmsg.NewPtrUpdateMetadataRequest()
	r.Version, r.ControllerID = 8, 1
	b := kmsg.NewUpdateMetadataRequestLiveBroker()
	b.ID = 1
	b.Endpoints = []kmsg.UpdateMetadataRequestLiveBrokerEndpoint{
		{Host: "in", Port: 1, ListenerName: "INTERNAL"}, {Host: "out", Port: 2, ListenerName: "EXTERNAL"},
	}
	r.LiveBrokers = append(r.LiveBrokers, b)
	r.TopicStates = topics
	return r
}

func topicState(name string, id byte, leaders ...int32) kmsg.UpdateMetadataRequestTopicState {
	s := kmsg.NewUpdateMetadataRequestTopicState()
	s.Topic, s.TopicID = name, [16]byte{id}
	for i, leader := range leaders {
		p := kmsg.NewUpdateMetadataRequestTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), leader, 3, []int32{1, 2}, []int32{1}
		s.PartitionStates = append(s.PartitionStates, p)
	}
	return s
}

func TestMetadataCacheUpdate(t *testing.T) {
	c := newMetadataCache()
	if c.ControllerID() != -1 || c.HasTopic("a") || len(c.Topics()) != 0 {
		t.Fatal("a new cache knows something")
	}
	c.Update(metadataUpdate(topicState("b", 2, 1, noLeader), topicState("a", 1, 1)))
	before := c.image.Load()

	deleted := c.Update(metadataUpdate(topicState("a", 1, leaderDuringDeletion), topicState("c", 3, 1)))
	if want := []protocol.TopicPartition{{Topic: "a"}}; !slices.Equal(deleted, want) {
		t.Errorf("deleted %v, want %v", deleted, want)
	}
	if got := c.Topics(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("topics %v", got)
	}
	if _, ok := c.TopicName(protocol.TopicID{1}); ok {
		t.Error("the id of a deleted topic is still known")
	}
	if name, _ := c.TopicName(protocol.TopicID{3}); name != "c" || c.TopicID("c") != (protocol.TopicID{3}) {
		t.Errorf("id 3 is %q", name)
	}
	if leader, epoch, ok := c.Leader(protocol.TopicPartition{Topic: "b"}); leader != 1 || epoch != 3 || !ok {
		t.Errorf("leader of b-0: %d, %d, %v", leader, epoch, ok)
	}
	if c.PartitionCount("b") != 2 || c.HasPartition(protocol.TopicPartition{Topic: "b", Partition: 2}) {
		t.Error("partitions of b")
	}
	if before.topics.get("a") == nil || before.topics.get("c") != nil || before.names[1][protocol.TopicID{1}] != "a" {
		t.Error("an image changed after it was published")
	}
	if host, port, ok := c.Endpoint(1, "EXTERNAL"); host != "out" || port != 2 || !ok {
		t.Errorf("endpoint %s:%d %v", host, port, ok)
	}
	if _, _, ok := c.Endpoint(1, "OTHER"); ok {
		t.Error("an endpoint on a listener that the broker does not have")
	}
}

// A topic that is made anew between two updates gets its new id, and the old one is forgotten.
func TestMetadataCacheReplacesTopicID(t *testing.T) {
	c := newMetadataCache()
	c.Update(metadataUpdate(topicState("a", 1, 1)))
	c.Update(metadataUpdate(topicState("a", 9, 1)))
	if _, ok := c.TopicName(protocol.TopicID{1}); ok || c.TopicID("a") != (protocol.TopicID{9}) {
		t.Error("the old id is still there")
	}
	c.Update(metadataUpdate(topicState("a", 0, 1)))
	if c.TopicID("a") != (protocol.TopicID{9}) {
		t.Error("an update without id took the id away")
	}
}

// A request that comes late does not bring back what was; a new topic of the same name begins anew.
func TestMetadataCacheOvertakenUpdate(t *testing.T) {
	c := newMetadataCache()
	update := func(id byte, version int32, leaders ...int32) {
		s := topicState("a", id, leaders...)
		for i := range s.PartitionStates {
			s.PartitionStates[i].ZKVersion = version
		}
		c.Update(metadataUpdate(s))
	}
	for _, step := range []struct {
		what    string
		id      byte
		version int32
		leader  int32
		want    int32
	}{
		{"the first", 1, 5, 1, 1},
		{"a later one", 1, 7, 2, 2},
		{"an overtaken one", 1, 6, 1, 2},
		{"one of the same version, with other offline replicas perhaps", 1, 7, 3, 3},
		{"one of another topic of the same name", 2, 0, 4, 4},
		{"one without an id", 0, 0, 5, 5},
	} {
		update(step.id, step.version, step.leader)
		if leader, _, _ := c.Leader(protocol.TopicPartition{Topic: "a"}); leader != step.want {
			t.Errorf("after %s the leader is %d, not %d", step.what, leader, step.want)
		}
	}
	update(2, 9, 1)
	update(2, 8, leaderDuringDeletion)
	if c.HasTopic("a") {
		t.Error("the deletion of a topic was not taken")
	}
}

func TestMetadataCacheOldVersions(t *testing.T) {
	c := newMetadataCache()
	r := metadataUpdate()
	r.Version = 2
	r.LiveBrokers[0].Endpoints = []kmsg.UpdateMetadataRequestLiveBrokerEndpoint{{Host: "h", Port: 5, SecurityProtocol: 3}}
	p := kmsg.NewUpdateMetadataRequestTopicPartition()
	p.Topic, p.Partition, p.Leader = "t", 7, 1
	r.PartitionStates = append(r.PartitionStates, p)
	c.Update(r)
	if _, port, _ := c.Endpoint(1, "SASL_SSL"); port != 5 || !c.HasPartition(protocol.TopicPartition{Topic: "t", Partition: 7}) {
		t.Error("version 2 is not understood")
	}
	r.Version = 0
	r.LiveBrokers[0].Host, r.LiveBrokers[0].Port, r.LiveBrokers[0].Endpoints = "h", 6, nil
	c.Update(r)
	if _, port, _ := c.Endpoint(1, "PLAINTEXT"); port != 6 {
		t.Error("version 0 is not understood")
	}
}

func TestMetadataCacheAllLed(t *testing.T) {
	c := newMetadataCache()
	c.Update(metadataUpdate(topicState("led", 1, 1, 1), topicState("not", 2, 1, noLeader)))
	for _, tc := range []struct {
		topic string
		n     int32
		want  bool
	}{{"led", 2, true}, {"led", 3, false}, {"not", 2, false}, {"none", 1, false}} {
		if got := c.AllLed(tc.topic, tc.n); got != tc.want {
			t.Errorf("AllLed(%s, %d) = %v", tc.topic, tc.n, got)
		}
	}
}

func TestMetadataCacheAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMetadataCache()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if c.Await(ctx, func() bool { return c.HasTopic("a") }) || time.Since(start) != time.Minute {
			t.Error("Await did not wait for its deadline")
		}
		done := make(chan bool)
		go func() { done <- c.Await(t.Context(), func() bool { return c.HasTopic("a") }) }()
		synctest.Wait()
		c.Update(metadataUpdate(topicState("other", 1, 1)))
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Await woke for good without its topic")
		default:
		}
		c.Update(metadataUpdate(topicState("a", 2, 1)))
		if !<-done {
			t.Error("Await missed the topic")
		}
	})
}

// An update of one topic among many copies a small part of the image.
func TestMetadataCacheUpdateIsCheap(t *testing.T) {
	c := newMetadataCache()
	var topics []kmsg.UpdateMetadataRequestTopicState
	for i := range 10_000 {
		topics = append(topics, topicState(fmt.Sprint("topic-", i), byte(i), 1))
	}
	c.Update(metadataUpdate(topics...))
	one := metadataUpdate(topicState("topic-5", 5, 1))
	if allocs := testing.AllocsPerRun(20, func() { c.Update(one) }); allocs > 100 {
		t.Errorf("an update of one topic among 10,000 allocates %v times", allocs)
	}
	if len(c.Topics()) != 10_000 {
		t.Error("topics were lost")
	}
}
