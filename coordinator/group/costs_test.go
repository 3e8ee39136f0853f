package group

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestHeartbeatCosts: a heartbeat allocates as much in a group of a hundred as in one of a single member: a group's heartbeats together cost no more than its
// members.
func TestHeartbeatCosts(t *testing.T) {
	var least uint64
	for _, members := range []int{1, 10, 100} {
		inBubble(t, func(t *testing.T, c *Coordinator, _ *fakeLog) {
			generation, ids := together(t, c, members)
			got := allocated(func() {
				for i := range 300 {
					if r := c.Heartbeat(ctx, heartbeatRequest("g", ids[i%len(ids)], generation)); r.ErrorCode != 0 {
						t.Fatalf("heartbeat: %s", code(r.ErrorCode))
					}
				}
			}) / 300
			t.Logf("%d members: %d bytes for a heartbeat", members, got)
			if members == 1 {
				least = got
			} else if got > least*115/100 {
				t.Errorf("a heartbeat in a group of %d allocates %d bytes, in one of 1 %d", members, got, least)
			}
		})
	}
}

// together makes a group with so many members, who all have their assignment.
func together(t *testing.T, c *Coordinator, members int) (generation int32, ids []string) {
	answers := make(chan *kmsg.JoinGroupResponse, members)
	for range members {
		go func() { answers <- join(t, c, "g") }()
	}
	var leader *kmsg.JoinGroupResponse
	for range members {
		r := <-answers
		if ids = append(ids, r.MemberID); r.LeaderID == r.MemberID {
			leader = r
		}
	}
	if len(leader.Members) != members {
		t.Fatalf("%d of %d have joined", len(leader.Members), members)
	}
	for _, id := range ids {
		if id != leader.MemberID {
			go c.SyncGroup(ctx, Client{}, syncRequest("g", id, leader.Generation))
		}
	}
	if r := c.SyncGroup(ctx, Client{}, syncRequest("g", leader.MemberID, leader.Generation, ids...)); r.ErrorCode != 0 {
		t.Fatalf("sync: %s", code(r.ErrorCode))
	}
	synctest.Wait()
	return leader.Generation, ids
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
