package controller

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
	"gregor/zk/zktest"
)

func one(t *testing.T, change func(*Config)) (*zktest.Server, *fakeBroker, *Controller) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	return s, b, control(t, b, change)
}

func three(t *testing.T) (*zktest.Server, []*fakeBroker, *Controller) {
	s := zktest.Start(t)
	bs := []*fakeBroker{startBroker(t, s, 0), startBroker(t, s, 1), startBroker(t, s, 2)}
	return s, bs, control(t, bs[0], nil)
}

func TestElectionAndFeature(t *testing.T) {
	s, b, c := one(t, nil)
	if !c.Active() || c.ID() != 0 || c.Epoch() != 1 {
		t.Errorf("active %v, id %d, epoch %d", c.Active(), c.ID(), c.Epoch())
	}
	if data, _ := s.Get("/feature"); string(data) != `{"features":{},"version":2,"status":1}` {
		t.Errorf("/feature %s", data)
	}
	b.await("the list of brokers", func(b *fakeBroker) bool { return slices.Equal(b.brokers, []int32{0}) })
}

func TestCreateTopic(t *testing.T) {
	s, b, _ := one(t, nil)
	id, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}, 1: {0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		b.awaitLeader(tp{Topic: "t", Partition: p}, 0)
		if data, _ := s.Get(zk.PartitionStatePath("t", p)); string(data) != `{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}` {
			t.Errorf("state %s", data)
		}
	}
	b.await("isNew and the id", func(b *fakeBroker) bool { return b.isNew[tp{Topic: "t"}] && b.ids["t"] == id })
	if data, _ := s.Get("/brokers/topics/t/partitions"); data != nil {
		t.Errorf("/partitions holds %q, not null", data)
	}
}

