package group

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"gregor/protocol"
	"gregor/protocol/record"
)

// apacheLog reads the batches that Apache Kafka wrote.
func apacheLog(t testing.TB) (batches []record.Batch) {
	text, err := os.ReadFile("testdata/apache-3.9.2.hex")
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.TrimSpace(line))
		}
	}
	set, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	for len(set) > 0 {
		var b record.Batch
		if b, set, err = record.Split(set); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	return batches
}

// TestApacheRecords decodes every record of Apache Kafka and encodes it again: it must become the same bytes.
func TestApacheRecords(t *testing.T) {
	var kinds []string
	for _, b := range apacheLog(t) {
		err := b.Each(0, func(r record.Record) error {
			key, err := decodeKey(r.Key)
			if err != nil {
				return err
			}
			var gotKey, gotValue []byte
			switch key.kind {
			case offsetRecord:
				gotKey = offsetKey(key.group, key.tp)
				if r.Value != nil {
					o, err := decodeOffset(r.Value)
					if err != nil {
						return err
					}
					gotValue = offsetValue(offsetValueVersion, o)
				}
				kinds = append(kinds, "offset "+key.group)
			case groupRecord:
				gotKey = groupKey(key.group)
				if r.Value != nil {
					l, err := decodeGroup(r.Value)
					if err != nil {
						return err
					}
					g := newGroup(key.group, 0, &rules{}, 0)
					g.restore(l)
					gotValue = groupValue(groupValueVersion, g, g.assignments())
				}
				kinds = append(kinds, "group "+key.group)
			}
			if !bytes.Equal(gotKey, r.Key) || !bytes.Equal(gotValue, r.Value) {
				t.Errorf("offset %d: encoded as\n%x %x, not\n%x %x", b.BaseOffset(), gotKey, gotValue, r.Key, r.Value)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	want := "group s,offset s,group s,group d,offset simple,offset simple,group d,group d,offset simple,group s"
	if got := strings.Join(kinds, ","); got != want {
		t.Errorf("records %s, want %s", got, want)
	}
}

// TestApacheReplay loads the log of Apache Kafka as it was at several times.
func TestApacheReplay(t *testing.T) {
	batches := apacheLog(t)
	at := func(n int) map[string]*group {
		r := newReplay()
		for _, b := range batches[:n] {
			if err := r.batch(b); err != nil {
				t.Fatal(err)
			}
		}
		if r.skipped > 0 {
			t.Errorf("%d records skipped: %v", r.skipped, r.first)
		}
		return r.build(0, &rules{}, 0)
	}
	tp := protocol.TopicPartition{Topic: "t", Partition: 1}

	s := at(3)["s"]
	if o := s.offsets[tp]; o.committed != (committed{42, 5, "note ä", 0x1a1fb96fa2d, noTime}) {
		t.Errorf("s committed %+v", o)
	}
	m := s.members[s.leader]
	if m == nil || *m.instanceID != "inst" || m.clientID != "capture" || m.clientHost != "/127.0.0.1" || m.rebalanceTimeoutMs != 30_000 || m.sessionTimeoutMs != 10_000 || string(m.assignment) != "part" {
		t.Errorf("s has member %+v", m)
	}
	if _, yes := s.subscribed["t"]; !yes || len(s.subscribed) != 1 || !s.is(Stable) || s.generation != 1 || *s.protocol != "range" {
		t.Errorf("s is %+v", s)
	}
	if o := at(5)["simple"].offsets[tp]; o.expireTime != o.commitTime+86_400_000 || o.leaderEpoch != -1 {
		t.Errorf("with a retention: %+v", o)
	}
	if o := at(6)["simple"].offsets[tp]; o.expireTime != noTime || o.metadata != "x" {
		t.Errorf("without a retention: %+v", o)
	}
	last := at(len(batches))
	if g := last["s"]; len(last) != 1 || !g.is(Empty) || g.generation != 2 || g.protocolType != "consumer" || len(g.offsets) != 1 {
		t.Errorf("at the end: %+v", last)
	}
}

// TestDecodeVersions reads each version of each value.
func TestDecodeVersions(t *testing.T) {
	be := binary.BigEndian
	offset := func(version int16) []byte {
		b := appendInt64(appendInt16(nil, version), 77)
		if version >= 3 {
			b = appendInt32(b, 9)
		}
		if version >= 4 {
			b = append(append(b, 3), "md"...)
		} else {
			b = appendString(b, "md")
		}
		b = appendInt64(b, 1000)
		if version == 1 {
			b = appendInt64(b, 2000)
		}
		if version >= 4 {
			b = append(b, 1, 0, 2, 8, 8) // one tag of two bytes
		}
		return b
	}
	for version := range int16(5) {
		want := committed{offset: 77, leaderEpoch: -1, metadata: "md", commitTime: 1000, expireTime: noTime}
		if version >= 3 {
			want.leaderEpoch = 9
		}
		if version == 1 {
			want.expireTime = 2000
		}
		if got, err := decodeOffset(offset(version)); err != nil || got != want {
			t.Errorf("offset v%d: %+v, %v", version, got, err)
		}
		if got, err := decodeOffset(offset(version)[:8]); err == nil {
			t.Errorf("offset v%d cut short: %+v", version, got)
		}
		g, err := decodeGroup(groupOfVersion(version))
		if err != nil {
			t.Errorf("group v%d: %v", version, err)
			continue
		}
		m := g.members[0]
		wantTimeout, wantStamp := int32(30_000), int64(noTime)
		if version == 0 {
			wantTimeout = 10_000
		}
		if version >= 2 {
			wantStamp = 4000
		}
		if g.generation != 3 || g.leader != "m1" || *g.protocol != "range" || g.stateTimestamp != wantStamp || m.rebalanceTimeoutMs != wantTimeout ||
			(m.instanceID != nil) != (version >= 3) || string(m.metadata(g.protocol)) != "sub" || string(m.assignment) != "part" {
			t.Errorf("group v%d: %+v %+v", version, g, m)
		}
	}
	for _, version := range []int16{-1, 5, 99} {
		if _, err := decodeOffset(be.AppendUint16(nil, uint16(version))); err == nil {
			t.Errorf("offset v%d was read", version)
		}
		if _, err := decodeGroup(be.AppendUint16(nil, uint16(version))); err == nil {
			t.Errorf("group v%d was read", version)
		}
	}
	for version := range int16(20) {
		key, err := decodeKey(appendString(appendInt16(nil, version+3), "later"))
		if err != nil || key.kind != unknownKey {
			t.Errorf("key v%d: %+v, %v", version+3, key, err)
		}
	}
	old, err := decodeKey(append([]byte{0, 0}, offsetKey("g", protocol.TopicPartition{Topic: "t", Partition: 4})[2:]...))
	if want := (recordKey{offsetRecord, "g", protocol.TopicPartition{Topic: "t", Partition: 4}}); err != nil || old != want {
		t.Errorf("key v0: %+v, %v", old, err)
	}
}

// groupOfVersion makes a GroupMetadataValue with one member.
func groupOfVersion(version int16) []byte {
	str, blob, array := appendString, appendBytes, appendInt32
	if version >= 4 {
		str = func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s)+1)), s...) }
		blob = func(b, v []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(v)+1)), v...) }
		array = func(b []byte, n int32) []byte { return binary.AppendUvarint(b, uint64(n+1)) }
	}
	b := str(appendInt16(nil, version), "consumer")
	b = str(str(appendInt32(b, 3), "range"), "m1")
	if version >= 2 {
		b = appendInt64(b, 4000)
	}
	b = str(array(b, 1), "m1")
	if version >= 3 {
		b = str(b, "instance")
	}
	b = str(str(b, "client"), "/127.0.0.1")
	if version >= 1 {
		b = appendInt32(b, 30_000)
	}
	b = blob(blob(appendInt32(b, 10_000), []byte("sub")), []byte("part"))
	if version >= 4 {
		b = append(b, 0, 0)
	}
	return b
}

