package replication

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// The rules of one broker for LeaderAndIsr, each as a step from the state that the steps before it left.
func TestLeaderAndISRRules(t *testing.T) {
	r := newReplica(t, 1, 1)
	all, others := []int32{1, 2, 3}, []int32{2, 3}
	state := func(leader, epoch int32) partitionState {
		return partitionState{leader: leader, epoch: epoch, isr: all, replicas: all, isNew: true}
	}
	for _, tc := range []struct {
		name            string
		controllerEpoch int32
		brokerEpoch     int64
		id              protocol.TopicID
		state           partitionState
		whole, code     protocol.ErrorCode
		leaderEpoch     int32 // afterwards; -1: no such partition
		moves           []string
	}{
		{"of an earlier life of the broker", 5, brokerEpoch - 1, idA, state(1, 0), protocol.StaleBrokerEpoch, protocol.StaleBrokerEpoch, -1, nil},
		{"not among the replicas", 5, -1, idA, partitionState{leader: 2, epoch: 0, isr: others, replicas: others}, noCode, protocol.UnknownTopicOrPartition, -1, nil},
		{"first", 5, brokerEpoch, idA, state(1, 3), noCode, noCode, 3, []string{"+t-0@3"}},
		{"of an earlier controller", 4, brokerEpoch, idA, state(1, 9), protocol.StaleControllerEpoch, protocol.StaleControllerEpoch, 3, nil},
		{"the same again", 5, brokerEpoch, idA, state(1, 3), noCode, protocol.StaleControllerEpoch, 3, nil},
		{"an older leader epoch", 5, brokerEpoch, idA, state(2, 2), noCode, protocol.StaleControllerEpoch, 3, nil},
		{"another topic id", 5, brokerEpoch, idB, state(2, 4), noCode, protocol.InconsistentTopicID, 3, nil},
		{"leader again, of a broker epoch to come", 5, brokerEpoch + 7, idA, state(1, 4), noCode, noCode, 4, []string{"+t-0@4"}},
		{"follower, broker epoch unknown", 6, -1, idA, state(2, 6), noCode, noCode, 6, []string{"-t-0@6"}},
		{"controller epoch 6 was taken in", 5, -1, idA, state(1, 7), protocol.StaleControllerEpoch, protocol.StaleControllerEpoch, 6, nil},
		{"follower of another leader", 6, -1, idA, state(3, 7), noCode, noCode, 7, nil},
		{"a follower's id is left out", 6, -1, noID, state(3, 7), noCode, noCode, 7, nil},
		{"a newer epoch without id", 6, -1, noID, state(1, 8), noCode, noCode, 8, []string{"+t-0@8"}},
		{"a leader's id is left out", 6, -1, noID, state(1, 8), noCode, protocol.StaleControllerEpoch, 8, nil},
		{"no more among the replicas", 6, -1, idA, partitionState{leader: 2, epoch: 9, isr: others, replicas: others}, noCode, protocol.UnknownTopicOrPartition, 8, nil},
		{"no leader", 6, -1, idA, state(-1, 10), noCode, noCode, 10, []string{"-t-0@10"}},
	} {
		whole, codes := r.leaderAndISR(tc.controllerEpoch, tc.brokerEpoch, tc.id, tc.state)
		if whole != tc.whole || !slices.Equal(codes, []protocol.ErrorCode{tc.code}) {
			t.Errorf("%s: %v, %v; want %v, %v", tc.name, whole, codes, tc.whole, tc.code)
		}
		epoch := int32(-1)
		if p, _ := r.Partition(tp0); p != nil {
			epoch = p.LeaderEpoch()
			if got := p.TopicID(); got != idA {
				t.Errorf("%s: topic id %v", tc.name, got)
			}
		}
		if epoch != tc.leaderEpoch {
			t.Errorf("%s: leader epoch %d, want %d", tc.name, epoch, tc.leaderEpoch)
		}
		if moves := r.told(); !slices.Equal(moves, tc.moves) {
			t.Errorf("%s: told %v, want %v", tc.name, moves, tc.moves)
		}
	}
}

