package controller

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

func TestDeletion(t *testing.T) {
	s, b, _ := one(t, nil)
	p := tp{Topic: "t"}
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(p, 0)
	for _, topic := range []string{"t", "never-was"} {
		if err := b.client.RequestTopicDeletion(topic); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the requests to vanish", func() bool {
		return !slices.ContainsFunc(s.Paths(), func(path string) bool { return strings.HasPrefix(path, "/admin/delete_topics/") })
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.metadata[p]; m.Leader != leaderDuringDelete || m.LeaderEpoch != 0 || m.ZKVersion != 0 {
		t.Errorf("metadata %+v", m)
	}
	if st := b.stopped[p]; !st.Delete || st.LeaderEpoch != epochDuringDelete {
		t.Errorf("StopReplica %+v", st)
	}
	for _, path := range s.Paths() {
		if strings.HasSuffix(path, "/t") {
			t.Errorf("%s is left", path)
		}
	}
}

func TestDeletionDisabled(t *testing.T) {
	s, b, _ := one(t, func(c *Config) { c.DeleteTopicEnable = func() bool { return false } })
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "t"}, 0)
	if err := b.client.RequestTopicDeletion("t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request to vanish", func() bool { _, ok := s.Get("/admin/delete_topics/t"); return !ok })
	if _, ok := s.Get("/brokers/topics/t"); !ok {
		t.Error("the topic was deleted")
	}
}

// TestDeletionWaitsForBroker: a dead replica halts a deletion until its broker is back.
func TestDeletionWaitsForBroker(t *testing.T) {
	s, bs, _ := three(t)
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(tp{Topic: "t"}, 0)
	bs[1].die()
	bs[0].await("the ISR to shrink", func(b *fakeBroker) bool { return slices.Equal(b.metadata[tp{Topic: "t"}].ISR, []int32{0}) })
	if err := bs[0].client.RequestTopicDeletion("t"); err != nil {
		t.Fatal(err)
	}
	bs[0].await("its own deletion", func(b *fakeBroker) bool { return b.deleted[tp{Topic: "t"}] })
	if _, ok := s.Get("/brokers/topics/t"); !ok {
		t.Fatal("deleted although a replica lives on a dead broker")
	}
	back := startBroker(t, s, 1)
	eventually(t, "the deletion", func() bool { _, ok := s.Get("/brokers/topics/t"); return !ok })
	back.await("the deletion of its replica", func(b *fakeBroker) bool { return b.deleted[tp{Topic: "t"}] })
}

// TestDeletionFailure: a broker that cannot delete halts the deletion.
func TestDeletionFailure(t *testing.T) {
	s, b, _ := one(t, nil)
	p := tp{Topic: "t"}
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(p, 0)
	b.mu.Lock()
	b.errors[p] = protocol.KafkaStorageError
	b.mu.Unlock()
	if err := b.client.RequestTopicDeletion("t"); err != nil {
		t.Fatal(err)
	}
	b.await("the attempt", func(b *fakeBroker) bool { return b.deleted[p] })
	if _, err := b.client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "u"}, 0) // the controller has come past the failure
	if _, ok := s.Get("/brokers/topics/t"); !ok {
		t.Error("deleted although the broker failed")
	}
}

// TestDeletionWaitsForReassignment: a topic that moves is not deleted before it has arrived, also when a broker of its replicas comes back meanwhile.
func TestDeletionWaitsForReassignment(t *testing.T) {
	s, bs, c := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	r := kmsg.NewAlterPartitionAssignmentsRequest()
	r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: []int32{0, 1}}}}}
	if resp := c.AlterPartitionAssignments(t.Context(), &r); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	bs[1].await("the new replica", func(b *fakeBroker) bool { return b.isNew[p] })
	if err := bs[0].client.RequestTopicDeletion("t"); err != nil {
		t.Fatal(err)
	}
	bs[1].die()
	bs[0].await("the failure", func(b *fakeBroker) bool { return slices.Equal(b.brokers, []int32{0, 2}) })
	back := startBroker(t, s, 1)
	back.awaitLeader(p, 0) // in the metadata, too: without it the leader would not know the topic's id when the new replica fetches
	if _, err := bs[0].client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(tp{Topic: "u"}, 0) // whatever the broker's return has set off was sent before this
	if _, ok := s.Get("/brokers/topics/t"); !ok || bs[0].wasDeleted(p) {
		t.Fatal("deleted in the middle of a reassignment")
	}
	resp := c.AlterPartition(t.Context(), alterRequest(bs[0], bs[0].topicID("t"), p, c.mustEpoch(t, p), mustVersion(t, c, p), []int32{0, 1}))
	if resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("AlterPartition: %+v", resp)
	}
	eventually(t, "the deletion", func() bool { _, ok := s.Get("/brokers/topics/t"); return !ok })
	back.await("the deletion of its replica", func(b *fakeBroker) bool { return b.deleted[p] })
}

func (b *fakeBroker) wasDeleted(p tp) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deleted[p]
}

func (b *fakeBroker) topicID(topic string) protocol.TopicID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[topic]
}

func mustVersion(t *testing.T, c *Controller, p tp) int32 {
	t.Helper()
	states, err := c.zk.PartitionStates([]tp{p})
	if err != nil {
		t.Fatal(err)
	}
	return states[p].Version
}
