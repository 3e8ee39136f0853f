package controller

import (
	"slices"
	"testing"

	"gregor/zk"
	"gregor/zk/zktest"
)

// A leader that lost its log and came back between two controllers is alive to both; the second one must not have it lead on.
func TestLeaderRebornBetweenControllers(t *testing.T) {
	s, bs, first := three(t)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {2, 1, 0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[1].awaitLeader(p, 2)
	first.Stop()
	bs[2].client.Close()
	bs[2].client = connect(t, s)
	bs[2].register()
	second := control(t, bs[1], nil)
	eventually(t, "the second term", second.Active)
	bs[0].awaitLeader(p, 1)
	bs[2].awaitLeader(p, 1)
	states, err := bs[1].client.PartitionStates([]tp{p})
	if err != nil {
		t.Fatal(err)
	}
	if st := states[p]; st.Leader != 1 || slices.Contains(st.ISR, 2) || st.LeaderEpoch == 0 {
		t.Errorf("state %+v", st)
	}
}

// When every broker was born again, the next leader comes from the ISR as always.
func TestAllRebornBetweenControllers(t *testing.T) {
	s := zktest.Start(t)
	bs := []*fakeBroker{startBroker(t, s, 0), startBroker(t, s, 1)}
	first := control(t, bs[0], nil)
	p := tp{Topic: "t"}
	if _, err := bs[0].client.CreateTopic("t", map[int32][]int32{0: {1, 0}}, nil); err != nil {
		t.Fatal(err)
	}
	bs[0].awaitLeader(p, 1)
	first.Stop()
	for _, b := range bs {
		b.client.Close()
		b.client = connect(t, s)
		b.register()
	}
	second := control(t, bs[0], nil)
	eventually(t, "the second term", second.Active)
	states, err := bs[0].client.PartitionStates([]tp{p})
	if st := states[p]; err != nil || st.Leader != 1 || len(st.ISR) != 2 {
		t.Errorf("state %+v, %v", st, err)
	}
}

func TestReborn(t *testing.T) {
	const before, after = 10, 30 // the state was written at 20
	for _, tc := range []struct {
		name   string
		isr    []int32
		epochs map[int32]int64 // of the live brokers
		want   []int32
	}{
		{"nobody", []int32{1, 2, 3}, map[int32]int64{1: before, 2: before, 3: before}, nil},
		{"one", []int32{1, 2, 3}, map[int32]int64{1: after, 2: before, 3: before}, []int32{1}},
		{"two", []int32{1, 2, 3}, map[int32]int64{1: after, 2: before, 3: after}, []int32{1, 3}},
		{"all", []int32{1, 2}, map[int32]int64{1: after, 2: after}, nil},
		{"one that is not in sync", []int32{2, 3}, map[int32]int64{1: after, 2: before, 3: before}, nil},
		{"one, and the other is dead", []int32{1, 2}, map[int32]int64{1: after}, nil},
		{"the last one in sync", []int32{1}, map[int32]int64{1: after, 2: before}, nil},
	} {
		c := newCluster()
		for id, epoch := range tc.epochs {
			c.brokers[id] = zk.Broker{ID: id, Epoch: epoch}
		}
		topic := &topic{name: "t", partitions: map[int32]*partition{}}
		c.topics["t"] = topic
		p := c.addPartition(topic, 0, assignment{replicas: []int32{1, 2, 3}})
		p.leadership = &zk.PartitionState{Leader: tc.isr[0], ISR: tc.isr, Modified: 20}
		if got := c.reborn(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, not %v", tc.name, got, tc.want)
		}
	}
}
