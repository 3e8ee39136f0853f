package group

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
)

func TestTimes(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
		begin := time.Now()
		me := stable(t, c, "g")
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("the first rebalance took %v", d)
		}
		for range 3 {
			time.Sleep(9 * time.Second)
			if r := c.Heartbeat(ctx, heartbeatRequest("g", me.MemberID, 1)); r.ErrorCode != 0 {
				t.Fatalf("heartbeat: %s", code(r.ErrorCode))
			}
		}
		time.Sleep(10*time.Second - time.Millisecond)
		synctest.Wait()
		if s := stateOf(c, "g"); s != "Stable1" {
			t.Errorf("before the session lapsed: %s", s)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s := stateOf(c, "g"); s != "Empty0" {
			t.Errorf("after the session lapsed: %s", s)
		}
		if r := c.Heartbeat(ctx, heartbeatRequest("g", me.MemberID, 1)); code(r.ErrorCode) != protocol.UnknownMemberID {
			t.Errorf("heartbeat: %s", code(r.ErrorCode))
		}
	})
}

// TestTwoMembers goes through a rebalance with requests that wait.
func TestTwoMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
		one := stable(t, c, "g")
		second := make(chan *kmsg.JoinGroupResponse, 1)
		go func() { second <- join(t, c, "g") }()
		synctest.Wait()
		if r := c.Heartbeat(ctx, heartbeatRequest("g", one.MemberID, 1)); code(r.ErrorCode) != protocol.RebalanceInProgress {
			t.Errorf("heartbeat: %s", code(r.ErrorCode))
		}
		begin := time.Now()
		again := c.JoinGroup(ctx, Client{}, joinRequest(3, "g", one.MemberID))
		two := <-second
		if d := time.Since(begin); d != 0 {
			t.Errorf("all were there, and it took %v", d)
		}
		if again.Generation != 2 || again.LeaderID != one.MemberID || len(again.Members) != 2 || len(two.Members) != 0 || two.Generation != 2 {
			t.Errorf("leader %+v, follower %+v", again, two)
		}
		follower := make(chan *kmsg.SyncGroupResponse, 1)
		go func() { follower <- c.SyncGroup(ctx, Client{}, syncRequest("g", two.MemberID, 2)) }()
		time.Sleep(time.Second)
		c.SyncGroup(ctx, Client{}, syncRequest("g", one.MemberID, 2, one.MemberID, two.MemberID))
		if r := <-follower; string(r.MemberAssignment) != "part of "+two.MemberID {
			t.Errorf("follower got %q, %s", r.MemberAssignment, code(r.ErrorCode))
		}
		leave := kmsg.NewPtrLeaveGroupRequest()
		leave.Version, leave.Group = 5, "g"
		leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: two.MemberID}, {MemberID: "nobody"}, {MemberID: one.MemberID}}
		r := c.LeaveGroup(ctx, leave)
		if len(r.Members) != 3 || r.Members[0].ErrorCode != 0 || code(r.Members[1].ErrorCode) != protocol.UnknownMemberID || r.Members[2].ErrorCode != 0 {
			t.Errorf("leave: %+v", r)
		}
		if s := stateOf(c, "g"); s != "Empty0" {
			t.Errorf("after all left: %s", s)
		}
	})
}

