package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
)

// snapshot writes down everything of a coordinator that must survive a reload.
func snapshot(c *Coordinator) string {
	var lines []string
	shards, _ := c.allShards()
	for _, sh := range shards {
		for _, s := range sh.all() {
			s.mu.Lock()
			if line := durable(s.mu.g); line != "" {
				lines = append(lines, line)
			}
			s.mu.Unlock()
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// durable is the part of a group that the log holds. A group that nothing is known of, and one that only waits for its first
// generation, are nothing.
func durable(g *group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s gen=%d %s", g.id, g.state, g.generation, g.protocolType)
	if g.protocol != nil {
		fmt.Fprintf(&b, "/%s leader=%s", *g.protocol, g.leader)
	}
	if g.generation == 0 && len(g.offsets) == 0 {
		return ""
	}
	if g.generation == 0 {
		b.Reset() // it has only offsets
		b.WriteString(g.id)
	}
	members := g.ordered()
	slices.SortFunc(members, func(a, b *member) int { return strings.Compare(a.id, b.id) })
	for _, m := range members {
		fmt.Fprintf(&b, " [%s %s %s %d %d %q %q", m.id, m.clientID, m.clientHost, m.sessionTimeoutMs, m.rebalanceTimeoutMs, m.metadata(g.protocol), m.assignment)
		if m.instanceID != nil {
			fmt.Fprintf(&b, " %s", *m.instanceID)
		}
		b.WriteString("]")
	}
	var offsets []string
	for tp, o := range g.offsets {
		offsets = append(offsets, fmt.Sprintf(" %s=%+v", tp, o.committed))
	}
	slices.Sort(offsets)
	return b.String() + strings.Join(offsets, "")
}

// TestReloadEquality lets clients do at random what clients do, with a log that is slow and fails now and then; when all is
// quiet, a coordinator that reads the log must know what the first one knows. (Tombstones do not fail here: when they do, the
// offsets are back after the load, which is meant.)
func TestReloadEquality(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { reloadEquality(t, seed) })
		})
	}
}

func reloadEquality(t *testing.T, seed uint64) {
	l := newFakeLog()
	config := testConfig()
	config.MaxSize = 4
	c := started(t, config, l)
	time.Sleep(time.Millisecond)
	l.set(20*time.Millisecond, nil)

	done := make(chan bool)
	for i := range 12 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		go func() {
			(&randomClient{c: c, rnd: rnd, name: fmt.Sprint("client", i)}).run()
			done <- true
		}()
	}
	rnd := rand.New(rand.NewPCG(seed, 1000))
	failures := []error{protocol.NotEnoughReplicas, protocol.MessageTooLarge, protocol.NotLeaderOrFollower}
	for left := 12; left > 0; {
		select {
		case <-done:
			left--
		case <-time.After(time.Duration(rnd.IntN(5000)) * time.Millisecond):
			l.set(20*time.Millisecond, failures[rnd.IntN(len(failures))])
			time.Sleep(30 * time.Millisecond)
			l.set(20*time.Millisecond, nil)
		}
	}
	// The groups come to rest: members that failed to hear of an assignment, or whose failures were not logged, lapse; a last
	// member that comes and goes makes every group write what it is.
	time.Sleep(2 * time.Minute)
	for i := range 3 {
		group := fmt.Sprint("group", i)
		r := stable(t, c, group)
		if i == 0 {
			c.LeaveGroup(ctx, &kmsg.LeaveGroupRequest{Version: 0, Group: group, MemberID: r.MemberID})
		}
	}
	synctest.Wait()
	want := snapshot(c)
	if !strings.Contains(want, "Stable") || !strings.Contains(want, "Empty") || !strings.Contains(want, "t-") {
		t.Fatalf("the clients did too little:\n%s", want)
	}
	other := started(t, config, l)
	time.Sleep(time.Millisecond)
	synctest.Wait()
	if got := snapshot(other); got != want {
		t.Errorf("after replay:\n%s\nbefore:\n%s", got, want)
	}
}

// randomClient is a consumer of bad habits.
type randomClient struct {
	c          *Coordinator
	rnd        *rand.Rand
	name       string
	group      string
	id         string
	instance   *string
	generation int32
}

func (r *randomClient) run() {
	for range 40 {
		time.Sleep(time.Duration(r.rnd.IntN(3000)) * time.Millisecond)
		switch r.rnd.IntN(10) {
		case 0, 1:
			r.join()
		case 2:
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Version, leave.Group = 3, r.group
			leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: r.id, InstanceID: r.instance}}
			r.c.LeaveGroup(ctx, leave)
		case 3:
			r.c.Heartbeat(ctx, &kmsg.HeartbeatRequest{Version: 3, Group: r.group, MemberID: r.id, InstanceID: r.instance, Generation: r.generation})
		case 4:
			del := kmsg.NewPtrOffsetDeleteRequest()
			del.Group = fmt.Sprint("group", r.rnd.IntN(3))
			del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: int32(r.rnd.IntN(3))}}}}
			r.c.OffsetDelete(ctx, del)
		case 5:
			r.c.DeleteGroups(ctx, &kmsg.DeleteGroupsRequest{Version: 2, Groups: []string{fmt.Sprint("simple", r.rnd.IntN(2))}})
		case 6:
			r.c.OffsetCommit(ctx, commitRequest(fmt.Sprint("simple", r.rnd.IntN(2)), "", -1, r.offsets()...))
		default:
			commit := commitRequest(r.group, r.id, r.generation, r.offsets()...)
			commit.InstanceID = r.instance
			r.c.OffsetCommit(ctx, commit)
		}
	}
}

