package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

// leading is broker 1 as leader of partition 0, of replicas 1 to 3, with a clock and a cluster that the test moves. replica.lag.time.max.ms is 10 s.
type leading struct {
	*replica
	p     *Partition
	now   time.Time
	dead  map[int32]bool
	lives map[int32]int64 // broker epochs of followers other than 100 + id
}

func newLeading(t testing.TB, minISR int32, isr ...int32) *leading {
	l := &leading{replica: newReplica(t, 1, minISR), now: at(0), dead: map[int32]bool{}, lives: map[int32]int64{}}
	l.cfg().Clock = func() time.Time { return l.now }
	l.cfg().Alive = func(id int32) bool { return !l.dead[id] }
	l.cfg().ReplicaLagTimeMax = 10 * time.Second
	l.p = l.lead(0, isr...)
	return l
}

func (l *leading) cfg() *Config { return &l.Manager.cfg }

// fetch is a follower's fetch from offset on, of the current leader epoch.
func (l *leading) fetch(id int32, offset int64) error {
	return l.ask(Ask{Offset: offset, CurrentLeaderEpoch: l.p.LeaderEpoch(), LastFetchedEpoch: -1, Follower: l.follower(id)})
}

func (l *leading) follower(id int32) *FollowerFetch {
	epoch := 100 + int64(id)
	if e, ok := l.lives[id]; ok {
		epoch = e
	}
	return &FollowerFetch{ID: id, BrokerEpoch: epoch, LogStartOffset: 0}
}

func (l *leading) ask(ask Ask) error {
	var rd Read
	ask.MaxBytes = 1 << 20
	err := l.p.Read(ask, &rd)
	rd.Result.Slice.Release()
	return err
}

func (l *leading) mustFetch(id int32, offset int64) {
	l.t.Helper()
	if err := l.fetch(id, offset); err != nil {
		l.t.Fatalf("broker %d fetches from %d: %v", id, offset, err)
	}
}

func (l *leading) wantMark(what string, want int64) {
	l.t.Helper()
	if got := l.p.Log().HighWatermark(); got != want {
		l.t.Fatalf("%s: high watermark %d, want %d", what, got, want)
	}
}

// proposed takes the one proposal there is, and wants it to be for this ISR; an empty one: there is none.
func (l *leading) proposed(what string, isr ...int32) *ISRProposal {
	l.t.Helper()
	all := l.TakeISRProposals()
	if len(isr) == 0 {
		if len(all) != 0 {
			l.t.Fatalf("%s: ISR %v was proposed", what, all[0].Brokers())
		}
		return nil
	}
	if len(all) != 1 || !slices.Equal(all[0].Brokers(), isr) {
		l.t.Fatalf("%s: %d proposals; want one of ISR %v", what, len(all), isr)
	}
	return all[0]
}

func (l *leading) wantISR(what string, isr ...int32) {
	l.t.Helper()
	if got := l.p.ISR(); !slices.Equal(got, isr) {
		l.t.Fatalf("%s: ISR %v, want %v", what, got, isr)
	}
}

// accept answers a proposal as a controller that writes it does.
func (l *leading) accept(pr *ISRProposal) {
	l.t.Helper()
	if pr.Apply(ISRAnswer{LeaderEpoch: pr.LeaderEpoch, PartitionEpoch: pr.PartitionEpoch + 1, ISR: pr.Brokers()}) {
		l.t.Fatal("an accepted proposal is to be sent again")
	}
}

// The watermark is what the whole ISR has, whoever fetches last, and never falls.
func TestWatermarkIsWhatTheISRHas(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 10)
	l.wantMark("broker 3 has nothing", 0)
	l.mustFetch(3, 4)
	l.wantMark("broker 3 has 4", 4)
	l.mustFetch(3, 10)
	l.wantMark("all have 10", 10)
	l.mustFetch(2, 3)
	l.wantMark("broker 2 went back", 10)
	out := mustAppend(t, l.p, 1, -1)
	if _, done := l.p.CommitStatus(out.LastOffset, 0); done {
		t.Fatal("acknowledged before anybody fetched it")
	}
	l.mustFetch(2, 11)
	l.mustFetch(3, 11)
	if code, done := l.p.CommitStatus(out.LastOffset, 0); !done || code != noCode {
		t.Fatalf("%v, %v when all have it", code, done)
	}
}