// TestGoneClient: whose connection closes stops waiting; its member goes when its session lapses.
func TestGoneClient(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
		gone, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		begin := time.Now()
		c.JoinGroup(gone, Client{}, joinRequest(3, "g", ""))
		if d := time.Since(begin); d != time.Second {
			t.Errorf("waited for %v", d)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := stateOf(c, "g"); s != "CompletingRebalance1" {
			t.Errorf("after the initial delay: %s", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := stateOf(c, "g"); s != "Empty0" {
			t.Errorf("after its session: %s", s)
		}
	})
}

func TestCommitIsVisibleAfterAppend(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		c.OffsetCommit(ctx, commitRequest("g", "", -1, 1))
		l.set(time.Second, nil)
		done := make(chan *kmsg.OffsetCommitResponse, 1)
		go func() { done <- c.OffsetCommit(ctx, commitRequest("g", "", -1, 2)) }()
		synctest.Wait()
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=1" {
			t.Errorf("while the log is written: %s", got)
		}
		if got := offsetsOf(c, fetchRequest("g", true)); got != "t-0=-1 UNSTABLE_OFFSET_COMMIT" {
			t.Errorf("stable, while the log is written: %s", got)
		}
		<-done
		if got := offsetsOf(c, fetchRequest("g", true)); got != "t-0=2" {
			t.Errorf("afterwards: %s", got)
		}
		for fail, want := range map[protocol.ErrorCode]string{
			protocol.NotLeaderOrFollower: "NOT_COORDINATOR", protocol.NotEnoughReplicas: "COORDINATOR_NOT_AVAILABLE",
			protocol.MessageTooLarge: "INVALID_COMMIT_OFFSET_SIZE", protocol.RequestTimedOut: "REQUEST_TIMED_OUT",
			protocol.KafkaStorageError: "NOT_COORDINATOR", protocol.UnknownTopicOrPartition: "COORDINATOR_NOT_AVAILABLE",
		} {
			l.set(0, fail)
			if got := commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, 3))); got != want {
				t.Errorf("%s became %s, want %s", fail, got, want)
			}
		}
		if got := offsetsOf(c, fetchRequest("g", true)); got != "t-0=2" {
			t.Errorf("after failures: %s", got)
		}
		l.set(time.Hour, nil)
		begin := time.Now()
		got := commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, 3)))
		if d := time.Since(begin); got != "REQUEST_TIMED_OUT" || d != 5*time.Second {
			t.Errorf("a log that hangs: %s after %v", got, d)
		}
	})
}

// TestCommitsShareBatches: commits that come while the log is busy leave together, in order.
func TestCommitsShareBatches(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		l.set(time.Second, nil)
		begin, done := time.Now(), make(chan string)
		for i := range 50 {
			go func() { done <- commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, int64(i)))) }()
			synctest.Wait()
		}
		for range 50 {
			if got := <-done; got != "NONE" {
				t.Error(got)
			}
		}
		if d := time.Since(begin); d != 2*time.Second || l.appends() != 2 {
			t.Errorf("%d appends in %v", l.appends(), d)
		}
		if got := offsetsOf(c, fetchRequest("g", true)); got != "t-0=49" {
			t.Errorf("the last commit counts: %s", got)
		}
		// Together they may be too large where each is not.
		l.mu.Lock()
		l.mu.maxBytes = 200
		l.mu.Unlock()
		for i := range 10 {
			go func() { done <- commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, int64(i)))) }()
			synctest.Wait()
		}
		for range 10 {
			if got := <-done; got != "NONE" {
				t.Error(got)
			}
		}
	})
}

func TestLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.loadDelay = 10 * time.Second
		l.mu.failLoads = 2
		c := New(testConfig(), l)
		if got := offsetsOf(c, fetchRequest("g", false)); got != "COORDINATOR_NOT_AVAILABLE" {
			t.Errorf("before Start: %s", got)
		}
		c.Start()
		defer c.Stop()
		p := c.PartitionFor("g")
		if got := offsetsOf(c, fetchRequest("g", false)); got != "NOT_COORDINATOR" {
			t.Errorf("before Elected: %s", got)
		}
		b := record.NewBuilder(record.None)
		tp := protocol.TopicPartition{Topic: "t"}
		b.Add(1, offsetKey("g", tp), offsetValue(offsetValueVersion, committed{offset: 5, leaderEpoch: -1, commitTime: time.Now().UnixMilli(), expireTime: noTime}))
		l.put(p, b)
		c.Elected(p, 3)
		for range 3 { // two loads fail
			if got := offsetsOf(c, fetchRequest("g", false)); got != "COORDINATOR_LOAD_IN_PROGRESS" {
				t.Errorf("while it loads: %s", got)
			}
			if r := c.ListGroups(ctx, &kmsg.ListGroupsRequest{Version: 4}); code(r.ErrorCode) != protocol.CoordinatorLoadInProgress {
				t.Errorf("list while it loads: %s", code(r.ErrorCode))
			}
			if r := c.Heartbeat(ctx, heartbeatRequest("g", "m", 1)); r.ErrorCode != 0 {
				t.Errorf("heartbeat while it loads: %s", code(r.ErrorCode))
			}
			if r := c.SyncGroup(ctx, Client{}, syncRequest("g", "m", 1)); code(r.ErrorCode) != protocol.RebalanceInProgress {
				t.Errorf("sync while it loads: %s", code(r.ErrorCode))
			}
			time.Sleep(11 * time.Second)
			synctest.Wait()
		}
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
			t.Errorf("loaded: %s", got)
		}
		c.Elected(p, 2)
		c.Resigned(p, 2)
		c.Elected(p, 3)
		c.Elected(p, 4) // nobody else led between 3 and 4
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
			t.Errorf("after old news and the next epoch: %s", got)
		}
		c.Elected(p, 6)
		if got := offsetsOf(c, fetchRequest("g", false)); got != "COORDINATOR_LOAD_IN_PROGRESS" {
			t.Errorf("after an epoch of somebody else: %s", got)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
			t.Errorf("loaded again: %s", got)
		}
		c.Resigned(p, 7)
		if got := offsetsOf(c, fetchRequest("g", false)); got != "NOT_COORDINATOR" {
			t.Errorf("after Resigned: %s", got)
		}
		c.Elected(p, 6)
		if got := offsetsOf(c, fetchRequest("g", false)); got != "NOT_COORDINATOR" {
			t.Errorf("after an old Elected: %s", got)
		}
		c.Resigned(p, -1)
		c.Elected(p, 0) // the topic was made anew
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
			t.Errorf("after a new life: %s", got)
		}
	})
}

// TestResignAnswersAll: nobody waits for a coordinator that is none any more.
func TestResignAnswersAll(t *testing.T) {
	for _, how := range []string{"Resigned", "Stop"} {
		inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
			p := c.PartitionFor("g")
			one := stable(t, c, "g")
			l.set(3*time.Second, nil)
			joined, first, second := make(chan protocol.ErrorCode, 1), make(chan protocol.ErrorCode, 1), make(chan protocol.ErrorCode, 1)
			commit := func(to chan protocol.ErrorCode, offset int64) {
				r := c.OffsetCommit(ctx, commitRequest("g", one.MemberID, 1, offset))
				to <- code(r.Topics[0].Partitions[0].ErrorCode)
			}
			go func() { joined <- code(c.JoinGroup(ctx, Client{}, joinRequest(3, "g", "")).ErrorCode) }()
			go commit(first, 5)
			synctest.Wait()
			go commit(second, 6)
			synctest.Wait()
			wantFirst := protocol.None
			if how == "Stop" {
				c.Stop() // gives up on the log
				wantFirst = protocol.RequestTimedOut
			} else {
				c.Resigned(p, 1)
			}
			if got := <-joined; got != protocol.NotCoordinator {
				t.Errorf("%s: the join got %s", how, got)
			}
			if a, b := <-first, <-second; a != wantFirst || b != protocol.NotCoordinator {
				t.Errorf("%s: the commit under way got %s, the one behind it %s", how, a, b)
			}
			if how == "Resigned" {
				c.Elected(p, 2)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
					t.Errorf("the next term knows %s", got)
				}
			}
		})
	}
}

// TestNewTermWaitsForOldWrites: what the old term still writes must not be missed by the load of the new one.
func TestNewTermWaitsForOldWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		p := c.PartitionFor("g")
		l.set(2*time.Second, nil)
		go c.OffsetCommit(ctx, commitRequest("g", "", -1, 5))
		synctest.Wait()
		begin := time.Now()
		c.Resigned(p, 1)
		c.Elected(p, 2)
		for offsetsOf(c, fetchRequest("g", false)) == "COORDINATOR_LOAD_IN_PROGRESS" {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if d := time.Since(begin); d < 2*time.Second {
			t.Errorf("loaded after %v, while the write took 2s", d)
		}
	})
}

