package group

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

var ctx = context.Background()

// inBubble runs a test in fake time with a coordinator that has loaded everything.
func inBubble(t *testing.T, f func(t *testing.T, c *Coordinator, l *fakeLog)) {
	bubble(t, func(*Config) {}, f)
}

// bubble is inBubble with other settings.
func bubble(t *testing.T, change func(*Config), f func(t *testing.T, c *Coordinator, l *fakeLog)) {
	synctest.Test(t, func(t *testing.T) {
		l, config := newFakeLog(), testConfig()
		change(&config)
		c := started(t, config, l)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		f(t, c, l)
	})
}

func joinRequest(v int16, group, member string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID = v, group, member
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 10_000, 30_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", subscriptionOf("t")
	r.Protocols = []kmsg.JoinGroupRequestProtocol{p}
	return r
}

func syncRequest(group, member string, generation int32, assign ...string) *kmsg.SyncGroupRequest {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.Generation = 3, group, member, generation
	for _, id := range assign {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: id, MemberAssignment: []byte("part of " + id)})
	}
	return r
}

func heartbeatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	return &kmsg.HeartbeatRequest{Version: 3, Group: group, MemberID: member, Generation: generation}
}

// commitRequest commits an offset for t-0 (and on) without membership, or with it when member is not "".
func commitRequest(group, member string, generation int32, offsets ...int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.MemberID, r.Generation = 8, group, member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "t"
	for i, o := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = int32(i), o
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return r
}

func fetchRequest(group string, stable bool) *kmsg.OffsetFetchRequest {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Version, r.Group, r.RequireStable = 7, group, stable
	return r
}

func code(c int16) protocol.ErrorCode { return protocol.ErrorCode(c) }

// commitCodes are the codes of a commit, partition by partition.
func commitCodes(r *kmsg.OffsetCommitResponse) string {
	var codes []string
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			codes = append(codes, code(p.ErrorCode).String())
		}
	}
	return strings.Join(codes, " ")
}

// offsetsOf is what OffsetFetch says about a group.
func offsetsOf(c *Coordinator, r *kmsg.OffsetFetchRequest) string {
	resp := c.OffsetFetch(ctx, r)
	if resp.ErrorCode != 0 {
		return code(resp.ErrorCode).String()
	}
	var list []string
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			s := fmt.Sprintf("%s-%d=%d", t.Topic, p.Partition, p.Offset)
			if p.ErrorCode != 0 {
				s += " " + code(p.ErrorCode).String()
			}
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

func stateOf(c *Coordinator, group string) string {
	r := c.DescribeGroups(ctx, &kmsg.DescribeGroupsRequest{Version: 5, Groups: []string{group}})
	g := r.Groups[0]
	return fmt.Sprintf("%s%d", g.State, len(g.Members))
}

// join joins as a new v3 member and waits for the answer.
func join(t *testing.T, c *Coordinator, group string) *kmsg.JoinGroupResponse {
	r := c.JoinGroup(ctx, Client{"client", "/127.0.0.1"}, joinRequest(3, group, ""))
	if r.ErrorCode != 0 {
		t.Fatalf("join %s: %s", group, code(r.ErrorCode))
	}
	return r
}

// stable makes a group with one member and an assignment.
func stable(t *testing.T, c *Coordinator, group string) *kmsg.JoinGroupResponse {
	r := join(t, c, group)
	if s := c.SyncGroup(ctx, Client{}, syncRequest(group, r.MemberID, r.Generation, r.MemberID)); s.ErrorCode != 0 {
		t.Fatalf("sync %s: %s", group, code(s.ErrorCode))
	}
	return r
}

// reload lets another broker have the partition of a group for a while.
func reload(t *testing.T, c *Coordinator, _ *fakeLog, group string) {
	t.Helper()
	p := c.PartitionFor(group)
	c.mu.RLock()
	epoch := c.mu.epochs[p]
	c.mu.RUnlock()
	c.Resigned(p, epoch+1)
	c.Elected(p, epoch+2)
	for range 100 {
		time.Sleep(time.Second / 10)
		synctest.Wait()
		if _, code := c.locate(group, true); code == protocol.None {
			return
		}
	}
	t.Fatal("it does not load")
}
