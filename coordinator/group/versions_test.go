package group

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// TestVersions looks at what differs from one version of an API to the next.
func TestVersions(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
		for v := range int16(10) {
			r := c.JoinGroup(ctx, Client{"client", "/127.0.0.1"}, joinRequest(v, fmt.Sprint("g", v), ""))
			want := protocol.None
			if v >= 4 {
				want = protocol.MemberIDRequired
			}
			if code(r.ErrorCode) != want || !strings.HasPrefix(r.MemberID, "client-") {
				t.Errorf("join v%d: %s, member %q", v, code(r.ErrorCode), r.MemberID)
			}
			if nullable := r.Protocol == nil; nullable != (v >= 7) {
				t.Errorf("join v%d: protocol %v", v, r.Protocol)
			}
		}
		named := joinRequest(9, "static", "")
		named.InstanceID = kmsg.StringPtr("instance")
		if r := c.JoinGroup(ctx, Client{"client", ""}, named); r.ErrorCode != 0 || !strings.HasPrefix(r.MemberID, "instance-") {
			t.Errorf("static join: %s, member %q", code(r.ErrorCode), r.MemberID)
		}
		for name, bad := range map[string]struct {
			change func(*kmsg.JoinGroupRequest)
			want   protocol.ErrorCode
		}{
			"no group":              {func(r *kmsg.JoinGroupRequest) { r.Group = "" }, protocol.InvalidGroupID},
			"session too short":     {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 5999 }, protocol.InvalidSessionTimeout},
			"session too long":      {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1_800_001 }, protocol.InvalidSessionTimeout},
			"member of no group":    {func(r *kmsg.JoinGroupRequest) { r.MemberID = "m" }, protocol.UnknownMemberID},
			"no protocols":          {func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, protocol.InconsistentGroupProtocol},
			"no protocol type":      {func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, protocol.InconsistentGroupProtocol},
			"name that never fits":  {func(r *kmsg.JoinGroupRequest) { r.Protocols[0].Name = strings.Repeat("n", 40_000) }, protocol.InvalidRequest},
			"group that never fits": {func(r *kmsg.JoinGroupRequest) { r.Group = strings.Repeat("n", 40_000) }, protocol.InvalidGroupID},
		} {
			r := joinRequest(9, "new", "")
			bad.change(r)
			if got := code(c.JoinGroup(ctx, Client{}, r).ErrorCode); got != bad.want {
				t.Errorf("join, %s: %s, want %s", name, got, bad.want)
			}
		}
		if r := c.SyncGroup(ctx, Client{}, &kmsg.SyncGroupRequest{Version: 5, Group: "g0"}); code(r.ErrorCode) != protocol.InconsistentGroupProtocol {
			t.Errorf("sync v5 without protocol: %s", code(r.ErrorCode))
		}
		for v, want := range []protocol.ErrorCode{protocol.UnknownMemberID, protocol.UnknownMemberID, protocol.UnknownMemberID, protocol.None} {
			r := kmsg.NewPtrLeaveGroupRequest()
			r.Version, r.Group, r.MemberID, r.Members = int16(v), "g0", "nobody", []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}}
			if resp := c.LeaveGroup(ctx, r); code(resp.ErrorCode) != want || len(resp.Members) != max(v-2, 0) {
				t.Errorf("leave v%d: %+v", v, resp)
			}
		}
	})
}