// At the end of a reassignment the ISR still has replicas that the assignment has no more. Who knows what they have?
func TestWatermarkWaitsForISRToShrinkToAssignment(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	l.set(partitionState{leader: me, epoch: 1, isr: []int32{1, 2, 3}, replicas: []int32{1, 2}})
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 10)
	l.wantMark("broker 3 is in the ISR", 0)
	l.set(partitionState{leader: me, epoch: 2, isr: []int32{1, 2}, replicas: []int32{1, 2}})
	l.wantMark("broker 3 is not", 10)
	l.set(partitionState{leader: me, epoch: 3, isr: []int32{1, 2}, replicas: []int32{1}})
	mustAppend(t, l.p, 1, -1)
	l.wantMark("broker 2 is in the ISR of an assignment to this broker alone", 10)
}

// A replica outside the ISR is waited for while it is caught up, so that it can join (KIP-497), unless its broker is dead.
func TestWatermarkWaitsForWhoIsAboutToJoin(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 10)
	l.wantMark("broker 3 is not in the ISR", 10)
	l.dead[3] = true
	l.mustFetch(3, 10)
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 20)
	l.wantMark("broker 3 is caught up, but dead", 20)
	l.dead[3] = false
	l.mustFetch(3, 19) // beyond where the log ended at its last fetch: it was caught up then
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 30)
	l.wantMark("broker 3 is caught up", 20)
	l.now = at(11)
	mustAppend(t, l.p, 1, -1)
	l.mustFetch(2, 31)
	l.wantMark("broker 3 was caught up 11 s ago", 31)
}

// While the ISR is below min.insync.replicas the watermark stands still (KAFKA-15583); it moves on with the ISR's growth, without another fetch (KAFKA-13091).
func TestWatermarkBelowMinISR(t *testing.T) {
	l := newLeading(t, 2, 1)
	mustAppend(t, l.p, 10, 1)
	l.mustFetch(2, 10)
	l.wantMark("ISR of one", 0)
	pr := l.proposed("broker 2 has everything", 1, 2)
	l.mustFetch(2, 10)
	l.wantMark("the larger ISR is not in force yet", 0)
	l.accept(pr)
	l.wantMark("ISR of two", 10)
}

// The ISR's shrinking commits what only the one who left did not have (KAFKA-13091).
func TestWatermarkAfterShrinking(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	mustAppend(t, l.p, 10, -1)
	l.mustFetch(2, 10)
	l.now = at(11)
	l.mustFetch(2, 10)
	l.CheckISRs()
	pr := l.proposed("broker 3 never fetched", 1, 2)
	l.wantMark("until the controller agrees broker 3 may become leader", 0)
	w := NewWaiter()
	l.p.Watch(w, HighWatermark)
	l.accept(pr)
	l.wantMark("without broker 3", 10)
	if len(w.C) == 0 {
		t.Error("who waits for the watermark was not woken")
	}
	l.wantISR("accepted", 1, 2)
}