func TestDeleteWaitsForTombstones(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		c.OffsetCommit(ctx, commitRequest("g", "", -1, 5))
		l.set(time.Second, nil)
		deleted := make(chan string, 1)
		go func() {
			r := c.DeleteGroups(ctx, &kmsg.DeleteGroupsRequest{Version: 2, Groups: []string{"g", "none", "g"}})
			var codes []string
			for _, g := range r.Groups {
				codes = append(codes, code(g.ErrorCode).String())
			}
			deleted <- strings.Join(codes, " ")
		}()
		synctest.Wait()
		if got := commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, 6))); got != "COORDINATOR_NOT_AVAILABLE" {
			t.Errorf("commit in between: %s", got)
		}
		if got := <-deleted; got != "NONE GROUP_ID_NOT_FOUND" {
			t.Errorf("deleted: %s", got)
		}
		if s := stateOf(c, "g"); s != "Dead0" {
			t.Errorf("state %s", s)
		}
		if got := commitCodes(c.OffsetCommit(ctx, commitRequest("g", "", -1, 7))); got != "NONE" {
			t.Errorf("commit of a new group: %s", got)
		}
		reload(t, c, l, "g")
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=7" {
			t.Errorf("after a reload: %s", got)
		}
	})
}

func TestExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		c.OffsetCommit(ctx, commitRequest("g", "", -1, 5))
		time.Sleep(59 * time.Minute)
		if got := offsetsOf(c, fetchRequest("g", false)); got != "t-0=5" {
			t.Errorf("before its time: %s", got)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := offsetsOf(c, fetchRequest("g", false)); got != "" {
			t.Errorf("after its time: %s", got)
		}
		reload(t, c, l, "g")
		if s := stateOf(c, "g"); s != "Dead0" {
			t.Errorf("after a reload: %s", s)
		}
	})
}

func TestOffsetDeleteAndDeletedTopics(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		me := stable(t, c, "g")
		two := commitRequest("g", me.MemberID, 1, 5, 6)
		other := kmsg.NewOffsetCommitRequestTopic()
		other.Topic, other.Partitions = "other", two.Topics[0].Partitions
		two.Topics = append(two.Topics, other)
		if got := commitCodes(c.OffsetCommit(ctx, two)); got != "NONE NONE NONE NONE" {
			t.Fatal(got)
		}
		del := kmsg.NewPtrOffsetDeleteRequest()
		del.Group = "g"
		for _, name := range []string{"t", "other"} {
			del.Topics = append(del.Topics, kmsg.OffsetDeleteRequestTopic{Topic: name, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}})
		}
		r := c.OffsetDelete(ctx, del)
		if r.ErrorCode != 0 || code(r.Topics[0].Partitions[0].ErrorCode) != protocol.GroupSubscribedToTopic || r.Topics[1].Partitions[0].ErrorCode != 0 {
			t.Errorf("delete: %+v", r)
		}
		c.TopicsDeleted([]protocol.TopicPartition{{Topic: "t", Partition: 1}, {Topic: "unknown"}})
		want := "other-1=6 t-0=5"
		if got := offsetsOf(c, fetchRequest("g", false)); got != want {
			t.Errorf("left: %s", got)
		}
		reload(t, c, l, "g")
		if got := offsetsOf(c, fetchRequest("g", false)); got != want {
			t.Errorf("left after a reload: %s", got)
		}
		if s := stateOf(c, "g"); s != "Stable1" {
			t.Errorf("state after a reload: %s", s)
		}
		del.Group = "none"
		if r := c.OffsetDelete(ctx, del); code(r.ErrorCode) != protocol.GroupIDNotFound {
			t.Errorf("no such group: %s", code(r.ErrorCode))
		}
	})
}