func (r *randomClient) offsets() (list []int64) {
	for range 1 + r.rnd.IntN(3) {
		list = append(list, r.rnd.Int64N(1000))
	}
	return list
}

// join joins, as a dynamic or a static member, and syncs.
func (r *randomClient) join() {
	if r.group == "" || r.rnd.IntN(4) == 0 {
		r.group, r.id, r.instance = fmt.Sprint("group", r.rnd.IntN(3)), "", nil
		if r.rnd.IntN(2) == 0 {
			r.instance = &r.name
		}
	}
	req := joinRequest(int16(5+r.rnd.IntN(5)), r.group, r.id)
	req.InstanceID = r.instance
	resp := r.c.JoinGroup(ctx, Client{r.name, "/127.0.0.1"}, req)
	if code(resp.ErrorCode) == protocol.MemberIDRequired {
		req.MemberID = resp.MemberID
		resp = r.c.JoinGroup(ctx, Client{r.name, "/127.0.0.1"}, req)
	}
	if r.id = resp.MemberID; resp.ErrorCode != 0 {
		r.id = ""
		return
	}
	r.generation = resp.Generation
	if r.rnd.IntN(8) == 0 {
		return // and never syncs
	}
	var all []string
	for _, m := range resp.Members {
		all = append(all, m.MemberID)
	}
	sync := syncRequest(r.group, r.id, r.generation, all...)
	sync.InstanceID = r.instance
	r.c.SyncGroup(ctx, Client{}, sync)
}

// TestReplayTransactions: offsets of transactions as a log of Apache Kafka has them.
func TestReplayTransactions(t *testing.T) {
	tp := protocol.TopicPartition{Topic: "t"}
	base := int64(0)
	r := newReplay()
	apply := func(b *record.Builder) {
		batch := b.Build()
		batch.SetBaseOffset(base)
		base = batch.LastOffset() + 1
		if err := r.batch(batch); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(producer int64, group string, offset int64) {
		b := record.NewBuilder(record.None)
		if producer >= 0 {
			b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = producer, 0, 0, true
		}
		b.Add(1, offsetKey(group, tp), offsetValue(offsetValueVersion, committed{offset: offset, leaderEpoch: -1, expireTime: noTime}))
		apply(b)
	}
	marker := func(producer int64, kind byte) {
		b := record.NewBuilder(record.None)
		b.ProducerID, b.Transactional, b.Control = producer, true, true
		b.Add(1, []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 7})
		apply(b)
	}
	commit(1, "committed", 10)
	commit(2, "aborted", 20)
	commit(3, "open", 30)
	commit(-1, "open", 29)
	commit(4, "overtaken", 40)
	commit(-1, "overtaken", 41) // later in the log than the transaction's, though before its end
	commit(5, "last", 50)
	commit(-1, "last", 49)
	commit(5, "last", 51)
	marker(1, 1)
	marker(2, 0)
	marker(4, 1)
	marker(5, 1)
	marker(99, 1)
	groups := r.build(0, &rules{}, 0)
	for group, want := range map[string]int64{"committed": 10, "aborted": -1, "open": 29, "overtaken": 41, "last": 51} {
		got := int64(-1)
		if g := groups[group]; g != nil && len(g.offsets) > 0 {
			got = g.offsets[tp].offset
		}
		if got != want {
			t.Errorf("%s: %d, want %d", group, got, want)
		}
		if g := groups[group]; g != nil && g.unstable(tp) != (group == "open") {
			t.Errorf("%s: unstable is %v", group, g.unstable(tp))
		}
	}
	if r.skipped != 0 {
		t.Error(r.first)
	}
}

// TestReplaySkipsGarbage: what cannot be read costs nothing but itself.
func TestReplaySkipsGarbage(t *testing.T) {
	r := newReplay()
	b := record.NewBuilder(record.None)
	tp := protocol.TopicPartition{Topic: "t"}
	b.Add(1, []byte{0}, []byte("x"))
	b.Add(1, nil, []byte("x"))
	b.Add(1, groupKey("g"), []byte("garbage"))
	b.Add(1, offsetKey("g", tp), []byte{0, 99})
	b.Add(1, []byte{0, 7, 1, 2, 3}, []byte("of the new protocol"))
	b.Add(1, offsetKey("g", tp), offsetValue(offsetValueVersion, committed{offset: 5, expireTime: noTime}))
	if err := r.batch(b.Build()); err != nil {
		t.Fatal(err)
	}
	if r.skipped != 4 || r.first == nil {
		t.Errorf("skipped %d: %v", r.skipped, r.first)
	}
	if g := r.build(0, &rules{}, 0)["g"]; g == nil || g.offsets[tp].offset != 5 {
		t.Errorf("%+v", g)
	}
}

// TestLoadedSessionsLapse: members of a loaded group that never show up are gone after their session; a group that is over a
// lowered limit rebalances.
func TestLoadedSessionsLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		first := started(t, testConfig(), l)
		time.Sleep(time.Millisecond)
		stable(t, first, "g")
		config := testConfig()
		config.MaxSize = 0
		small := started(t, config, l)
		c := started(t, testConfig(), l)
		time.Sleep(9999 * time.Millisecond)
		synctest.Wait()
		if a, b := stateOf(c, "g"), stateOf(small, "g"); a != "Stable1" || b != "PreparingRebalance1" {
			t.Errorf("loaded: %s, and with a lower limit %s", a, b)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if s := stateOf(c, "g"); s != "Empty0" {
			t.Errorf("after the session: %s", s)
		}
	})
}
