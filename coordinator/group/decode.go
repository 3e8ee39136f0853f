package group

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gregor/protocol"
)

// The decoders read every version of the records of __consumer_offsets: the ones of older brokers (from 0.8.2 on) and the
// flexible version 4, which a broker of 3.9 reads though no one writes it. They bound what they allocate by the bytes that
// are there, and nothing that they return aliases their input.

var errShort = errors.New("record ends early")

// reader takes a record apart. After the first error it returns zeroes.
type reader struct {
	rest     []byte
	flexible bool
	err      error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.rest) {
		r.fail(errShort)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// uvarint reads an unsigned varint of at most 32 bits.
func (r *reader) uvarint() uint32 {
	v, n := binary.Uvarint(r.rest)
	if r.err != nil || n <= 0 || v > 1<<32-1 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	return uint32(v)
}

// length reads the length of a string (short), of bytes or of an array; -1 is null.
func (r *reader) length(short bool) int {
	switch {
	case r.flexible:
		return int(r.uvarint()) - 1
	case short:
		return int(r.int16())
	default:
		return int(r.int32())
	}
}

func (r *reader) nullableString() *string {
	n := r.length(true)
	if n == -1 || r.err != nil {
		return nil
	}
	if n > maxString {
		r.fail(errors.New("string longer than 32767 bytes"))
	}
	s := string(r.take(n))
	return &s
}

func (r *reader) string() string {
	s := r.nullableString()
	if s == nil {
		r.fail(errors.New("null for a string that may not be null"))
		return ""
	}
	return *s
}

func (r *reader) bytes() []byte {
	n := r.length(false)
	if n == -1 {
		r.fail(errors.New("null for bytes that may not be null"))
	}
	return append([]byte{}, r.take(n)...)
}

// tags skips the tagged fields at the end of a flexible struct.
func (r *reader) tags() {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		r.uvarint()
		r.take(int(r.uvarint()))
	}
}

// version reads the leading version and refuses one that is not known: its bytes mean nothing to us.
func (r *reader) version(what string, highest int16) int16 {
	v := r.int16()
	if r.err == nil && (v < 0 || v > highest) {
		r.fail(fmt.Errorf("%s of unknown version %d", what, v))
	}
	return v
}

// recordKey is what a record of __consumer_offsets is about.
type recordKey struct {
	kind  keyKind
	group string
	tp    protocol.TopicPartition // of an offset
}

type keyKind int8

const (
	unknownKey keyKind = iota // of a later protocol (ConsumerGroup*, ShareGroup*): to be skipped
	offsetRecord
	groupRecord
)

// decodeKey reads a key. An unknown type is no error.
func decodeKey(key []byte) (recordKey, error) {
	r := reader{rest: key}
	var k recordKey
	switch version := r.int16(); {
	case r.err != nil:
	case version == 0 || version == offsetKeyVersion:
		k.kind = offsetRecord
		k.group = r.string()
		k.tp.Topic = r.string()
		k.tp.Partition = r.int32()
	case version == groupKeyVersion:
		k.kind = groupRecord
		k.group = r.string()
	}
	if r.err != nil {
		return recordKey{}, fmt.Errorf("key: %w", r.err)
	}
	return k, nil
}

// decodeOffset reads an OffsetCommitValue of version 0 to 4.
func decodeOffset(value []byte) (committed, error) {
	r := reader{rest: value}
	o := committed{leaderEpoch: -1, expireTime: noTime}
	version := r.version("OffsetCommitValue", 4)
	r.flexible = version >= 4
	o.offset = r.int64()
	if version >= 3 {
		o.leaderEpoch = r.int32()
	}
	o.metadata = r.string()
	o.commitTime = r.int64()
	if version == offsetValueVersionRetention {
		o.expireTime = r.int64()
	}
	r.tags()
	if r.err != nil {
		return committed{}, fmt.Errorf("OffsetCommitValue: %w", r.err)
	}
	return o, nil
}

// loadedGroup is a GroupMetadataValue.
type loadedGroup struct {
	protocolType   string
	generation     int32
	protocol       *string
	leader         string
	stateTimestamp int64
	members        []*member
}

// decodeGroup reads a GroupMetadataValue of version 0 to 4.
func decodeGroup(value []byte) (*loadedGroup, error) {
	r := reader{rest: value}
	version := r.version("GroupMetadataValue", 4)
	r.flexible = version >= 4
	g := &loadedGroup{stateTimestamp: noTime}
	g.protocolType = r.string()
	g.generation = r.int32()
	g.protocol = r.nullableString()
	if leader := r.nullableString(); leader != nil {
		g.leader = *leader
	}
	if version >= 2 {
		g.stateTimestamp = r.int64()
	}
	n := r.length(false)
	if n < 0 {
		r.fail(errors.New("null for members"))
	}
	for ; n > 0 && r.err == nil; n-- {
		g.members = append(g.members, r.member(version, g.protocol))
	}
	r.tags()
	if r.err != nil {
		return nil, fmt.Errorf("GroupMetadataValue: %w", r.err)
	}
	return g, nil
}

// member reads one member, who supports the protocol that the group agreed on, as far as the log knows.
func (r *reader) member(version int16, protocol *string) *member {
	m := &member{id: r.string(), deadline: never}
	if version >= 3 {
		m.instanceID = r.nullableString()
	}
	m.clientID = r.string()
	m.clientHost = r.string()
	if version >= 1 {
		m.rebalanceTimeoutMs = r.int32()
	}
	m.sessionTimeoutMs = r.int32()
	if version == 0 {
		m.rebalanceTimeoutMs = m.sessionTimeoutMs
	}
	subscription := r.bytes()
	m.assignment = r.bytes()
	r.tags()
	if protocol != nil {
		m.protocols = []memberProtocol{{*protocol, subscription}}
	}
	return m
}

// subscriptionTopics reads the topics of a ConsumerProtocolSubscription. Every version of it begins like version 0: an int16
// version and an array of topics.
func subscriptionTopics(metadata []byte) ([]string, error) {
	r := reader{rest: metadata}
	if v := r.int16(); v < 0 {
		r.fail(fmt.Errorf("negative version %d", v))
	}
	n := r.length(false)
	if n < 0 {
		r.fail(errors.New("null for topics"))
	}
	var topics []string
	for ; n > 0 && r.err == nil; n-- {
		topics = append(topics, r.string())
	}
	// The user data follows in every version; without it the subscription is cut short.
	if n := r.length(false); n >= 0 {
		r.take(n)
	}
	if r.err != nil {
		return nil, fmt.Errorf("subscription: %w", r.err)
	}
	return topics, nil
}

// controlType reads the key of a control record: int16 version, int16 type (0 ABORT, 1 COMMIT).
func controlType(key []byte) (commit bool, err error) {
	r := reader{rest: key}
	r.int16()
	commit = r.int16() == 1
	return commit, r.err
}
