package differential

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func groupScenarios() []scenario {
	return []scenario{
		{"find coordinator", findCoordinator},
		{"group of one", groupOfOne},
		{"group of two", groupOfTwo},
		{"group errors", groupErrors},
		{"static members", staticMembers},
		{"group full", groupFull},
		{"session expires", sessionExpires},
		{"offset commit", offsetCommit},
		{"offset fetch", offsetFetch},
		{"offset delete", offsetDelete},
		{"describe and list groups", describeGroups},
		{"delete groups", deleteGroups},
		{"empty group id", emptyGroupID},
	}
}

// coordinatorReady waits until groups are served: the first FindCoordinator makes __consumer_offsets, and each of its partitions has to be loaded.
func (s *session) coordinatorReady() {
	deadline := time.Now().Add(30 * time.Second)
	await := func(r kmsg.Request, ready func(kmsg.Response) bool) {
		for resp := s.quiet(r); resp == nil || !ready(resp); resp = s.quiet(r) {
			if time.Now().After(deadline) {
				panic(abort{fmt.Sprintf("groups are not served: %+v", resp)})
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	await(at(4, &kmsg.FindCoordinatorRequest{CoordinatorKeys: []string{"ready"}}), func(r kmsg.Response) bool {
		f := r.(*kmsg.FindCoordinatorResponse).Coordinators
		return len(f) == 1 && f[0].ErrorCode == 0
	})
	for n := range 40 { // names enough to fall on every partition
		await(at(4, &kmsg.HeartbeatRequest{Group: fmt.Sprint("ready", n), MemberID: "m"}), func(r kmsg.Response) bool {
			return r.(*kmsg.HeartbeatResponse).ErrorCode == 25
		})
	}
}

func findCoordinator(s *session) {
	s.coordinatorReady()
	s.each(10, 0, func(s *session, v int16) {
		for _, key := range []string{"g", "", "ä", strings.Repeat("g", 300)} {
			for _, kind := range []int8{0, 1, 2, 3, -1} {
				if kind == 1 {
					continue // the first question for a transaction makes an internal topic: see transactions
				}
				r := at(v, &kmsg.FindCoordinatorRequest{CoordinatorKey: key, CoordinatorType: kind, CoordinatorKeys: []string{key}})
				s.in("v%d key %.3q %d type %d", v, key, len(key), kind).do("", r)
			}
		}
		s.in("v%d", v).do("several", at(v, &kmsg.FindCoordinatorRequest{CoordinatorKey: "a", CoordinatorKeys: []string{"a", "b", "a"}}))
		s.do("none", at(v, &kmsg.FindCoordinatorRequest{}))
	})
}

func join(v int16, group, member string) *kmsg.JoinGroupRequest {
	return at(v, &kmsg.JoinGroupRequest{
		Group: group, SessionTimeoutMillis: 10_000, RebalanceTimeoutMillis: 3000, MemberID: member, ProtocolType: "consumer",
		Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription("g-topic")}, {Name: "other", Metadata: []byte("other")}},
	})
}

// subscription is what a consumer sends in JoinGroup.
func subscription(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = topics
	return m.AppendTo(nil)
}

// joined joins as a new member: v4 and later answer MEMBER_ID_REQUIRED first.
func (s *session) joined(label string, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp, _ := s.do(label+" join", r).(*kmsg.JoinGroupResponse)
	if resp != nil && resp.ErrorCode == 79 {
		r.MemberID = resp.MemberID
		resp, _ = s.do(label+" join with id", r).(*kmsg.JoinGroupResponse)
	}
	if resp == nil {
		panic(abort{label + ": no answer to JoinGroup"})
	}
	return resp
}

func syncGroup(v int16, group, member string, generation int32, assignments ...string) *kmsg.SyncGroupRequest {
	r := at(v, &kmsg.SyncGroupRequest{Group: group, Generation: generation, MemberID: member, ProtocolType: ptr("consumer"), Protocol: ptr("range")})
	for i := 0; i < len(assignments); i += 2 {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: assignments[i], MemberAssignment: []byte(assignments[i+1])})
	}
	return r
}

