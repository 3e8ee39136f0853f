package group

import (
	"encoding/binary"
	"math"

	"gregor/protocol"
)

// The records of __consumer_offsets, as Apache Kafka 3.9 writes them. All numbers are big endian; a string is an int16 length
// and bytes, -1 for null; bytes and arrays have an int32 length.
//
//	OffsetCommitKey v1     int16 1, group string, topic string, partition int32
//	OffsetCommitValue v3   int16 3, offset int64, leaderEpoch int32, metadata string, commitTimestamp int64
//	OffsetCommitValue v2   v3 without leaderEpoch
//	OffsetCommitValue v1   int16 1, offset int64, metadata string, commitTimestamp int64, expireTimestamp int64
//	GroupMetadataKey v2    int16 2, group string
//	GroupMetadataValue v3  int16 3, protocolType string, generation int32, protocol string?, leader string?,
//	                       currentStateTimestamp int64, members [memberId string, groupInstanceId string?, clientId string,
//	                       clientHost string, rebalanceTimeout int32, sessionTimeout int32, subscription bytes, assignment bytes]
//	GroupMetadataValue v2  v3 without groupInstanceId; v1 also without currentStateTimestamp
//
// A null value is a tombstone. Older values are written while inter.broker.protocol.version says that a broker of an older
// release may have to read them: see Config.
const (
	offsetKeyVersion            = 1
	groupKeyVersion             = 2
	offsetValueVersion          = 3
	offsetValueVersionRetention = 1 // the only one with an expireTimestamp
	groupValueVersion           = 3
)

func appendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// maxString is the longest string that a record can hold. Flexible requests may carry longer ones: they are refused where
// they come in.
const maxString = math.MaxInt16

func appendString(b []byte, s string) []byte {
	return append(appendInt16(b, int16(len(s))), s...)
}

func appendNullableString(b []byte, s *string) []byte {
	if s == nil {
		return appendInt16(b, -1)
	}
	return appendString(b, *s)
}

func appendBytes(b, v []byte) []byte { return append(appendInt32(b, int32(len(v))), v...) }

// offsetKey is the key of the record that holds the committed offset of a group for a partition.
func offsetKey(group string, tp protocol.TopicPartition) []byte {
	b := make([]byte, 0, 2+2+len(group)+2+len(tp.Topic)+4)
	b = appendInt16(b, offsetKeyVersion)
	b = appendString(b, group)
	b = appendString(b, tp.Topic)
	return appendInt32(b, tp.Partition)
}

// offsetValue is the committed offset in a version of 1 to 3. One with a retention of its own is always written as version 1,
// which knows no leader epoch.
func offsetValue(version int16, o committed) []byte {
	b := make([]byte, 0, 2+8+4+2+len(o.metadata)+8+8)
	if o.expireTime != noTime || version == offsetValueVersionRetention {
		b = appendInt16(b, offsetValueVersionRetention)
		b = appendInt64(b, o.offset)
		b = appendString(b, o.metadata)
		b = appendInt64(b, o.commitTime)
		return appendInt64(b, o.expireTime)
	}
	b = appendInt16(b, version)
	b = appendInt64(b, o.offset)
	if version >= 3 {
		b = appendInt32(b, o.leaderEpoch)
	}
	b = appendString(b, o.metadata)
	return appendInt64(b, o.commitTime)
}

// groupKey is the key of the record that holds a group's members.
func groupKey(group string) []byte {
	return appendString(appendInt16(make([]byte, 0, 2+2+len(group)), groupKeyVersion), group)
}

// groupValue is the state of a group, in a version of 1 to 3, with an assignment by member id, which may not be the members'
// yet.
func groupValue(version int16, g *group, assignment map[string][]byte) []byte {
	b := appendInt16(nil, version)
	b = appendString(b, g.protocolType)
	b = appendInt32(b, g.generation)
	b = appendNullableString(b, g.protocol)
	leader := &g.leader
	if g.leader == "" {
		leader = nil
	}
	b = appendNullableString(b, leader)
	if version >= 2 {
		b = appendInt64(b, g.stateTimestamp)
	}
	b = appendInt32(b, int32(len(g.members)))
	for _, m := range g.ordered() {
		b = appendString(b, m.id)
		if version >= 3 {
			b = appendNullableString(b, m.instanceID)
		}
		b = appendString(b, m.clientID)
		b = appendString(b, m.clientHost)
		b = appendInt32(b, m.rebalanceTimeoutMs)
		b = appendInt32(b, m.sessionTimeoutMs)
		b = appendBytes(b, m.metadata(g.protocol))
		b = appendBytes(b, assignment[m.id])
	}
	return b
}
