package sim

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/storage"
)

// simLog is a log in memory that behaves as *storage.Log does (disk_model_test.go compares them). Each batch is one record, whose value is a number
// that no other record of the schedule has.
type simLog struct {
	node   *node
	tp     protocol.TopicPartition
	id     protocol.TopicID
	config *storage.LogConfig
	dir    string

	records []stored // from base on
	base    int64    // offset of records[0]
	start   int64
	hw      int64
	epochs  []epochStart

	flushed    int64 // everything below survives a power failure
	checkpoint int64 // the high watermark that the next life begins with
	closed     bool  // the process that had it open is dead
	leading    int32 // the leader epoch that the replica leads, notLeading otherwise
}

const notLeading = -1

// stored is one record as it is on disk.
type stored struct {
	epoch  int32
	number uint64
	chain  uint64 // depends on this record and all before it: equal chains, equal prefixes
}

type epochStart struct {
	epoch int32
	start int64
}

var errProcessDead = errors.New("the process that had this log open is dead")

// batchSize is the size of every batch: the fixed part, and the number.
const batchSize = record.BatchOverhead + 8

// newBatch is a record set of one batch, as a producer sends it. Only what the simulated log reads is filled in.
func newBatch(number uint64) []byte {
	set := make([]byte, batchSize)
	binary.BigEndian.PutUint32(set[8:], batchSize-record.LogOverhead)
	set[16] = 2
	binary.BigEndian.PutUint32(set[57:], 1)
	binary.BigEndian.PutUint64(set[record.BatchOverhead:], number)
	return set
}

// encode appends a stored record as it travels.
func (l *simLog) encode(dst []byte, offset int64) []byte {
	r := l.records[offset-l.base]
	set := newBatch(r.number)
	binary.BigEndian.PutUint64(set, uint64(offset))
	binary.BigEndian.PutUint32(set[12:], uint32(r.epoch))
	return append(dst, set...)
}

func (l *simLog) usable() error {
	if l.closed {
		return errProcessDead
	}
	return nil
}

func (l *simLog) end() int64 { return l.base + int64(len(l.records)) }

// chainAt identifies the log up to and including offset; ok is false when it does not reach that far.
func (l *simLog) chainAt(offset int64) (chain uint64, ok bool) {
	if offset < l.base || offset >= l.end() {
		return 0, false
	}
	return l.records[offset-l.base].chain, true
}

func (l *simLog) put(epoch int32, number uint64) {
	offset := l.end()
	before, known := l.chainAt(offset - 1)
	r := stored{epoch: epoch, number: number, chain: mix(before, epoch, number)}
	r.chain = l.node.world.rules.appended(l, offset, r, known || offset == 0)
	l.records = append(l.records, r)
	l.assign(epoch, offset)
}

// mix hashes a prefix and its next record (the finalizer of MurmurHash3).
func mix(prefix uint64, epoch int32, number uint64) uint64 {
	h := prefix ^ number<<20 ^ uint64(uint32(epoch))
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33 | 1
}

func (l *simLog) AppendAllAsLeader(batches []storage.Append, leaderEpoch int32, _ storage.Origin) {
	for i := range batches {
		a := &batches[i]
		if a.Err = l.usable(); a.Err != nil {
			continue
		}
		offset := l.end()
		l.put(leaderEpoch, binary.BigEndian.Uint64(a.Set[record.BatchOverhead:]))
		a.LeaderEpoch = leaderEpoch
		a.AppendResult = storage.AppendResult{BaseOffset: offset, LastOffset: offset, LogAppendTimeMs: -1, LogStartOffset: l.start}
	}
}

func (l *simLog) AppendAsFollower(set []byte) error {
	if err := l.usable(); err != nil {
		return err
	}
	for ; len(set) >= batchSize; set = set[batchSize:] {
		offset := int64(binary.BigEndian.Uint64(set))
		switch {
		case offset < l.end():
			return fmt.Errorf("offset %d lies before the log end %d", offset, l.end())
		case offset > l.end() && len(l.records) > 0:
			return fmt.Errorf("offset %d leaves a gap behind the log end %d", offset, l.end())
		case offset > l.end():
			l.base = offset
		}
		l.put(int32(binary.BigEndian.Uint32(set[12:])), binary.BigEndian.Uint64(set[record.BatchOverhead:]))
	}
	return nil
}