func leave(v int16, group string, members ...string) *kmsg.LeaveGroupRequest {
	r := at(v, &kmsg.LeaveGroupRequest{Group: group})
	for _, m := range members {
		r.MemberID = m
		r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{MemberID: m})
	}
	return r
}

func (s *session) describe(label, group string) {
	s.do(label, at(5, &kmsg.DescribeGroupsRequest{Groups: []string{group}, IncludeAuthorizedOperations: true}))
}

func groupOfOne(s *session) {
	s.coordinatorReady()
	s.each(11, 0, func(s *session, v int16) {
		group := fmt.Sprintf("one-%d", v)
		sv, hv, lv := min(v, 5), min(v, 4), min(v, 5)
		me := s.joined("first", join(v, group, "")).MemberID
		s.describe("after join", group)
		s.do("sync", syncGroup(sv, group, me, 1, me, "assigned"))
		s.describe("after sync", group)
		s.do("sync again", syncGroup(sv, group, me, 1, me, "otherwise"))
		s.do("heartbeat", at(hv, &kmsg.HeartbeatRequest{Group: group, Generation: 1, MemberID: me}))
		s.do("rejoin the same", join(v, group, me))
		s.do("sync after rejoin", syncGroup(sv, group, me, 2, me, "assigned 2"))
		changed := join(v, group, me)
		changed.Protocols[0].Metadata = subscription("g-topic", "g-topic-2")
		s.do("rejoin changed", changed)
		s.do("heartbeat while joining", at(hv, &kmsg.HeartbeatRequest{Group: group, Generation: 2, MemberID: me}))
		s.do("heartbeat next generation", at(hv, &kmsg.HeartbeatRequest{Group: group, Generation: 3, MemberID: me}))
		s.do("sync without assignment", syncGroup(sv, group, me, 3))
		s.do("leave", leave(lv, group, me))
		s.describe("after leave", group)
		s.do("leave again", leave(lv, group, me))
		s.do("heartbeat after leave", at(hv, &kmsg.HeartbeatRequest{Group: group, Generation: 3, MemberID: me}))
	})
}

func groupOfTwo(s *session) {
	s.coordinatorReady()
	for _, v := range []int16{0, 2, 4, 5, 9} {
		group := fmt.Sprintf("two-%d", v)
		sv := min(v, 5)
		one, two := s.in("v%d", v).another(), s.another()
		a := one.joined("a", join(v, group, "")).MemberID
		one.do("a sync", syncGroup(sv, group, a, 1, a, "all"))
		first := join(v, group, "")
		first.Protocols = first.Protocols[:1]
		if v >= 4 {
			resp, _ := two.do("b asks for an id", first).(*kmsg.JoinGroupResponse)
			if resp == nil {
				panic(abort{"no id"})
			}
			first.MemberID = resp.MemberID
		}
		waiting := two.start("b join", first)
		one.until("a hears of it", at(min(v, 4), &kmsg.HeartbeatRequest{Group: group, Generation: 1, MemberID: a}), func(r kmsg.Response) bool {
			return r.(*kmsg.HeartbeatResponse).ErrorCode == 27
		})
		one.describe("joining", group)
		again, _ := one.do("a rejoins", join(v, group, a)).(*kmsg.JoinGroupResponse)
		other, _ := waiting.finish().(*kmsg.JoinGroupResponse)
		if again == nil || other == nil {
			panic(abort{"no second generation"})
		}
		b := other.MemberID
		s.note("leader", fmt.Sprint(again.LeaderID == a, other.LeaderID == a, again.Generation, other.Generation))
		follower := two.start("b sync", syncGroup(sv, group, b, 2))
		one.do("a sync as leader", syncGroup(sv, group, a, 2, a, "for a", b, "for b"))
		follower.finish()
		one.describe("stable", group)
		two.do("b sync with wrong protocol", func() kmsg.Request {
			r := syncGroup(sv, group, b, 2)
			r.Protocol = ptr("nope")
			return r
		}())
		one.do("a leaves", leave(min(v, 5), group, a))
		two.until("b hears of it", at(min(v, 4), &kmsg.HeartbeatRequest{Group: group, Generation: 2, MemberID: b}), func(r kmsg.Response) bool {
			return r.(*kmsg.HeartbeatResponse).ErrorCode == 27
		})
		last := join(v, group, b)
		two.do("b alone", last)
		two.do("b sync alone", syncGroup(sv, group, b, 3, b, "all"))
		two.do("both leave", leave(5, group, a, b))
		one.close()
		two.close()
	}
}