func TestOffsetVersions(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, l *fakeLog) {
		now := c.now()
		for v, want := range map[int16]committed{
			1: {offset: 5, leaderEpoch: -1, metadata: "m", commitTime: 77, expireTime: noTime},
			3: {offset: 5, leaderEpoch: -1, metadata: "m", commitTime: now, expireTime: now + 1000},
			5: {offset: 5, leaderEpoch: -1, metadata: "m", commitTime: now, expireTime: noTime},
			6: {offset: 5, leaderEpoch: 3, metadata: "m", commitTime: now, expireTime: noTime},
		} {
			r := commitRequest("g", "", -1, 5)
			r.Version, r.RetentionTimeMillis = v, 1000
			p := &r.Topics[0].Partitions[0]
			p.Timestamp, p.LeaderEpoch, p.Metadata = 77, 3, kmsg.StringPtr("m")
			c.OffsetCommit(ctx, r)
			s, _ := c.find("g", true)
			if got := s.mu.g.offsets[protocol.TopicPartition{Topic: "t"}].committed; got != want {
				t.Errorf("v%d: %+v, want %+v", v, got, want)
			}
		}
		large := commitRequest("g", "", -1, 6, 7)
		large.Topics[0].Partitions[1].Metadata = kmsg.StringPtr(strings.Repeat("ä", 4096))
		if got := commitCodes(c.OffsetCommit(ctx, large)); got != "NONE NONE" {
			t.Errorf("metadata of 4096 characters: %s", got)
		}
		large.Topics[0].Partitions[1].Metadata = kmsg.StringPtr(strings.Repeat("a", 4095) + "😀")
		if got := commitCodes(c.OffsetCommit(ctx, large)); got != "NONE OFFSET_METADATA_TOO_LARGE" {
			t.Errorf("metadata of 4097 UTF-16 units: %s", got)
		}
		if got := commitCodes(c.OffsetCommit(ctx, commitRequest("none", "m", 1, 5))); got != "ILLEGAL_GENERATION" {
			t.Errorf("a generation of no group: %s", got)
		}
		before := l.appends()
		if r := c.OffsetCommit(ctx, commitRequest("empty", "", -1)); len(r.Topics) != 0 || l.appends() != before || stateOf(c, "empty") != "Dead0" {
			t.Errorf("a commit of nothing: %+v", r)
		}

		fetch := func(v int16, group string, partitions ...int32) *kmsg.OffsetFetchResponse {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Version, r.Group = v, group
			r.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: partitions}, {Topic: "t", Partitions: []int32{9, 9}}}
			r.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: partitions}}}, {Group: "none"}}
			return c.OffsetFetch(ctx, r)
		}
		if r := fetch(7, "g", 0, 8); len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 3 || r.Topics[0].Partitions[0].Offset != 6 || r.Topics[0].Partitions[1].Offset != -1 {
			t.Errorf("fetch v7: %+v", r)
		}
		if r := fetch(8, "g", 0); len(r.Groups) != 2 || r.Groups[0].Topics[0].Partitions[0].Offset != 6 || len(r.Groups[1].Topics) != 0 || r.Groups[1].ErrorCode != 0 {
			t.Errorf("fetch v8: %+v", r)
		}
		if r := fetch(7, "g"); len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			t.Errorf("fetch of no partitions: %+v", r)
		}
		c.Resigned(c.PartitionFor("g"), 1)
		if r := fetch(1, "g", 0); r.ErrorCode != 0 || code(r.Topics[0].Partitions[0].ErrorCode) != protocol.NotCoordinator {
			t.Errorf("fetch v1 elsewhere: %+v", r)
		}
		if r := fetch(2, "g", 0); code(r.ErrorCode) != protocol.NotCoordinator || len(r.Topics) != 0 {
			t.Errorf("fetch v2 elsewhere: %+v", r)
		}
	})
}