func TestThousandPartitions(t *testing.T) {
	s, b, _ := one(t, nil)
	assignment := map[int32][]int32{}
	for p := range int32(1000) {
		assignment[p] = []int32{0}
	}
	before := s.Requests()
	if _, err := b.client.CreateTopic("big", assignment, nil); err != nil {
		t.Fatal(err)
	}
	b.await("1000 leaders", func(b *fakeBroker) bool { return len(b.metadata) == 1000 })
	if n := s.Requests() - before; n > 40 {
		t.Errorf("%d ZooKeeper requests for 1000 partitions", n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.seen); n > 6 {
		t.Errorf("%d requests to the broker: %v", n, b.seen)
	}
}

// TestOldTools: what kafka-topics of 2.0 writes with --zookeeper is served, and what it drops is restored.
func TestOldTools(t *testing.T) {
	s, b, _ := one(t, nil)
	s.Put("/config/topics/t", []byte(`{"version":1,"config":{}}`))
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	b.awaitLeader(tp{Topic: "t"}, 0)
	id := znode(t, s, "/brokers/topics/t")["topic_id"]
	if id == nil {
		t.Fatal("no topic id was written")
	}
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0],"1":[0]}}`))
	b.awaitLeader(tp{Topic: "t", Partition: 1}, 0)
	eventually(t, "the id to be restored", func() bool { return znode(t, s, "/brokers/topics/t")["topic_id"] == id })
	if n := len(znode(t, s, "/brokers/topics/t")["partitions"].(map[string]any)); n != 2 {
		t.Errorf("%d partitions after the restoration", n)
	}
	s.Put("/admin/delete_topics/t", nil)
	eventually(t, "the deletion", func() bool { _, ok := s.Get("/brokers/topics/t"); return !ok })
	b.await("the deletion of both replicas", func(b *fakeBroker) bool {
		return b.deleted[tp{Topic: "t"}] && b.deleted[tp{Topic: "t", Partition: 1}]
	})
}

func znode(t *testing.T, s *zktest.Server, path string) map[string]any {
	t.Helper()
	data, _ := s.Get(path)
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %q: %v", path, data, err)
	}
	return m
}

// TestIDLostBetweenTerms: at failover the id comes from a local replica before a new one is invented.
func TestIDLostBetweenTerms(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	known := zk.NewTopicID()
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	s.Put("/brokers/topics/u", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	control(t, b, func(c *Config) {
		c.TopicIDHint = func(topic string) (protocol.TopicID, bool) { return known, topic == "t" }
	})
	if got := znode(t, s, "/brokers/topics/t")["topic_id"]; got != known.String() {
		t.Errorf("id %v, want %s", got, known)
	}
	if got := znode(t, s, "/brokers/topics/u")["topic_id"]; got == nil || got == known.String() {
		t.Errorf("id of a topic nobody knows: %v", got)
	}
}

func TestUnreadableZnodes(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	s.Put("/brokers/topics/bad", []byte("{"))
	s.Put("/brokers/ids/9", []byte(strings.Repeat("x", 1000)))
	s.Put("/admin/reassign_partitions", []byte("[]"))
	s.Put("/admin/preferred_replica_election", []byte("7"))
	s.Put("/isr_change_notification/isr_change_0000000000", []byte("x"))
	c := control(t, b, nil)
	s.Put("/log_dir_event_notification/log_dir_event_0000000000", []byte("{}"))
	s.Put("/isr_change_notification/isr_change_0000000001", []byte("x"))
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "t"}, 0)
	s.Put("/brokers/topics/t", []byte("garbage"))
	s.Put("/brokers/topics/bad", []byte(`{"version":1,"partitions":{"0":[0]}}`))
	if _, err := b.client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "u"}, 0)
	b.awaitLeader(tp{Topic: "bad"}, 0) // repaired
	if !c.Active() || c.Epoch() != 1 {
		t.Errorf("active %v, epoch %d", c.Active(), c.Epoch())
	}
	if _, ok := s.Get("/log_dir_event_notification/log_dir_event_0000000000"); ok {
		t.Error("a notification is left")
	}
}

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

func TestBrokerFailureAndPreferredElection(t *testing.T) {
	s, bs, c := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[2].awaitLeader(p, 1)
	bs[1].die()
	for _, b := range []*fakeBroker{bs[0], bs[2]} {
		b.awaitLeader(p, 0)
		b.await("the dead broker out of the ISR", func(b *fakeBroker) bool {
			l, m := b.leading[p], b.metadata[p]
			return slices.Equal(l.ISR, []int32{0, 2}) && slices.Equal(m.OfflineReplicas, []int32{1}) && slices.Equal(b.brokers, []int32{0, 2})
		})
	}
	back := startBroker(t, s, 1)
	back.awaitLeader(p, 0)

	elect := func(kind int8) protocol.ErrorCode {
		t.Helper()
		r := kmsg.NewElectLeadersRequest()
		r.Version, r.ElectionType = 2, kind
		r.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		resp := c.ElectLeaders(t.Context(), &r)
		return protocol.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if code := elect(electionPreferred); code != protocol.PreferredLeaderNotAvailable {
		t.Errorf("a preferred leader outside the ISR: %v", code)
	}
	if code := elect(electionUnclean); code != protocol.ElectionNotNeeded {
		t.Errorf("an unclean election with a live leader: %v", code)
	}
	widenISR(t, c, bs[0], p, []int32{0, 2, 1})
	if code := elect(electionPreferred); code != protocol.None {
		t.Errorf("preferred election: %v", code)
	}
	back.awaitLeader(p, 1)
	if code := elect(electionPreferred); code != protocol.ElectionNotNeeded {
		t.Errorf("a second preferred election: %v", code)
	}
}

// widenISR is AlterPartition as the leader sends it.
func widenISR(t *testing.T, c *Controller, leader *fakeBroker, p tp, isr []int32) {
	t.Helper()
	states, err := c.zk.PartitionStates([]tp{p})
	if err != nil {
		t.Fatal(err)
	}
	now := states[p]
	leader.mu.Lock()
	id := leader.ids[p.Topic]
	leader.mu.Unlock()
	resp := c.AlterPartition(t.Context(), alterRequest(leader, id, p, now.LeaderEpoch, now.Version, isr))
	if resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("AlterPartition of %v to %v: %+v", p, isr, resp)
	}
	leader.await("the new ISR, or a reassignment that it completed", func(b *fakeBroker) bool { return b.metadata[p].ZKVersion > now.Version })
}

func alterRequest(b *fakeBroker, id protocol.TopicID, p tp, leaderEpoch, partitionEpoch int32, isr []int32) *kmsg.AlterPartitionRequest {
	r := kmsg.NewAlterPartitionRequest()
	r.Version, r.BrokerID, r.BrokerEpoch = 3, b.id, b.epoch()
	rp := kmsg.NewAlterPartitionRequestTopicPartition()
	rp.Partition, rp.LeaderEpoch, rp.PartitionEpoch = p.Partition, leaderEpoch, partitionEpoch
	for _, id := range isr {
		rp.NewEpochISR = append(rp.NewEpochISR, kmsg.AlterPartitionRequestTopicPartitionNewEpochISR{BrokerID: id, BrokerEpoch: -1})
	}
	r.Topics = []kmsg.AlterPartitionRequestTopic{{Topic: p.Topic, TopicID: id, Partitions: []kmsg.AlterPartitionRequestTopicPartition{rp}}}
	return &r
}

func TestAlterPartition(t *testing.T) {
	_, bs, c := three(t)
	p := tp{Topic: "t"}
	id, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1, 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	bs[2].die()
	bs[0].await("the ISR to shrink", func(b *fakeBroker) bool { return slices.Equal(b.leading[p].ISR, []int32{0, 1}) })
	bs[0].mu.Lock()
	leaderEpoch, partitionEpoch := bs[0].leading[p].LeaderEpoch, bs[0].leading[p].ZKVersion
	bs[0].mu.Unlock()
	for _, tc := range []struct {
		name                        string
		id                          protocol.TopicID
		partition                   int32
		leaderEpoch, partitionEpoch int32
		isr                         []int32
		recovery                    int8
		version                     int16
		want                        protocol.ErrorCode
	}{
		{"unknown id", zk.NewTopicID(), 0, leaderEpoch, partitionEpoch, []int32{0}, 0, 3, protocol.UnknownTopicID},
		{"unknown partition", id, 9, leaderEpoch, partitionEpoch, []int32{0}, 0, 3, protocol.UnknownTopicOrPartition},
		{"partition epoch ahead", id, 0, leaderEpoch, partitionEpoch + 1, []int32{0}, 0, 3, protocol.NotController},
		{"leader epoch ahead", id, 0, leaderEpoch + 1, partitionEpoch, []int32{0}, 0, 3, protocol.NotController},
		{"leader epoch behind", id, 0, leaderEpoch - 1, partitionEpoch, []int32{0}, 0, 3, protocol.FencedLeaderEpoch},
		{"nothing new, old partition epoch", id, 0, leaderEpoch, partitionEpoch - 1, []int32{0, 1}, 0, 3, protocol.None},
		{"partition epoch behind", id, 0, leaderEpoch, partitionEpoch - 1, []int32{0}, 0, 3, protocol.InvalidUpdateVersion},
		{"recovering with two", id, 0, leaderEpoch, partitionEpoch, []int32{0, 1}, 1, 3, protocol.InvalidRequest},
		{"recovering after recovered", id, 0, leaderEpoch, partitionEpoch, []int32{0}, 1, 3, protocol.InvalidRequest},
		{"empty ISR", id, 0, leaderEpoch, partitionEpoch, nil, 0, 3, protocol.InvalidRequest},
		{"dead replica", id, 0, leaderEpoch, partitionEpoch, []int32{0, 1, 2}, 0, 3, protocol.IneligibleReplica},
		{"dead replica, v1", id, 0, leaderEpoch, partitionEpoch, []int32{0, 1, 2}, 0, 1, protocol.OperationNotAttempted},
		{"shrink", id, 0, leaderEpoch, partitionEpoch, []int32{0}, 0, 3, protocol.None},
		{"the same again, epochs as before", id, 0, leaderEpoch, partitionEpoch, []int32{0}, 0, 3, protocol.None},
	} {
		r := alterRequest(bs[0], tc.id, tp{Topic: "t", Partition: tc.partition}, tc.leaderEpoch, tc.partitionEpoch, tc.isr)
		r.Version = tc.version
		r.Topics[0].Partitions[0].LeaderRecoveryState = tc.recovery
		r.Topics[0].Partitions[0].NewISR = tc.isr
		resp := c.AlterPartition(t.Context(), r)
		got := resp.Topics[0].Partitions[0]
		if protocol.ErrorCode(got.ErrorCode) != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, protocol.ErrorCode(got.ErrorCode), tc.want)
		}
		if tc.name == "shrink" && (got.PartitionEpoch != partitionEpoch+1 || got.LeaderEpoch != leaderEpoch || !slices.Equal(got.ISR, []int32{0})) {
			t.Errorf("shrink answers %+v", got)
		}
	}
	stale := alterRequest(bs[0], id, p, leaderEpoch, partitionEpoch, []int32{0})
	stale.BrokerEpoch--
	if resp := c.AlterPartition(t.Context(), stale); protocol.ErrorCode(resp.ErrorCode) != protocol.StaleBrokerEpoch {
		t.Errorf("a stale broker: %+v", resp)
	}
}

func TestReassignment(t *testing.T) {
	s, bs, c := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	alter := func(target []int32) protocol.ErrorCode {
		t.Helper()
		r := kmsg.NewAlterPartitionAssignmentsRequest()
		r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: target}}}}
		resp := c.AlterPartitionAssignments(t.Context(), &r)
		if resp.ErrorCode != 0 {
			t.Fatalf("%+v", resp)
		}
		return protocol.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	for _, tc := range []struct {
		target []int32
		want   protocol.ErrorCode
	}{
		{nil, protocol.NoReassignmentInProgress}, {[]int32{}, protocol.InvalidReplicaAssignment}, {[]int32{1, 1}, protocol.InvalidReplicaAssignment},
		{[]int32{-1}, protocol.InvalidReplicaAssignment}, {[]int32{7}, protocol.InvalidReplicaAssignment}, {[]int32{2, 1}, protocol.None},
	} {
		if code := alter(tc.target); code != tc.want {
			t.Errorf("to %v: %v, want %v", tc.target, code, tc.want)
		}
	}
	bs[2].await("the new replica", func(b *fakeBroker) bool { return b.isNew[p] && slices.Equal(b.leading[p].AddingReplicas, []int32{2}) })
	list := func() []kmsg.ListPartitionReassignmentsResponseTopic {
		r := kmsg.NewListPartitionReassignmentsRequest()
		return c.ListPartitionReassignments(t.Context(), &r).Topics
	}
	if got := list(); len(got) != 1 || !slices.Equal(got[0].Partitions[0].Replicas, []int32{2, 1, 0}) || !slices.Equal(got[0].Partitions[0].RemovingReplicas, []int32{0}) {
		t.Errorf("in progress: %+v", got)
	}
	// A 2.0 tool that rewrites the topic now does not end the reassignment.
	s.Put("/brokers/topics/t", []byte(`{"version":1,"partitions":{"0":[2,1,0]}}`))
	eventually(t, "adding_replicas to be restored", func() bool {
		z, err := zk.DecodeTopic("t", mustGet(t, s, "/brokers/topics/t"))
		return err == nil && !z.ID.IsZero() && slices.Equal(z.Adding[0], []int32{2})
	})
	widenISR(t, c, bs[0], p, []int32{0, 1, 2})
	bs[2].awaitLeader(p, 2)
	bs[0].await("its deletion", func(b *fakeBroker) bool { return b.deleted[p] })
	if got := list(); len(got) != 0 {
		t.Errorf("still in progress: %+v", got)
	}
	z, err := bs[0].client.Topic("t")
	if err != nil || !slices.Equal(z.Partitions[0], []int32{2, 1}) || len(z.Adding) > 0 || len(z.Removing) > 0 {
		t.Errorf("topic %+v, %v", z, err)
	}

	// By znode, as tools before 2.5 do it; an entry for no partition is dropped.
	s.Put("/admin/reassign_partitions", []byte(`{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"none","partition":0,"replicas":[1]}]}`))
	eventually(t, "the request to vanish", func() bool { _, ok := s.Get("/admin/reassign_partitions"); return !ok })
	bs[1].awaitLeader(p, 1)
	if z, _ := bs[0].client.Topic("t"); !slices.Equal(z.Partitions[0], []int32{1}) {
		t.Errorf("topic %+v", z)
	}
	// To where it is: the leader epoch rises.
	before := c.mustEpoch(t, p)
	if code := alter([]int32{1}); code != protocol.None {
		t.Errorf("to where it is: %v", code)
	}
	if after := c.mustEpoch(t, p); after != before+1 {
		t.Errorf("leader epoch %d after %d", after, before)
	}
	// And a cancellation.
	if code := alter([]int32{2}); code != protocol.None {
		t.Fatal(code)
	}
	if code := alter(nil); code != protocol.None {
		t.Errorf("cancel: %v", code)
	}
	if z, _ := bs[0].client.Topic("t"); !slices.Equal(z.Partitions[0], []int32{1}) || len(z.Adding) > 0 {
		t.Errorf("after the cancellation %+v", z)
	}
	bs[2].await("the unneeded replica to be deleted", func(b *fakeBroker) bool { return b.stopped[p].Delete })
}

func mustGet(t *testing.T, s *zktest.Server, path string) []byte {
	t.Helper()
	data, ok := s.Get(path)
	if !ok {
		t.Fatalf("%s is missing", path)
	}
	return data
}

func (c *Controller) mustEpoch(t *testing.T, p tp) int32 {
	t.Helper()
	states, err := c.zk.PartitionStates([]tp{p})
	if err != nil {
		t.Fatal(err)
	}
	return states[p].LeaderEpoch
}

func TestPreferredElectionByZnode(t *testing.T) {
	s, bs, c := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 1)
	bs[1].die()
	bs[0].awaitLeader(p, 0)
	back := startBroker(t, s, 1)
	back.awaitLeader(p, 0)
	widenISR(t, c, bs[0], p, []int32{0, 1})
	s.Put("/admin/preferred_replica_election", []byte(`{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"x","partition":0}]}`))
	back.awaitLeader(p, 1)
	eventually(t, "the request to vanish", func() bool { _, ok := s.Get("/admin/preferred_replica_election"); return !ok })
	back.die()
	bs[0].awaitLeader(p, 0)
	again := startBroker(t, s, 1)
	again.awaitLeader(p, 0)
	widenISR(t, c, bs[0], p, []int32{0, 1})
	c.events.push(autoRebalance{})
	again.awaitLeader(p, 1)
}

func TestControlledShutdown(t *testing.T) {
	_, bs, c := three(t)
	moves, stays := tp{Topic: "moves"}, tp{Topic: "stays"}
	for topic, replicas := range map[string][]int32{"moves": {1, 2}, "stays": {1}} {
		if _, err := bs[0].client.CreateTopic(topic, map[int32][]int32{0: replicas}, nil); err != nil {
			t.Fatal(err)
		}
	}
	bs[1].awaitLeader(moves, 1)
	bs[1].awaitLeader(stays, 1)
	ask := func(broker int32, epoch int64) (protocol.ErrorCode, int) {
		r := kmsg.NewControlledShutdownRequest()
		r.Version, r.BrokerID, r.BrokerEpoch = 3, broker, epoch
		resp := c.ControlledShutdown(t.Context(), &r)
		return protocol.ErrorCode(resp.ErrorCode), len(resp.PartitionsRemaining)
	}
	if code, _ := ask(1, bs[1].epoch()-1); code != protocol.StaleBrokerEpoch {
		t.Errorf("stale: %v", code)
	}
	if code, _ := ask(9, -1); code != protocol.BrokerNotAvailable {
		t.Errorf("unknown: %v", code)
	}
	if code, _ := ask(9, 1); code != protocol.UnknownServerError {
		t.Errorf("unknown with an epoch: %v", code)
	}
	if code, left := ask(1, bs[1].epoch()); code != protocol.None || left != 0 {
		t.Errorf("%v, %d partitions left", code, left)
	}
	bs[2].awaitLeader(moves, 2)
	bs[2].await("the ISR without the leaving broker", func(b *fakeBroker) bool { return slices.Equal(b.leading[moves].ISR, []int32{2}) })
}

func TestLogDirFailure(t *testing.T) {
	_, bs, _ := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0}, 1: {1, 0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 1)
	bs[0].awaitLeader(tp{Topic: "t", Partition: 1}, 1)
	bs[1].mu.Lock()
	bs[1].errors[p] = protocol.KafkaStorageError
	bs[1].mu.Unlock()
	if err := bs[1].client.NotifyLogDirFailure(1); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	bs[0].await("the replica to be offline", func(b *fakeBroker) bool { return slices.Equal(b.metadata[p].OfflineReplicas, []int32{1}) })
	bs[0].mu.Lock()
	defer bs[0].mu.Unlock()
	if l := bs[0].metadata[tp{Topic: "t", Partition: 1}].Leader; l != 1 {
		t.Errorf("a partition in a good directory moved to %d", l)
	}
}

// TestFailover: another broker takes over what the dead controller knew, and the old one cannot write any more.
func TestFailover(t *testing.T) {
	_, bs, first := three(t)
	second := control(t, bs[1], nil)
	if second.Active() || second.ID() != 0 || second.Epoch() != 1 {
		t.Fatalf("active %v, controller %d, epoch %d", second.Active(), second.ID(), second.Epoch())
	}
	r := kmsg.NewAllocateProducerIDsRequest()
	if resp := second.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.NotController {
		t.Errorf("a bystander answers %+v", resp)
	}
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[1].awaitLeader(p, 0)
	first.Stop()
	bs[0].die()
	eventually(t, "the second term", func() bool { return second.Active() })
	bs[2].awaitLeader(p, 1)
	if second.Epoch() != 2 || second.ID() != 1 {
		t.Errorf("controller %d, epoch %d", second.ID(), second.Epoch())
	}
}

// TestSessionExpiry: the controller resigns and is elected again in its new session; its broker is bounced.
func TestSessionExpiry(t *testing.T) {
	s := zktest.Start(t)
	b := startBroker(t, s, 0)
	var c *Controller
	b.client.OnSession(func() {
		b.register()
		c.Reregistered()
	})
	c = control(t, b, nil)
	p := tp{Topic: "t"}
	if _, err := b.client.CreateTopic("t", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(p, 0)
	s.Expire(b.client.SessionID())
	eventually(t, "the second term", func() bool { return c.Active() && c.Epoch() == 2 })
	if _, err := b.client.CreateTopic("u", map[int32][]int32{0: {0}}, nil); err != nil {
		t.Fatal(err)
	}
	b.awaitLeader(tp{Topic: "u"}, 0)
}

func TestSmallRPCs(t *testing.T) {
	_, b, c := one(t, nil)
	r := kmsg.NewAllocateProducerIDsRequest()
	r.BrokerID, r.BrokerEpoch = 0, b.epoch()
	for _, want := range []int64{0, 1000} {
		if resp := c.AllocateProducerIDs(t.Context(), &r); resp.ErrorCode != 0 || resp.ProducerIDStart != want || resp.ProducerIDLen != 1000 {
			t.Errorf("block %+v, want start %d", resp, want)
		}
	}
	r.BrokerEpoch--
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.StaleBrokerEpoch {
		t.Errorf("%+v", resp)
	}
	r.BrokerID = 5
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.BrokerIDNotRegistered {
		t.Errorf("%+v", resp)
	}
	f := kmsg.NewUpdateFeaturesRequest()
	f.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "x", MaxVersionLevel: 1}}
	if resp := c.UpdateFeatures(t.Context(), &f); len(resp.Results) != 1 || protocol.ErrorCode(resp.Results[0].ErrorCode) != protocol.InvalidRequest {
		t.Errorf("%+v", resp)
	}
	f.FeatureUpdates = nil
	if resp := c.UpdateFeatures(t.Context(), &f); resp.ErrorCode != 0 || len(resp.Results) != 0 {
		t.Errorf("no update: %+v", resp)
	}
	c.Stop()
	if resp := c.AllocateProducerIDs(t.Context(), &r); protocol.ErrorCode(resp.ErrorCode) != protocol.NotController {
		t.Errorf("after Stop: %+v", resp)
	}
	if id, err := b.client.Controller(); id != -1 || err != nil {
		t.Errorf("/controller after Stop: %d, %v", id, err)
	}
}

func TestAssignReplicas(t *testing.T) {
	plain := []BrokerPlace{{ID: 0}, {ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}}
	got, err := AssignReplicas(plain, 10, 3, 0, 0)
	want := map[int32][]int32{0: {0, 1, 2}, 1: {1, 2, 3}, 2: {2, 3, 4}, 3: {3, 4, 0}, 4: {4, 0, 1},
		5: {0, 2, 3}, 6: {1, 3, 4}, 7: {2, 4, 0}, 8: {3, 0, 1}, 9: {4, 1, 2}} // AdminUtils' own example
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without racks: %v, %v", got, err)
	}
	racks := []BrokerPlace{{0, "r1"}, {1, "r3"}, {2, "r3"}, {3, "r2"}, {4, "r2"}, {5, "r1"}}
	got, err = AssignReplicas(racks, 7, 3, 0, 0)
	want = map[int32][]int32{0: {0, 3, 1}, 1: {3, 1, 5}, 2: {1, 5, 4}, 3: {5, 4, 2}, 4: {4, 2, 0}, 5: {2, 0, 3}, 6: {0, 4, 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with racks: %v, %v", got, err)
	}
	if got, err := AssignReplicas([]BrokerPlace{{ID: 7}}, 2, 1, -1, 3); err != nil || !reflect.DeepEqual(got, map[int32][]int32{3: {7}, 4: {7}}) {
		t.Errorf("one broker: %v, %v", got, err)
	}
	for _, bad := range [][2]int{{0, 1}, {1, 0}, {1, 6}} {
		if _, err := AssignReplicas(plain, bad[0], bad[1], 0, 0); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