// What does not count as a follower's position, and what it is answered.
func TestFetchesThatDoNotCount(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	mustAppend(t, l.p, 10, -1) // in epoch 0
	l.lead(5, 1, 2)
	mustAppend(t, l.p, 10, -1) // 10 to 19 in epoch 5
	l.mustFetch(2, 7)
	l.wantMark("broker 2 has 7", 7)
	for _, tc := range []struct {
		name string
		ask  Ask
		want protocol.ErrorCode
	}{
		{"a log that ends in an epoch that ended earlier here (KAFKA-13141)", Ask{Offset: 15, CurrentLeaderEpoch: 5, LastFetchedEpoch: 0, Follower: l.follower(2)}, noCode},
		{"a log that ends in an epoch that never was here", Ask{Offset: 15, CurrentLeaderEpoch: 5, LastFetchedEpoch: 3, Follower: l.follower(2)}, noCode},
		{"an older leader epoch", Ask{Offset: 20, CurrentLeaderEpoch: 4, LastFetchedEpoch: -1, Follower: l.follower(2)}, protocol.FencedLeaderEpoch},
		{"a newer leader epoch", Ask{Offset: 20, CurrentLeaderEpoch: 6, LastFetchedEpoch: -1, Follower: l.follower(2)}, protocol.UnknownLeaderEpoch},
		{"beyond the log", Ask{Offset: 21, CurrentLeaderEpoch: 5, LastFetchedEpoch: -1, Follower: l.follower(2)}, protocol.OffsetOutOfRange},
		{"below the log", Ask{Offset: -1, CurrentLeaderEpoch: 5, LastFetchedEpoch: -1, Follower: l.follower(2)}, protocol.OffsetOutOfRange},
		{"an earlier life of the broker", Ask{Offset: 20, CurrentLeaderEpoch: 5, LastFetchedEpoch: -1, Follower: &FollowerFetch{ID: 2, BrokerEpoch: 101}}, protocol.NotLeaderOrFollower},
		{"outside the assignment", Ask{Offset: 20, CurrentLeaderEpoch: 5, LastFetchedEpoch: -1, Follower: l.follower(4)}, protocol.UnknownLeaderEpoch},
		{"outside the assignment, without epoch", Ask{Offset: 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Follower: l.follower(4)}, protocol.NotLeaderOrFollower},
		{"the leader itself", Ask{Offset: 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Follower: l.follower(me)}, protocol.NotLeaderOrFollower},
		{"recorded before", Ask{Offset: 20, CurrentLeaderEpoch: 5, LastFetchedEpoch: -1, Follower: &FollowerFetch{ID: 2, BrokerEpoch: 102, Recorded: true}}, noCode},
	} {
		if got := codeOf(t, l.ask(tc.ask)); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		if hw, end := l.p.Log().HighWatermark(), l.p.mu.leader.follower(2).snapshot().LogEndOffset; hw != 7 || end != 7 {
			t.Fatalf("%s: counts: watermark %d, broker 2 at %d", tc.name, hw, end)
		}
	}
	if l.mustFetch(2, 20); l.p.Log().HighWatermark() != 20 {
		t.Fatal("a good fetch does not count")
	}
}

// A fetch that waits is looked at again and again; only the first look is news of the follower.
func TestParkedFetchIsRecordedOnce(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	ask := Ask{CurrentLeaderEpoch: 0, LastFetchedEpoch: -1, Follower: l.follower(2)}
	if err := l.ask(ask); err != nil || !ask.Follower.Recorded {
		t.Fatal(err, ask.Follower)
	}
	l.now = at(9)
	if err := l.ask(ask); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l.p, 1, 1)
	l.now = at(11)
	l.CheckISRs()
	l.proposed("broker 2 fetched 11 s ago", 1)
}

// Who is proposed for the ISR: it has all that is committed, and all that the leader epoch began with (KAFKA-7128), and its broker is alive.
func TestExpand(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	mustAppend(t, l.p, 10, -1)
	l.lead(3, 1, 2) // begins at 10, with a watermark of 0
	l.mustFetch(3, 0)
	l.proposed("broker 3 has the watermark, not the epoch's start")
	l.mustFetch(2, 10)
	mustAppend(t, l.p, 5, -1)
	l.mustFetch(2, 13)
	l.wantMark("broker 2 has 13", 13)
	l.mustFetch(3, 12)
	l.proposed("broker 3 has the epoch's start, not the watermark")
	l.dead[3] = true
	l.mustFetch(3, 13)
	l.proposed("broker 3 is dead")
	l.dead[3] = false
	l.mustFetch(3, 13)
	pr := l.proposed("broker 3 has both", 1, 2, 3)
	want := []ISRMember{{1, brokerEpoch}, {2, 102}, {3, 103}}
	if pr.LeaderEpoch != 3 || pr.PartitionEpoch != 0 || !slices.Equal(pr.ISR, want) || !slices.Equal(pr.Added, want[2:]) {
		t.Errorf("proposed %+v", pr)
	}
	l.mustFetch(3, 15)
	l.proposed("a proposal is under way")
	l.mustFetch(2, 15)
	l.wantMark("both have everything", 15)
	mustAppend(t, l.p, 5, -1)
	l.mustFetch(2, 20)
	l.now = at(100) // broker 3 is waited for not because it is caught up, but because it may be in the ISR already
	mustAppend(t, l.p, 1, -1)
	l.mustFetch(2, 21)
	l.wantMark("broker 3 may be in the ISR already", 15)
	l.accept(pr)
	l.wantISR("accepted", 1, 2, 3)
	l.mustFetch(3, 21)
	l.proposed("broker 3 is in the ISR")
}

