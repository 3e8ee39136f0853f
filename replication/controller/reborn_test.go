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
	type lives = map[int32]int64
	for _, tc := range []struct {
		name   string
		isr    []int32
		epochs lives   // of the live brokers
		want   []int32 // when the state does not say whose lives it means
	}{
		{"nobody", []int32{1, 2, 3}, lives{1: before, 2: before, 3: before}, nil},
		{"one", []int32{1, 2, 3}, lives{1: after, 2: before, 3: before}, []int32{1}},
		{"two", []int32{1, 2, 3}, lives{1: after, 2: before, 3: after}, []int32{1, 3}},
		{"all", []int32{1, 2}, lives{1: after, 2: after}, nil},
		{"one that is not in sync", []int32{2, 3}, lives{1: after, 2: before, 3: before}, nil},
		{"one, and the other is dead", []int32{1, 2}, lives{1: after}, nil},
		{"the last one in sync", []int32{1}, lives{1: after, 2: before}, nil},
	} {
		if got := rebornOf(tc.epochs, &zk.PartitionState{Leader: tc.isr[0], ISR: tc.isr, Modified: 20}); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, not %v", tc.name, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name   string
		meant  []int64 // of 1, 2 and 3, in a state written at 50
		epochs lives
		want   []int32
	}{
		{"nobody", []int64{10, 11, 30}, lives{1: 10, 2: 11, 3: 30}, nil},
		{"one, before somebody wrote who did not know", []int64{10, 11, 12}, lives{1: 10, 2: 30, 3: 12}, []int32{2}},
		{"one, after", []int64{10, 11, 12}, lives{1: 10, 2: 60, 3: 12}, []int32{2}},
		{"one that nothing is known of, after", []int64{10, -1, 12}, lives{1: 10, 2: 60, 3: 12}, []int32{2}},
		{"one that nothing is known of, before", []int64{10, -1, 12}, lives{1: 10, 2: 30, 3: 12}, nil},
		{"all", []int64{10, 11, 12}, lives{1: 20, 2: 21, 3: 22}, nil},
	} {
		if got := rebornOf(tc.epochs, &zk.PartitionState{Leader: 1, ISR: []int32{1, 2, 3}, ISREpochs: tc.meant, Modified: 50}); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, not %v", tc.name, got, tc.want)
		}
	}
}

func rebornOf(epochs map[int32]int64, state *zk.PartitionState) []int32 {
	c := newCluster()
	for id, epoch := range epochs {
		c.brokers[id] = zk.Broker{ID: id, Epoch: epoch}
	}
	p := c.addPartition(c.addTopic("t", zk.NewTopicID()), 0, assignment{replicas: []int32{1, 2, 3}})
	p.leadership = state
	return c.reborn()
}

func TestLivesOf(t *testing.T) {
	c := newCluster()
	for id, epoch := range map[int32]int64{1: 10, 2: 20} {
		c.brokers[id] = zk.Broker{ID: id, Epoch: epoch}
	}
	before := &zk.PartitionState{ISR: []int32{3, 2, 1}, ISREpochs: []int64{7, 8, 9}}
	for _, tc := range []struct {
		name   string
		isr    []int32
		before *zk.PartitionState
		want   []int64
	}{
		{"who is registered", []int32{2, 1}, before, []int64{20, 10}},
		{"one who is dead keeps what was known", []int32{1, 3}, before, []int64{10, 7}},
		{"one who is dead and was not in sync", []int32{1, 4}, before, []int64{10, -1}},
		{"a state that did not tell", []int32{1, 3}, &zk.PartitionState{ISR: []int32{1, 3}}, []int64{10, -1}},
		{"nobody is known", []int32{3, 4}, nil, nil},
		{"a single one", []int32{1}, before, nil},
	} {
		if got := c.livesOf(tc.isr, tc.before); !slices.Equal(got, tc.want) || (got == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, not %v", tc.name, got, tc.want)
		}
	}
}