// Read finds batches, but fills in their size only: who answers the fetch takes them with encode.
func (l *simLog) Read(offset int64, maxBytes int, maxOffset int64, minOneBatch bool, out *storage.ReadResult) error {
	*out = storage.ReadResult{BaseOffset: l.base}
	if err := l.usable(); err != nil {
		return err
	}
	if offset < l.start || offset > l.end() {
		return fmt.Errorf("offset %d is outside [%d, %d]: %w", offset, l.start, l.end(), protocol.OffsetOutOfRange)
	}
	n := min(int64(maxBytes)/batchSize, maxOffset-offset)
	if n == 0 && minOneBatch && maxOffset > offset {
		n = 1
	}
	out.Slice.Size = int(max(n, 0)) * batchSize
	return nil
}

func (l *simLog) Flush() error {
	l.flushed = l.end()
	return l.usable()
}

func (l *simLog) FlushDue() error { return l.usable() }

func (l *simLog) CommitBound() int64      { return l.end() }
func (l *simLog) LogStartOffset() int64   { return l.start }
func (l *simLog) HighWatermark() int64    { return l.hw }
func (l *simLog) LastStableOffset() int64 { return l.hw }
func (l *simLog) LogEndOffset() int64     { return l.end() }

func (l *simLog) SetHighWatermark(o int64) int64 {
	o = max(min(o, l.end()), l.start)
	if o > l.hw && l.usable() == nil {
		l.hw = o
		l.node.world.rules.watermark(l)
	}
	return l.hw
}

func (l *simLog) IncrementLogStartOffset(o int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if o > l.hw {
		return fmt.Errorf("the log start cannot pass the high watermark %d: %w", l.hw, protocol.OffsetOutOfRange)
	}
	if o > l.start {
		l.start = o
		l.truncateHead(o)
	}
	return nil
}

func (l *simLog) TruncateTail(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	switch {
	case offset < 0:
		return fmt.Errorf("cannot truncate to %d: %w", offset, protocol.OffsetOutOfRange)
	case offset >= l.end():
		l.truncateEpochs(l.end())
		return nil
	case offset < l.base:
		return l.TruncateFullyAndStartAt(offset)
	}
	l.records = l.records[:offset-l.base]
	l.truncateEpochs(offset)
	l.start, l.hw, l.flushed, l.checkpoint = min(l.start, offset), min(l.hw, offset), min(l.flushed, offset), min(l.checkpoint, offset)
	l.node.world.rules.truncated(l)
	return nil
}

func (l *simLog) TruncateFullyAndStartAt(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.records, l.epochs = nil, nil
	l.base, l.start, l.hw, l.flushed, l.checkpoint = offset, offset, offset, offset, offset
	l.node.world.rules.truncated(l)
	return nil
}

func (l *simLog) OffsetForTimestamp(int64, int64) (storage.TimestampOffset, error) {
	return storage.TimestampOffset{Offset: -1, Timestamp: -1}, l.usable()
}

func (l *simLog) OffsetOfMaxTimestamp() (storage.TimestampOffset, error) {
	return storage.TimestampOffset{Offset: -1, Timestamp: -1}, l.usable()
}

func (l *simLog) AbortedTxns(int64, int64) []storage.AbortedTxn { return nil }
func (l *simLog) ActiveProducers() []storage.ProducerState      { return nil }
func (l *simLog) Config() *storage.LogConfig                    { return l.config }
func (l *simLog) Dir() string                                   { return l.dir }
func (l *simLog) Size() int64                                   { return int64(len(l.records)) * batchSize }
func (l *simLog) TopicID() protocol.TopicID                     { return l.id }
func (l *simLog) SetTopicID(id protocol.TopicID) error          { l.id = id; return l.usable() }
func (l *simLog) TopicPartition() protocol.TopicPartition       { return l.tp }
