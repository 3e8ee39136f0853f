package controller

import (
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/zk"
)

// TestReassignmentReadsISR: a leader below inter.broker.protocol.version 2.7-IV2 has shrunk the ISR in ZooKeeper and not told of it yet. The target is
// not in sync: the reassignment waits.
func TestReassignmentReadsISR(t *testing.T) {
	_, bs, c := three(t)
	p := tp{Topic: "t"}
	client := bs[0].client
	if _, err := client.CreateTopic("t", map[int32][]int32{0: {0, 1, 2}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	shrink := func(isr ...int32) {
		t.Helper()
		all, err := client.PartitionStates([]tp{p})
		st := all[p]
		st.ISR = isr
		if err == nil {
			_, err = client.UpdateISR(p, st)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shrink(0)
	r := kmsg.NewAlterPartitionAssignmentsRequest()
	r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: []int32{0, 1}}}}}
	if resp := c.AlterPartitionAssignments(t.Context(), &r); resp.ErrorCode != 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	expect := func(when string, leader int32, replicas []int32) {
		t.Helper()
		z, err := client.Topic("t")
		if err != nil || !slices.Equal(z.Partitions[0], replicas) {
			t.Fatalf("%s: %+v, %v; want replicas %v", when, z, err, replicas)
		}
		all, err := client.PartitionStates([]tp{p})
		if err != nil || all[p].Leader != leader {
			t.Fatalf("%s: %+v, %v; want leader %d", when, all[p], err, leader)
		}
	}
	expect("out of sync", 0, []int32{0, 1, 2})
	shrink(0, 1)
	if err := client.NotifyISRChanges([]tp{p}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the reassignment", func() bool {
		z, err := client.Topic("t")
		return err == nil && slices.Equal(z.Partitions[0], []int32{0, 1})
	})
}

// TestReassignmentKeepsReplicas: the election among the target fails, so nobody is removed.
func TestReassignmentKeepsReplicas(t *testing.T) {
	_, bs, c := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {0, 1}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 0)
	type result struct {
		assigned []int32
		moving   bool
	}
	got, ok := call(t.Context(), c, func() (result, error) {
		part := c.cluster.partition(p)
		part.assignment = part.assignment.reassignTo([]int32{1})
		st := *part.leadership
		st.ISR = []int32{0}
		if raced, err := c.writeLeadership([]*partition{part}, map[tp]zk.PartitionState{p: st}, map[*partition]error{}); err != nil || len(raced) > 0 {
			t.Errorf("%v, %v", raced, err)
		}
		err := c.finishReassignment(part, part.assignment)
		return result{part.assignment.replicas, part.assignment.isBeingReassigned()}, err
	})
	if !ok || !got.moving || !slices.Equal(got.assigned, []int32{1, 0}) {
		t.Errorf("%+v, %v", got, ok)
	}
}

// TestReassignmentWithoutLeader: a topic whose brokers never came is to move to one that is here, another one to brokers that are away as well. The next controller takes
// both up: the first gets its leader, the second waits, and neither keeps the term from beginning.
func TestReassignmentWithoutLeader(t *testing.T) {
	s, bs, first := three(t)
	for name, replicas := range map[string][]int32{"here": {7, 8}, "away": {7, 8}} {
		if _, err := bs[0].client.CreateTopic(name, map[int32][]int32{0: replicas}, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the topics", func() bool {
		n, ok := call(t.Context(), first, func() (int, error) { return len(first.cluster.topics), nil })
		return ok && n == 2
	})
	first.Stop()
	s.Put("/admin/reassign_partitions", []byte(`{"version":1,"partitions":[{"topic":"away","partition":0,"replicas":[8,9]},{"topic":"here","partition":0,"replicas":[2,8]}]}`))
	second := control(t, bs[1], nil)
	eventually(t, "the second term", second.Active)
	bs[2].awaitLeader(tp{Topic: "here"}, 2)
	for range 2 { // in the same term, then in the next
		moving, ok := call(t.Context(), second, func() (map[tp]bool, error) { return maps.Clone(second.cluster.reassigning), nil })
		if !ok || !moving[tp{Topic: "here"}] || !moving[tp{Topic: "away"}] {
			t.Fatalf("on the move: %v, %v", moving, ok)
		}
		second.Stop()
		second = control(t, bs[0], nil)
		eventually(t, "the next term", second.Active)
	}
	startBroker(t, s, 9).awaitLeader(tp{Topic: "away"}, 9)
}