// Who leaves the ISR, and when.
func TestShrink(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	l.mustFetch(2, 0)
	l.now = at(60)
	l.CheckISRs()
	if pr := l.proposed("broker 3 never told its log end", 1, 2); !pr.Apply(ISRAnswer{Code: protocol.NetworkException}) {
		t.Fatal("an unexpected error is not tried again")
	} else {
		l.accept(pr)
	}
	mustAppend(t, l.p, 5, -1)
	l.mustFetch(2, 0)
	l.now = at(65)
	l.mustFetch(2, 5) // caught up at 65
	mustAppend(t, l.p, 5, -1)
	l.now = at(75)
	l.CheckISRs()
	l.proposed("broker 2 was caught up 10 s ago")
	l.now = at(76)
	l.CheckISRs()
	pr := l.proposed("broker 2 was caught up 11 s ago", 1)
	l.CheckISRs()
	l.proposed("the proposal is under way")
	l.mustFetch(2, 10)
	l.proposed("the proposal is under way, whatever broker 2 does")
	l.wantMark("broker 2 has 10", 10)
	mustAppend(t, l.p, 1, -1)
	l.wantMark("broker 2 is in the ISR until the controller agrees", 10)
	l.accept(pr)
	l.mustFetch(2, 11)
	l.proposed("broker 2 is back", 1, 2)
}

// A member of the ISR outside the assignment is not in sync (KAFKA-9672), and a follower does not come back that the assignment has lost.
func TestISROutsideAssignment(t *testing.T) {
	l := newLeading(t, 1, 1, 2, 3)
	l.set(partitionState{leader: me, epoch: 1, isr: []int32{1, 2, 3}, replicas: []int32{1, 2}})
	l.mustFetch(2, 0)
	l.CheckISRs()
	l.accept(l.proposed("broker 3 is not a replica", 1, 2))
	if got := codeOf(t, l.fetch(3, 0)); got != protocol.UnknownLeaderEpoch {
		t.Errorf("broker 3 is answered %v", got)
	}
	l.proposed("broker 3 is not a replica any more")
}

// What the controller's answers mean.
func TestISRAnswers(t *testing.T) {
	type outcome struct {
		pending, retry, repeated bool
		isr                      []int32
	}
	open := outcome{true, false, true, []int32{1, 2}}
	for _, tc := range []struct {
		answer ISRAnswer
		want   outcome
	}{
		{ISRAnswer{LeaderEpoch: 4, PartitionEpoch: 8, ISR: []int32{1, 2, 3}}, outcome{isr: []int32{1, 2, 3}}},
		{ISRAnswer{LeaderEpoch: 4, PartitionEpoch: 7, ISR: []int32{1, 2}}, outcome{isr: []int32{1, 2}}}, // as it was: nothing had to change
		{ISRAnswer{LeaderEpoch: 4, PartitionEpoch: 6, ISR: []int32{1, 2, 3}}, open},
		{ISRAnswer{LeaderEpoch: 3, PartitionEpoch: 8, ISR: []int32{1, 2, 3}}, open},
		{ISRAnswer{LeaderEpoch: 5, PartitionEpoch: 8, ISR: []int32{1, 2, 3}}, open},
		{ISRAnswer{Code: protocol.IneligibleReplica}, outcome{isr: []int32{1, 2}}},
		{ISRAnswer{Code: protocol.OperationNotAttempted}, outcome{isr: []int32{1, 2}}},
		{ISRAnswer{Code: protocol.FencedLeaderEpoch}, open},
		{ISRAnswer{Code: protocol.InvalidUpdateVersion}, open},
		{ISRAnswer{Code: protocol.UnknownTopicOrPartition}, open},
		{ISRAnswer{Code: protocol.UnknownTopicID}, open},
		{ISRAnswer{Code: protocol.InvalidRequest}, open},
		{ISRAnswer{Code: protocol.NewLeaderElected}, open},
		{ISRAnswer{Code: protocol.NotController}, outcome{true, true, false, []int32{1, 2}}},
		{ISRAnswer{Code: protocol.UnknownServerError}, outcome{true, true, false, []int32{1, 2}}},
	} {
		l := newLeading(t, 1, 1, 2)
		p := l.lead(4, 1, 2)
		p.mu.state.partitionEpoch = 7
		l.mustFetch(3, 0)
		pr := l.proposed("broker 3 has everything", 1, 2, 3)
		l.mustFetch(2, 0)
		var got outcome
		got.retry = pr.Apply(tc.answer)
		got.pending, got.isr = p.mu.leader.pending != nil, p.ISR()
		l.CheckISRs()
		if again := l.TakeISRProposals(); len(again) == 1 && again[0] == pr {
			got.repeated = true
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%+v: %+v, want %+v", tc.answer, got, tc.want)
		}
		if code := tc.answer.Code; got.pending && code != noCode {
			l.CheckISRs()
			l.proposed("it was repeated just now")
		}
	}
}

