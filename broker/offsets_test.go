package broker

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk/zktest"
)

// commit is an OffsetCommit of a group without members.
func commit(group string, offsets map[string]int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, group, -1
	for topic, offset := range offsets {
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic = topic
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = offset
		rt.Partitions = append(rt.Partitions, p)
		req.Topics = append(req.Topics, rt)
	}
	return req
}

// coordinator waits until the broker coordinates a group.
func (c *client) coordinator(group string) {
	c.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = group
	eventually(c.t, "a coordinator", func() bool { return ask[*kmsg.FindCoordinatorResponse](c, find).ErrorCode == 0 })
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Version, fetch.Group = 5, group
	eventually(c.t, "its offsets to be loaded", func() bool { return ask[*kmsg.OffsetFetchResponse](c, fetch).ErrorCode == 0 })
}

// committed is the offset of a topic's partition 0.
func (c *client) committed(group, topic string) int64 {
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 5, group
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	p := ask[*kmsg.OffsetFetchResponse](c, req).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.t.Fatal(protocol.ErrorCode(p.ErrorCode))
	}
	return p.Offset
}

// Offsets come back after a restart, however small the pieces in which their log is read.
func TestOffsetsAfterRestart(t *testing.T) {
	zk := zktest.Start(t)
	props := properties(t, zk, nil)
	r, err := tryBroker(t, zk, props)
	if err != nil {
		t.Fatal(err)
	}
	r.createTopic("t", 1)
	c := r.dial()
	for g := range 4 {
		group := fmt.Sprint("group-", g)
		c.coordinator(group)
		for i := range 50 {
			if code := ask[*kmsg.OffsetCommitResponse](c, commit(group, map[string]int64{"t": int64(100*g + i)})).Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Fatal(protocol.ErrorCode(code))
			}
		}
	}
	for _, size := range []string{"5242880", "100", "1"} {
		if err := r.Shutdown(); err != nil {
			t.Fatal(err)
		}
		props["offsets.load.buffer.size"] = size
		if r, err = tryBroker(t, zk, props); err != nil {
			t.Fatal(err)
		}
		c = r.dial()
		for g := range 4 {
			group := fmt.Sprint("group-", g)
			c.coordinator(group)
			if got := c.committed(group, "t"); got != int64(100*g+49) {
				t.Errorf("buffer %s: %s is at %d", size, group, got)
			}
		}
	}
}

// Partitions that do not exist are refused one by one, the others go to the coordinator.
func TestOffsetCommitAndDelete(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	r.createTopic("u", 1)
	c := r.dial()
	c.coordinator("g")
	codes := map[string]protocol.ErrorCode{}
	for _, rt := range ask[*kmsg.OffsetCommitResponse](c, commit("g", map[string]int64{"t": 5, "nope": 6, "u": 7})).Topics {
		codes[rt.Topic] = protocol.ErrorCode(rt.Partitions[0].ErrorCode)
	}
	if len(codes) != 3 || codes["t"] != protocol.None || codes["u"] != protocol.None || codes["nope"] != protocol.UnknownTopicOrPartition {
		t.Errorf("OffsetCommit answered %v", codes)
	}
	if got := c.committed("g", "t"); got != 5 {
		t.Errorf("committed %d", got)
	}
	if got := c.committed("g", "nope"); got != -1 {
		t.Errorf("an offset of a topic that does not exist: %d", got)
	}
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "g"
	for _, topic := range []string{"t", "nope"} {
		del.Topics = append(del.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}})
	}
	got := map[string]protocol.ErrorCode{}
	resp := ask[*kmsg.OffsetDeleteResponse](c, del)
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			got[fmt.Sprint(rt.Topic, p.Partition)] = protocol.ErrorCode(p.ErrorCode)
		}
	}
	unknown := protocol.UnknownTopicOrPartition
	if resp.ErrorCode != 0 || len(got) != 4 || got["t0"] != protocol.None || got["t9"] != unknown || got["nope0"] != unknown || got["nope9"] != unknown {
		t.Errorf("OffsetDelete answered %v, %v", resp.ErrorCode, got)
	}
	if got := c.committed("g", "t"); got != -1 {
		t.Errorf("committed %d after its deletion", got)
	}
	if got := c.committed("g", "u"); got != 7 {
		t.Errorf("the other one's is %d", got)
	}
	del.Group = "no-such-group"
	if resp := ask[*kmsg.OffsetDeleteResponse](c, del); protocol.ErrorCode(resp.ErrorCode) != protocol.GroupIDNotFound || len(resp.Topics) != 0 {
		t.Errorf("of an unknown group: %v, %v", protocol.ErrorCode(resp.ErrorCode), resp.Topics)
	}
}