func groupErrors(s *session) {
	s.coordinatorReady()
	s.each(11, 0, func(s *session, v int16) {
		group := fmt.Sprintf("err-%d", v)
		change := func(label string, f func(r *kmsg.JoinGroupRequest)) {
			r := join(v, group, "")
			f(r)
			s.do(label, r)
		}
		type J = kmsg.JoinGroupRequest
		change("unknown member id", func(r *J) { r.MemberID = "nobody" })
		change("session too short", func(r *J) { r.SessionTimeoutMillis = 10 })
		change("session too long", func(r *J) { r.SessionTimeoutMillis = 1<<31 - 1 })
		change("no protocols", func(r *J) { r.Protocols = nil })
		change("no protocol type", func(r *J) { r.ProtocolType = "" })
		me := s.joined("a", join(v, group, "")).MemberID
		s.do("sync", syncGroup(min(v, 5), group, me, 1, me, "x"))
		change("other type", func(r *J) { r.ProtocolType = "connect" })
		change("nothing in common", func(r *J) { r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "strange"}} })
		change("own id and other type", func(r *J) { r.MemberID, r.ProtocolType = me, "connect" })
		change("unknown member id later", func(r *J) { r.MemberID = "nobody" })
		s.do("sync wrong generation", syncGroup(min(v, 5), group, me, 7, me, "x"))
		s.do("sync unknown member", syncGroup(min(v, 5), group, "nobody", 1))
		s.do("sync unknown group", syncGroup(min(v, 5), group+"-none", "nobody", 1))
		wrong := syncGroup(min(v, 5), group, me, 1)
		wrong.ProtocolType = ptr("connect")
		s.do("sync wrong type", wrong)
		wrong.ProtocolType, wrong.Protocol = nil, nil
		s.do("sync null type", wrong)
		for _, g := range []string{group, group + "-none"} {
			beat := func(label, member string, generation int32) {
				s.in("v%d %v", v, g == group).do(label, at(min(v, 4), &kmsg.HeartbeatRequest{Group: g, Generation: generation, MemberID: member}))
			}
			beat("beat", me, 1)
			beat("wrong generation", me, 5)
			beat("negative generation", me, -1)
			beat("unknown member", "nobody", 1)
			beat("empty member", "", 1)
			s.do("leave unknown member", leave(min(v, 5), g, "nobody"))
			s.do("leave nobody", leave(min(v, 5), g))
			s.do("leave empty", leave(min(v, 5), g, ""))
		}
		s.in("v%d", v).do("leave", leave(min(v, 5), group, me))
	})
}