// An answer that comes when the leader epoch is over changes nothing, and nobody sends the proposal any more.
func TestAnswerAfterNewLeaderEpoch(t *testing.T) {
	for name, next := range map[string]partitionState{
		"leader again": {leader: me, epoch: 1, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}},
		"follower":     {leader: 2, epoch: 1, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}},
	} {
		l := newLeading(t, 1, 1, 2)
		l.mustFetch(3, 0)
		pr := l.proposed("broker 3 has everything", 1, 2, 3)
		l.RequeueISRProposals([]*ISRProposal{pr})
		l.set(next)
		l.proposed(name + ": the proposal is out of date")
		for _, answer := range []ISRAnswer{
			{LeaderEpoch: 0, PartitionEpoch: 1, ISR: []int32{1, 2, 3}}, {LeaderEpoch: 1, PartitionEpoch: 1, ISR: []int32{1, 2, 3}}, {Code: protocol.NetworkException},
		} {
			if pr.Apply(answer) {
				t.Errorf("%s: sent again after %+v", name, answer)
			}
			l.wantISR(name, 1, 2)
		}
	}
}

// Appended with enough replicas, committed with too few: the producer is told that it is not safe. Whom a proposal adds counts.
func TestNotEnoughReplicasAfterAppend(t *testing.T) {
	l := newLeading(t, 2, 1, 2)
	out := mustAppend(t, l.p, 1, -1)
	l.mustFetch(2, 1)
	l.now = at(20)
	mustAppend(t, l.p, 1, -1)
	l.CheckISRs()
	l.accept(l.proposed("broker 2 is behind", 1))
	if code, done := l.p.CommitStatus(out.LastOffset, 0); !done || code != protocol.NotEnoughReplicasAfterAppend {
		t.Errorf("%v, %v", code, done)
	}
	var result storage.AppendResult
	if got := codeOf(t, l.p.Append(batch(1), -1, storage.FromClient, &result)); got != protocol.NotEnoughReplicas {
		t.Errorf("an append to an ISR of one: %v", got)
	}
	l.mustFetch(2, 2)
	l.proposed("broker 2 is back", 1, 2)
	if code, done := l.p.CommitStatus(out.LastOffset, 0); !done || code != noCode {
		t.Errorf("with broker 2 on its way back: %v, %v", code, done)
	}
}

// Where a consumer may be sent: to in-sync followers that have the offset.
func TestReadReplicas(t *testing.T) {
	l := newLeading(t, 1, 1, 2)
	mustAppend(t, l.p, 10, 1)
	l.mustFetch(2, 6)
	l.dead[3] = true // so that it does not join
	l.mustFetch(3, 10)
	for offset, want := range map[int64][]int32{0: {1, 2}, 6: {1, 2}, 7: {1}} {
		var got []int32
		for _, r := range l.p.ReadReplicas(offset) {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("offset %d: %v, want %v", offset, got, want)
		}
	}
	l.set(partitionState{leader: 2, epoch: 1, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
	if got := l.p.ReadReplicas(0); got != nil {
		t.Errorf("of a follower: %v", got)
	}
}
