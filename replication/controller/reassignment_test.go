package controller

import (
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