func staticMembers(s *session) {
	s.coordinatorReady()
	for v := int16(5); v <= 9; v++ {
		group := fmt.Sprintf("static-%d", v)
		s.in("v%d", v)
		static := func(member, instance string) *kmsg.JoinGroupRequest {
			r := join(v, group, member)
			r.InstanceID, r.RebalanceTimeoutMillis = &instance, 300
			return r
		}
		first, _ := s.do("first", static("", "i1")).(*kmsg.JoinGroupResponse)
		if first == nil {
			panic(abort{"no static member"})
		}
		me := first.MemberID
		sync := syncGroup(5, group, me, 1, me, "x")
		sync.InstanceID = ptr("i1")
		s.do("sync", sync)
		s.describe("stable", group)
		second, _ := s.do("comes back", static("", "i1")).(*kmsg.JoinGroupResponse)
		if second == nil {
			panic(abort{"no second"})
		}
		s.do("sync again", syncGroup(5, group, second.MemberID, second.Generation, second.MemberID, "x"))
		beat := func(label, member, instance string) {
			s.do(label, at(4, &kmsg.HeartbeatRequest{Group: group, Generation: second.Generation, MemberID: member, InstanceID: ptr(instance)}))
		}
		beat("beat", second.MemberID, "i1")
		beat("fenced beat", me, "i1")
		beat("unknown instance", second.MemberID, "i2")
		s.do("fenced join", static(me, "i1"))
		s.do("join as unknown instance", static(second.MemberID, "i9"))
		old := syncGroup(5, group, me, second.Generation)
		old.InstanceID = ptr("i1")
		s.do("fenced sync", old)
		commit := at(7, &kmsg.OffsetCommitRequest{Group: group, Generation: second.Generation, MemberID: me, InstanceID: ptr("i1")})
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "g-topic", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}
		s.do("fenced commit", commit)
		s.describe("later", group)
		s.do("fenced leave", at(5, &kmsg.LeaveGroupRequest{Group: group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: me, InstanceID: ptr("i1")}}}))
		s.do("leave by instance", at(5, &kmsg.LeaveGroupRequest{Group: group, Members: []kmsg.LeaveGroupRequestMember{{InstanceID: ptr("i1")}, {InstanceID: ptr("i7")}}}))
		s.describe("left", group)
		s.do("bad instance", static("", ""))
		s.do("bad instance dots", static("", ".."))
		s.do("bad instance characters", static("", "a b"))
	}
}

// groupFull fills a group up to group.max.size.
func groupFull(s *session) {
	s.coordinatorReady()
	var others []*session
	// During a rebalance those count who wait for its end: the first member does not, so there is room for five beside it.
	for i := range 6 {
		o := s.in("member %d", i).another()
		others = append(others, o)
		r := join(3, "full", "")
		r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 60_000, 60_000 // the group stays full while another knocks, however slow the machine
		if i == 0 {
			o.joined("first", r)
			continue
		}
		o.start("join", r)
		s.until("size", at(5, &kmsg.DescribeGroupsRequest{Groups: []string{"full"}}), func(r kmsg.Response) bool {
			g := r.(*kmsg.DescribeGroupsResponse).Groups
			return len(g) == 1 && len(g[0].Members) == i+1
		})
	}
	s.in("one more").do("join", join(3, "full", ""))
	s.do("join v9", join(9, "full", ""))
	for _, o := range others {
		o.close()
	}
}

func sessionExpires(s *session) {
	s.coordinatorReady()
	r := join(5, "expire", "")
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = 6000, 6000
	me := s.joined("a", r).MemberID
	s.do("sync", syncGroup(5, "expire", me, 1, me, "x"))
	s.until("gone", at(5, &kmsg.DescribeGroupsRequest{Groups: []string{"expire"}}), func(r kmsg.Response) bool {
		return r.(*kmsg.DescribeGroupsResponse).Groups[0].State == "Empty"
	})
	s.do("beat", at(4, &kmsg.HeartbeatRequest{Group: "expire", Generation: 1, MemberID: me}))
}