func TestSubscriptionTopics(t *testing.T) {
	topics, err := subscriptionTopics(subscriptionOf("t"))
	if err != nil || !reflect.DeepEqual(topics, []string{"t"}) {
		t.Errorf("%v, %v", topics, err)
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "garbage": []byte("garbage"), "negative version": {0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"claims more": {0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, 't'}, "no user data": {0, 0, 0, 0, 0, 1, 0, 1, 't'},
	} {
		if topics, err := subscriptionTopics(bad); err == nil {
			t.Errorf("%s: %v", name, topics)
		}
	}
}

// TestPartitionOf compares with what Java's String.hashCode gives.
func TestPartitionOf(t *testing.T) {
	for group, want := range map[string]int32{
		"":                   0,
		"abc":                96354 % 50,
		"my-group":           12,
		"polygenelubricants": 0, // hashCode is Integer.MIN_VALUE
		"ä":                  228 % 50,
		"😀":                  (0xd83d*31 + 0xde00) % 50,
	} {
		if got := partitionOf(group, 50); got != want {
			t.Errorf("partitionOf(%q) = %d, want %d", group, got, want)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, v := range []int16{0, 1, 2, 3, 4} {
		f.Add(groupKey("g"), groupOfVersion(v))
	}
	f.Add(offsetKey("g", protocol.TopicPartition{Topic: "t"}), offsetValue(offsetValueVersion, committed{offset: 5, expireTime: 7}))
	f.Add(offsetKey("g", protocol.TopicPartition{Topic: "t"}), []byte{0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 15})
	f.Add([]byte{0, 9, 0, 1}, []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		b := record.NewBuilder(record.None)
		b.Add(1, key, value)
		r := newReplay()
		if err := r.batch(b.Build()); err != nil {
			t.Fatal(err)
		}
		for id, g := range r.build(0, &rules{}, 0) {
			// What was read must be written in a way that reads the same.
			again, err := decodeGroup(groupValue(groupValueVersion, g, g.assignments()))
			if err != nil || again.generation != g.generation || len(again.members) != len(g.members) {
				t.Errorf("group %q: %v", id, err)
			}
			for tp, o := range g.offsets {
				if o2, err := decodeOffset(offsetValue(offsetValueVersion, o.committed)); err != nil || o2.offset != o.offset || o2.metadata != o.metadata {
					t.Errorf("offset of %s: %+v became %+v, %v", tp, o.committed, o2, err)
				}
			}
		}
	})
}

func FuzzSubscriptionTopics(f *testing.F) {
	f.Add(subscriptionOf("t"))
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, metadata []byte) {
		if topics, err := subscriptionTopics(metadata); err == nil && len(topics) > len(metadata) {
			t.Errorf("%d topics of %d bytes", len(topics), len(metadata))
		}
	})
}
