package group

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
)

// TestOlderRecords writes for brokers of older releases: the versions are the ones asked for, and the state survives a load.
func TestOlderRecords(t *testing.T) {
	for _, want := range []struct{ offset, group int16 }{{1, 1}, {2, 2}, {3, 3}} {
		bubble(t, func(c *Config) { c.OffsetValueVersion, c.GroupValueVersion = want.offset, want.group }, func(t *testing.T, c *Coordinator, l *fakeLog) {
			m := stable(t, c, "g")
			if got := commitCodes(c.OffsetCommit(context.Background(), commitRequest("g", m.MemberID, m.Generation, 7))); got != "NONE" {
				t.Fatalf("commit: %s", got)
			}
			p := c.PartitionFor("g")
			var offsets, groups []int16
			l.Load(context.Background(), p, func(b record.Batch) error {
				return b.Each(0, func(r record.Record) error {
					version := int16(binary.BigEndian.Uint16(r.Value))
					if key, err := decodeKey(r.Key); err == nil && key.kind == offsetRecord {
						offsets = append(offsets, version)
					} else {
						groups = append(groups, version)
					}
					return nil
				})
			})
			if !slices.Equal(offsets, []int16{want.offset}) || len(groups) == 0 || slices.ContainsFunc(groups, func(v int16) bool { return v != want.group }) {
				t.Errorf("offset values of versions %v and group values of versions %v, want %v", offsets, groups, want)
			}
			before := snapshot(c)
			reload(t, c, l, "g")
			if after := snapshot(c); after != before {
				t.Errorf("loaded:\n%s\nwas:\n%s", after, before)
			}
		})
	}
}

// TestStaticMembersNeedAllBrokers: below group version 3 an instance id could not be kept, so it is refused (KIP-345).
func TestStaticMembersNeedAllBrokers(t *testing.T) {
	bubble(t, func(c *Config) { c.GroupValueVersion = 2 }, func(t *testing.T, c *Coordinator, l *fakeLog) {
		ctx, id := context.Background(), kmsg.StringPtr("i")
		join := joinRequest(5, "g", "")
		join.InstanceID = id
		sync := syncRequest("g", "m", 1)
		sync.InstanceID = id
		beat := heartbeatRequest("g", "m", 1)
		beat.InstanceID = id
		commit := commitRequest("g", "m", 1, 5)
		commit.InstanceID = id
		codes := []protocol.ErrorCode{
			code(c.JoinGroup(ctx, Client{}, join).ErrorCode), code(c.SyncGroup(ctx, Client{}, sync).ErrorCode),
			code(c.Heartbeat(ctx, beat).ErrorCode), code(c.OffsetCommit(ctx, commit).Topics[0].Partitions[0].ErrorCode),
		}
		for i, got := range codes {
			if got != protocol.UnsupportedVersion {
				t.Errorf("request %d: %s, want UNSUPPORTED_VERSION", i, got)
			}
		}
		if l.appends() != 0 {
			t.Error("something was written")
		}
	})
}