func describeGroups(s *session) {
	s.coordinatorReady()
	me := s.joined("member", join(3, "dg-stable", "")).MemberID
	s.do("sync", syncGroup(3, "dg-stable", me, 1, me, "x"))
	s.createTopic("g-describe", 1)
	s.do("commit", commitRequest(7, "dg-simple", "", -1, "g-describe", commitAt(0, 5, nil)))
	s.each(15, 0, func(s *session, v int16) {
		for _, ops := range []bool{false, true} {
			r := at(v, &kmsg.DescribeGroupsRequest{Groups: []string{"dg-stable", "dg-simple", "dg-none", "", "dg-stable"}, IncludeAuthorizedOperations: ops})
			s.in("describe v%d operations %v", v, ops).do("", r)
		}
		s.in("describe v%d", v).do("none", at(v, &kmsg.DescribeGroupsRequest{}))
	})
	s.each(16, 0, func(s *session, v int16) {
		list := func(label string, states, types []string) {
			resp, _ := s.quiet(at(v, &kmsg.ListGroupsRequest{StatesFilter: states, TypesFilter: types})).(*kmsg.ListGroupsResponse)
			if resp == nil {
				s.note(label, "no answer")
				return
			}
			var found []string
			for _, g := range resp.Groups {
				if strings.HasPrefix(g.Group, "dg-") {
					found = append(found, fmt.Sprint(g.Group, g.ProtocolType, g.GroupState, g.GroupType))
				}
			}
			slices.Sort(found)
			s.note("list "+label, fmt.Sprint(resp.ErrorCode, found))
		}
		s.in("v%d", v)
		list("all", nil, nil)
		list("stable", []string{"Stable"}, nil)
		list("lower case", []string{"stable"}, nil)
		list("empty", []string{"Empty", "Dead"}, nil)
		list("unknown state", []string{"Strange"}, nil)
		list("classic", nil, []string{"classic"})
		list("Classic", nil, []string{"Classic"})
		list("consumer", nil, []string{"consumer"})
		list("unknown type", nil, []string{"strange"})
	})
	s.do("leave", leave(3, "dg-stable", me))
}

func deleteGroups(s *session) {
	s.coordinatorReady()
	s.createTopic("g-groups", 1)
	s.each(42, 0, func(s *session, v int16) {
		living := fmt.Sprintf("del-living-%d", v)
		empty := fmt.Sprintf("del-empty-%d", v)
		me := s.joined("member", join(3, living, "")).MemberID
		s.do("sync", syncGroup(3, living, me, 1, me, "x"))
		s.do("commit", commitRequest(7, empty, "", -1, "g-groups", commitAt(0, 5, nil)))
		s.do("mixed", at(v, &kmsg.DeleteGroupsRequest{Groups: []string{living, empty, "del-none", ""}}))
		s.do("again", at(v, &kmsg.DeleteGroupsRequest{Groups: []string{empty, empty}}))
		s.do("none", at(v, &kmsg.DeleteGroupsRequest{}))
		s.do("offsets gone", offsetFetchRequest(5, empty, nil))
		s.do("leave", leave(3, living, me))
		s.do("now", at(v, &kmsg.DeleteGroupsRequest{Groups: []string{living}}))
		s.describe("describe", living)
	})
}

func emptyGroupID(s *session) {
	s.coordinatorReady()
	s.createTopic("g-nameless", 1)
	s.each(11, 0, func(s *session, v int16) { s.do("join", join(v, "", "")) })
	s.each(14, 0, func(s *session, v int16) { s.do("sync", syncGroup(v, "", "m", 1)) })
	s.each(12, 0, func(s *session, v int16) { s.do("beat", at(v, &kmsg.HeartbeatRequest{MemberID: "m"})) })
	s.each(13, 0, func(s *session, v int16) { s.do("leave", leave(v, "", "m")) })
	s.each(8, 1, func(s *session, v int16) {
		s.do("commit", commitRequest(v, "", "", -1, "g-nameless", commitAt(0, 5, nil)))
		s.do("commit as member", commitRequest(v, "", "m", 1, "g-nameless", commitAt(0, 5, nil)))
	})
	s.do("describe", at(5, &kmsg.DescribeGroupsRequest{Groups: []string{""}}))
	s.do("delete", at(2, &kmsg.DeleteGroupsRequest{Groups: []string{""}}))
}
