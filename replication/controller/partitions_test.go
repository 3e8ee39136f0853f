package controller

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

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
	for _, life := range []struct {
		epoch int64
		want  protocol.ErrorCode
	}{{bs[1].epoch() - 1, protocol.IneligibleReplica}, {bs[1].epoch() + 1, protocol.IneligibleReplica}, {bs[1].epoch(), protocol.None}} {
		r := alterRequest(bs[0], id, p, leaderEpoch, partitionEpoch+1, []int32{0, 1})
		r.Topics[0].Partitions[0].NewEpochISR[1].BrokerEpoch = life.epoch // KIP-903
		if got := protocol.ErrorCode(c.AlterPartition(t.Context(), r).Topics[0].Partitions[0].ErrorCode); got != life.want {
			t.Errorf("broker 1 in the life of epoch %d: %v, want %v", life.epoch, got, life.want)
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

// TestDeadBrokerLeavesWhatALeaderWrote: a leader of an old inter.broker.protocol.version took a replica into the ISR, and nobody has told the controller yet
// when the replica's broker dies. An empty partition has no followers that lag, so its leader would never take it out again.
func TestDeadBrokerLeavesWhatALeaderWrote(t *testing.T) {
	_, bs, c := three(t)
	p := tp{Topic: "t"}
	id, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1, 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	if got := c.AlterPartition(t.Context(), alterRequest(bs[0], id, p, 0, 0, []int32{0, 1})).Topics[0].Partitions[0]; got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	read := func() zk.PartitionState {
		states, err := bs[0].client.PartitionStates([]tp{p})
		if err != nil {
			t.Fatal(err)
		}
		return states[p]
	}
	state := read()
	state.ISR = []int32{0, 1, 2}
	if _, err := bs[0].client.UpdateISR(p, state); err != nil {
		t.Fatal(err)
	}
	bs[2].die()
	eventually(t, "the dead broker to leave the ISR", func() bool { return slices.Equal(read().ISR, []int32{0, 1}) })
	bs[0].await("the leader to hear of it", func(b *fakeBroker) bool {
		return slices.Equal(b.leading[p].ISR, []int32{0, 1}) && b.leading[p].LeaderEpoch == 1
	})
}

// TestElectionReadsISR: a leader of an old inter.broker.protocol.version took a replica into the ISR, and nobody has told the controller yet when that replica
// is wanted as leader: once because it is the preferred one, once because nobody else is left.
func TestElectionReadsISR(t *testing.T) {
	s, bs, c := three(t)
	p := tp{Topic: "t"}
	id, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 1)
	read := func() zk.PartitionState {
		t.Helper()
		states, err := bs[0].client.PartitionStates([]tp{p})
		if err != nil {
			t.Fatal(err)
		}
		return states[p]
	}
	write := func(leader *fakeBroker, isr ...int32) {
		t.Helper()
		st := read()
		st.ISR = isr
		if _, err := leader.client.UpdateISR(p, st); err != nil {
			t.Fatal(err)
		}
	}
	st := read()
	if got := c.AlterPartition(t.Context(), alterRequest(bs[1], id, p, st.LeaderEpoch, st.Version, []int32{1})).Topics[0].Partitions[0]; got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	write(bs[1], 1, 0)
	bs[1].die()
	bs[0].awaitLeader(p, 0)
	back := startBroker(t, s, 1)
	back.awaitLeader(p, 0)
	write(bs[0], 0, 1)
	r := kmsg.NewElectLeadersRequest()
	r.Version, r.ElectionType = 2, electionPreferred
	r.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	if got := c.ElectLeaders(t.Context(), &r).Topics[0].Partitions[0]; got.ErrorCode != 0 {
		t.Errorf("preferred election: %v", protocol.ErrorCode(got.ErrorCode))
	}
	back.awaitLeader(p, 1)
}
