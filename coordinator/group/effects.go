package group

import (
	"fmt"
	"log/slog"

	"gregor/protocol"
)

// effects is what an event asks of the world around the state machine. The shell carries them out after it has let go of the
// group: answers first, then writes, in order.
type effects struct {
	joins   []joinReply
	syncs   []syncReply
	commits []commitReply
	writes  []*write
	logs    []logLine
	// removed says that the group is Dead with nothing left to write: the shell forgets it.
	removed bool
}

// A waiter takes exactly one answer. It has room for it, so that answering never blocks, also when nobody waits any more.
type waiter[T any] chan T

func newWaiter[T any]() waiter[T] { return make(waiter[T], 1) }

type joinReply struct {
	to     waiter[joinAnswer]
	answer joinAnswer
}

type syncReply struct {
	to     waiter[syncAnswer]
	answer syncAnswer
}

type commitReply struct {
	to   waiter[protocol.ErrorCode]
	code protocol.ErrorCode
}

// joinAnswer is the outcome of a JoinGroup. A nil protocolType or protocol is null on the wire.
type joinAnswer struct {
	code           protocol.ErrorCode
	memberID       string
	generation     int32
	protocolType   *string
	protocol       *string
	leader         string
	skipAssignment bool // KIP-814: the leader must not run its assignor
	members        []joinedMember
}

// joinedMember is one line of the list that only the leader gets.
type joinedMember struct {
	id         string
	instanceID *string
	metadata   []byte
}

// joinError is the answer that refuses a JoinGroup.
func joinError(memberID string, code protocol.ErrorCode) joinAnswer {
	return joinAnswer{code: code, memberID: memberID, generation: noGeneration}
}

// syncAnswer is the outcome of a SyncGroup.
type syncAnswer struct {
	code         protocol.ErrorCode
	protocolType *string
	protocol     *string
	assignment   []byte
}

// A write is an atomic set of records for the group's partition. The writes of a group reach the log in the order in which
// its state machine made them, so that replaying the log gives the state back.
type write struct {
	records []keyValue
	bytes   int // of keys and values
	// done is called once, with the group in hand, after the append: code is None when the records are committed, else an
	// error of the produce path.
	done func(g *group, now int64, code protocol.ErrorCode, out *effects)
}

// keyValue is one record. A nil value is a tombstone.
type keyValue struct{ key, value []byte }

func (w *write) add(key, value []byte) {
	w.records = append(w.records, keyValue{key, value})
	w.bytes += len(key) + len(value)
}

type logLine struct {
	level slog.Level
	text  string
}

func (out *effects) join(to waiter[joinAnswer], a joinAnswer) {
	out.joins = append(out.joins, joinReply{to, a})
}

func (out *effects) sync(to waiter[syncAnswer], a syncAnswer) {
	out.syncs = append(out.syncs, syncReply{to, a})
}

func (out *effects) commit(to waiter[protocol.ErrorCode], code protocol.ErrorCode) {
	out.commits = append(out.commits, commitReply{to, code})
}

func (out *effects) logf(level slog.Level, format string, args ...any) {
	out.logs = append(out.logs, logLine{level, fmt.Sprintf(format, args...)})
}

func (out *effects) infof(format string, args ...any) { out.logf(slog.LevelInfo, format, args...) }
func (out *effects) warnf(format string, args ...any) { out.logf(slog.LevelWarn, format, args...) }