// What a request says lands in the partition.
func TestLeaderAndISRState(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.set(partitionState{leader: 2, epoch: 4, isr: []int32{2, 1}, replicas: []int32{1, 2, 3}, isNew: true})
	leader, epoch := p.Leader()
	if leader != 2 || epoch != 4 || p.IsLeader() || !slices.Equal(p.ISR(), []int32{2, 1}) || !slices.Equal(p.Replicas(), []int32{1, 2, 3}) || p.TopicPartition() != tp0 {
		t.Fatalf("leader %d, epoch %d, ISR %v, replicas %v", leader, epoch, p.ISR(), p.Replicas())
	}
	if got := r.Partitions(); len(got) != 1 || got[0] != p {
		t.Fatalf("partitions %v", got)
	}
}

// A topic id reaches partition.metadata with the first batch, also when it comes later and nothing else is new, and holds after a restart.
func TestTopicIDArrivesLate(t *testing.T) {
	r := newReplica(t, 1, 1)
	state := partitionState{leader: me, epoch: 1, isr: []int32{1}, replicas: []int32{1}, isNew: true}
	if code, codes := r.leaderAndISR(1, -1, noID, state); code != noCode || codes[0] != noCode {
		t.Fatal(code, codes)
	}
	p, _ := r.Partition(tp0)
	if !p.TopicID().IsZero() {
		t.Fatalf("topic id %v before any was given", p.TopicID())
	}
	if _, codes := r.leaderAndISR(1, -1, idA, state); codes[0] != noCode {
		t.Fatalf("an id for a topic without: %v", codes)
	}
	mustAppend(t, p, 1, 1)
	r.restart()
	if _, code := r.Partition(tp0); code != protocol.UnknownTopicOrPartition {
		t.Fatalf("before the controller has spoken: %v", code)
	}
	if _, codes := r.leaderAndISR(1, -1, idB, state); codes[0] != protocol.InconsistentTopicID {
		t.Fatalf("another id after a restart: %v", codes)
	}
	if p := r.set(state); p.TopicID() != idA {
		t.Fatalf("topic id %v after a restart", p.TopicID())
	}
}

// Versions 0 and 1 carry partitions without topics, 2 to 4 topics without ids; the answer names partitions with their topic.
func TestLeaderAndISROldVersions(t *testing.T) {
	r := newReplica(t, 1, 1)
	for i, version := range []int16{0, 1, 2, 4} {
		req := leaderAndISRRequest(1, -1, noID, partitionState{leader: me, epoch: int32(i), isr: []int32{1}, replicas: []int32{1}})
		req.Version = version
		if version < 2 {
			req.PartitionStates = req.TopicStates[0].PartitionStates
			req.PartitionStates[0].Topic = tp0.Topic
			req.TopicStates = nil
		}
		resp := r.LeaderAndISR(req)
		want := kmsg.LeaderAndISRResponseTopicPartition{Topic: "t"}
		if resp.ErrorCode != 0 || len(resp.Topics) != 0 || len(resp.Partitions) != 1 || resp.Partitions[0].Topic != want.Topic || resp.Partitions[0].ErrorCode != 0 {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
}

// A leader starts its epoch before its first append, so that a follower that asks finds it (KAFKA-7415).
func TestLeaderStartsItsEpoch(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(2, 1)
	mustAppend(t, p, 3, 1)
	r.lead(5, 1)
	for _, tc := range []struct {
		asked, epoch int32
		end          int64
	}{{2, 2, 3}, {4, 2, 3}, {5, 5, 3}} {
		if epoch, end := p.Log().EndOffsetForEpoch(tc.asked); epoch != tc.epoch || end != tc.end {
			t.Errorf("epoch %d ends in %d at %d, want %d at %d", tc.asked, epoch, end, tc.epoch, tc.end)
		}
	}
	if got := p.Log().LatestEpoch(); got != 5 {
		t.Errorf("latest epoch %d", got)
	}
}

func TestFenceController(t *testing.T) {
	r := newReplica(t, 1, 1)
	for _, tc := range []struct {
		controllerEpoch int32
		brokerEpoch     int64
		want            protocol.ErrorCode
	}{
		{3, brokerEpoch, noCode},
		{9, brokerEpoch - 1, protocol.StaleBrokerEpoch}, // and its controller epoch is not taken in
		{3, -1, noCode},
		{2, -1, protocol.StaleControllerEpoch},
		{4, brokerEpoch + 1, noCode},
		{3, -1, protocol.StaleControllerEpoch},
	} {
		if got := r.FenceController(tc.controllerEpoch, tc.brokerEpoch); got != tc.want {
			t.Errorf("controller epoch %d, broker epoch %d: %v, want %v", tc.controllerEpoch, tc.brokerEpoch, got, tc.want)
		}
	}
}