func TestListAndDescribe(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
		me := stable(t, c, "members")
		c.OffsetCommit(ctx, commitRequest("simple", "", -1, 5))
		list := func(states, types []string) string {
			var names []string
			for _, g := range c.ListGroups(ctx, &kmsg.ListGroupsRequest{Version: 5, StatesFilter: states, TypesFilter: types}).Groups {
				names = append(names, g.Group+"/"+g.ProtocolType+"/"+g.GroupState+"/"+g.GroupType)
			}
			return strings.Join(names, " ")
		}
		members, simple := "members/consumer/Stable/classic", "simple//Empty/classic"
		for _, x := range []struct {
			states, types []string
			want          string
		}{
			{nil, nil, members + " " + simple}, {[]string{"sTABLE", "unknown"}, nil, members}, {[]string{"Dead"}, nil, ""},
			{nil, []string{"consumer"}, ""}, {[]string{"empty"}, []string{"consumer", "Classic"}, simple},
		} {
			if got := list(x.states, x.types); got != x.want {
				t.Errorf("list %v %v: %s", x.states, x.types, got)
			}
		}
		g := c.DescribeGroups(ctx, &kmsg.DescribeGroupsRequest{Version: 5, Groups: []string{"members"}}).Groups[0]
		m := g.Members[0]
		if g.Protocol != "range" || g.ProtocolType != "consumer" || m.MemberID != me.MemberID || m.ClientID != "client" || m.ClientHost != "/127.0.0.1" ||
			string(m.MemberAssignment) != "part of "+me.MemberID || len(m.ProtocolMetadata) == 0 {
			t.Errorf("describe: %+v", g)
		}
		c.Resigned(c.PartitionFor("members"), 1)
		if g := c.DescribeGroups(ctx, &kmsg.DescribeGroupsRequest{Version: 5, Groups: []string{"members"}}).Groups[0]; code(g.ErrorCode) != protocol.NotCoordinator || g.State != "" {
			t.Errorf("describe elsewhere: %+v", g)
		}
	})
}

// TestManyGroups: groups cost no goroutine and little memory, a heartbeat costs nothing that grows, and a flood of joins of
// unknown groups passes.
func TestManyGroups(t *testing.T) {
	const groups = 20_000
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c := started(t, testConfig(), l)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		for i := range groups {
			if r := c.JoinGroup(ctx, Client{"client", "/127.0.0.1"}, joinRequest(9, fmt.Sprint("g", i), "")); code(r.ErrorCode) != protocol.MemberIDRequired {
				t.Fatal(code(r.ErrorCode))
			}
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines became %d", goroutines, n)
		}
		if per := (after.HeapAlloc - before.HeapAlloc) / groups; per > 3000 {
			t.Errorf("a group that waits for its first member takes %d bytes", per)
		}
		time.Sleep(10 * time.Minute) // the ids lapse, the retention check takes the groups away
		synctest.Wait()
		if r := c.ListGroups(ctx, &kmsg.ListGroupsRequest{Version: 5}); len(r.Groups) != 0 {
			t.Errorf("%d groups are left", len(r.Groups))
		}
	})
}

// TestHeartbeatCost: in a group of a thousand members a heartbeat allocates no more than in a group of one.
func TestHeartbeatCost(t *testing.T) {
	r := &rules{offsetValueVersion: offsetValueVersion, groupValueVersion: groupValueVersion, maxSize: 1 << 30}
	g := newGroup("g", 0, r, 0)
	var out effects
	for i := range 1000 {
		g.add(&member{id: fmt.Sprint("m", i), sessionTimeoutMs: 10_000, deadline: 10_000, protocols: []memberProtocol{{"range", nil}}})
	}
	g.state, g.generation, g.wake = Stable, 1, 10_000
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now++
		if g.heartbeat("m7", nil, 1, now, &out) != protocol.None {
			t.Error("not a member")
		}
		g.settle(now, &out)
	}); n > 0 {
		t.Errorf("a heartbeat allocates %v times", n)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	l := newFakeLog()
	config := testConfig()
	config.InitialRebalanceDelayMs = 0
	c := started(b, config, l)
	for {
		if _, code := c.locate("g", false); code == protocol.None {
			break
		}
		time.Sleep(time.Millisecond)
	}
	member := c.JoinGroup(ctx, Client{}, joinRequest(3, "g", "")).MemberID
	r := heartbeatRequest("g", member, 1)
	b.ReportAllocs()
	for b.Loop() {
		if resp := c.Heartbeat(ctx, r); resp.ErrorCode != 0 {
			b.Fatal(code(resp.ErrorCode))
		}
	}
}