// ListOffsets, each special timestamp in the versions that know it.
func TestListOffsets(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 1)
	c := r.dial()
	c.produced("t", 0, "a", "b", "c")
	c.produced("t", 0, "d")
	setISR(t, r, id, 0, 1)
	for begun := time.Now().UnixMilli(); time.Now().UnixMilli() == begun; {
		runtime.Gosched() // of two records with one timestamp the first would be the answer
	}
	c.produced("t", 0, "not committed")
	for _, tc := range []struct {
		name      string
		version   int16
		timestamp int64
		replica   int32
		iso       int8
		epoch     int32
		want      protocol.ErrorCode
		offset    int64
	}{
		{name: "latest", version: 4, timestamp: -1, replica: -1, epoch: -1, offset: 4},
		{name: "latest, committed", version: 4, timestamp: -1, replica: -1, iso: 1, epoch: -1, offset: 4},
		{name: "latest, debugging", version: 4, timestamp: -1, replica: -2, epoch: -1, offset: 5},
		{name: "earliest", version: 1, timestamp: -2, replica: -1, epoch: -1, offset: 0},
		{name: "the first of all times", version: 1, timestamp: 0, replica: -1, epoch: -1, offset: 0},
		{name: "after all", version: 5, timestamp: 1 << 60, replica: -1, epoch: -1, offset: -1},
		{name: "max timestamp, not committed", version: 7, timestamp: -3, replica: -1, epoch: -1, offset: -1},
		{name: "max timestamp, debugging", version: 7, timestamp: -3, replica: -2, epoch: -1, offset: 4},
		{name: "max timestamp too early", version: 6, timestamp: -3, replica: -1, epoch: -1, want: protocol.UnsupportedVersion, offset: -1},
		{name: "earliest local", version: 8, timestamp: -4, replica: -1, epoch: -1, offset: 0},
		{name: "earliest local too early", version: 7, timestamp: -4, replica: -1, epoch: -1, want: protocol.UnsupportedVersion, offset: -1},
		{name: "latest tiered", version: 9, timestamp: -5, replica: -1, epoch: -1, offset: -1},
		{name: "no such timestamp", version: 9, timestamp: -6, replica: -1, epoch: -1, want: protocol.UnsupportedVersion, offset: -1},
		{name: "an epoch to come", version: 4, timestamp: -1, replica: -1, epoch: 9, want: protocol.UnknownLeaderEpoch, offset: -1},
		{name: "an epoch that is over", version: 4, timestamp: -1, replica: -1, epoch: 0, want: protocol.FencedLeaderEpoch, offset: -1},
		{name: "isolation 2", version: 4, timestamp: -1, replica: -1, iso: 2, epoch: -1, want: protocol.UnknownServerError, offset: -1},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID, req.IsolationLevel = tc.version, tc.replica, tc.iso
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = tc.timestamp, tc.epoch
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		got := ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
		if protocol.ErrorCode(got.ErrorCode) != tc.want || got.Offset != tc.offset {
			t.Errorf("%s: %v, offset %d; want %v, %d", tc.name, protocol.ErrorCode(got.ErrorCode), got.Offset, tc.want, tc.offset)
		}
	}
	twice := kmsg.NewPtrListOffsetsRequest()
	twice.Version, twice.ReplicaID = 5, -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -1
	twice.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p, p}}}
	for _, got := range ask[*kmsg.ListOffsetsResponse](c, twice).Topics[0].Partitions {
		if protocol.ErrorCode(got.ErrorCode) != protocol.InvalidRequest {
			t.Errorf("a partition named twice: %v", protocol.ErrorCode(got.ErrorCode))
		}
	}
}
