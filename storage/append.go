package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"gregor/protocol"
	"gregor/protocol/record"
)

// Origin says who made a batch.
type Origin int8

const (
	FromClient      Origin = iota // a Produce request
	FromCoordinator               // a coordinator's own records: sequences are not checked
)

// AppendResult describes an append. Duplicate: the batch is one of the last five of its producer, nothing was written,
// and offsets and time are those of the first time.
type AppendResult struct {
	BaseOffset      int64
	LastOffset      int64
	LogAppendTimeMs int64 // -1 with CreateTime
	LogStartOffset  int64
	Duplicate       bool
}

// Append is one batch of AppendAllAsLeader: Set goes in, everything else comes out.
type Append struct {
	Set []byte // begins with the batch; bytes behind it that are no whole batch are dropped
	AppendResult
	LeaderEpoch int32 // that the batch was appended in
	Err         error // nil: it is in the log

	batch  record.Batch // Set, checked and perhaps rebuilt
	header batchHeader
	joined bool // it is in the run that is written next, or in one that was
}

// appendWork is the scratch memory of appends, pooled so that a warm one allocates nothing.
type appendWork struct {
	validation record.Validation
	validated  record.Validated
	run        appendRun
}

var appendWorks = sync.Pool{New: func() any { return new(appendWork) }}

// AppendAsLeader is AppendAllAsLeader for one batch, whose Err it returns.
func (l *Log) AppendAsLeader(set []byte, leaderEpoch int32, origin Origin, out *AppendResult) error {
	one := [1]Append{{Set: set}}
	l.AppendAllAsLeader(one[:], leaderEpoch, origin)
	*out = one[0].AppendResult
	return one[0].Err
}

// AppendAllAsLeader appends batches in the order in which they are given, and each as if it came alone: an error of one is its own. A batch is validated (outside
// the lock), its size and its producer's state are checked, offsets and the leader epoch are assigned in place, and the log rolls when that is due. Batches that go
// into one segment are written with one call, and become visible together. FlushDue has to follow before they are acknowledged.
//
// Errors, in Err: *record.ValidationError; protocol.ErrorCode values as they go on the wire (MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE,
// OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, ...), possibly wrapped; ErrStorage, after which the directory is offline. After any other error
// the batch has changed nothing.
func (l *Log) AppendAllAsLeader(batches []Append, leaderEpoch int32, origin Origin) {
	w := appendWorks.Get().(*appendWork)
	defer appendWorks.Put(w)
	cfg := l.Config()
	for i := range batches {
		a := &batches[i]
		a.LeaderEpoch, a.Duplicate, a.joined = leaderEpoch, false, false
		if a.Err = l.usable(); a.Err == nil {
			a.Err = l.prepare(a, cfg, origin, w)
		}
	}
	if err := l.appendPrepared(batches, origin, &w.run); err != nil {
		failAll(batches, err)
	}
}

// failAll gives an error that is about the log to all batches that have none of their own.
func failAll(batches []Append, err error) {
	for i := range batches {
		if batches[i].Err == nil {
			batches[i].Err = err
		}
	}
}

// prepare validates a batch and leaves it in a.batch as it is to be stored.
func (l *Log) prepare(a *Append, cfg *LogConfig, origin Origin, w *appendWork) error {
	batch, err := SingleBatch(a.Set)
	if err != nil {
		return err
	}
	if len(batch) > int(cfg.MaxMessageBytes) {
		return tooLarge(len(batch), cfg)
	}
	w.validation = l.validation(cfg, origin)
	w.validated = record.Validated{}
	if err := record.Validate(batch, &w.validation, &w.validated); err != nil {
		return err
	}
	a.batch, w.validated.Batch = w.validated.Batch, nil
	if w.validated.Rebuilt && len(a.batch) > int(cfg.MaxMessageBytes) {
		return tooLarge(len(a.batch), cfg)
	}
	if len(a.batch) > int(cfg.SegmentBytes) {
		return fmt.Errorf("a batch of %d bytes does not fit segment.bytes %d: %w", len(a.batch), cfg.SegmentBytes,
			protocol.RecordListTooLarge)
	}
	a.LogAppendTimeMs = w.validated.LogAppendTimeMs
	return nil
}

func tooLarge(size int, cfg *LogConfig) error {
	return fmt.Errorf("a batch of %d bytes exceeds max.message.bytes %d: %w", size, cfg.MaxMessageBytes, protocol.MessageTooLarge)
}

// SingleBatch cuts the batch off a Produce request's record set and refuses what a broker refuses before it looks at the
// records (ByteBufferLogInputStream, ProduceRequest.validateRecords). The two errors with a message are those that
// Kafka answers with one.
func SingleBatch(set []byte) (record.Batch, error) {
	invalid := func(cause string) error { return &record.ValidationError{Code: protocol.InvalidRecord, Cause: cause} }
	corrupted := func(format string, v int) error {
		return &record.ValidationError{Code: protocol.CorruptMessage, Message: fmt.Sprintf(format, v)}
	}
	if len(set) <= magicPosition {
		return nil, invalid("no whole batch")
	}
	length, magic := int(int32(binary.BigEndian.Uint32(set[8:]))), int8(set[magicPosition])
	if length < minSizeV0 {
		return nil, corrupted("Record size %d is less than the minimum record overhead (14)", length)
	}
	if magic < 0 || magic > 2 {
		return nil, corrupted("Invalid magic found in record: %d", int(magic))
	}
	if len(set) < record.LogOverhead+length {
		return nil, invalid("the batch is incomplete")
	}
	if magic < 2 {
		return nil, invalid("message format 0 or 1")
	}
	batch, rest, err := record.Split(set)
	if err != nil {
		return nil, &record.ValidationError{Code: protocol.CorruptMessage, Cause: err.Error()}
	}
	if _, _, err := record.Split(rest); err == nil || errors.Is(err, record.ErrOldMagic) {
		return nil, invalid("more than one batch")
	}
	return batch, nil
}

func (l *Log) validation(cfg *LogConfig, origin Origin) record.Validation {
	v := record.Validation{
		Topic: l.tp.Topic, Compacted: cfg.Compact,
		GzipLevel: cfg.GzipLevel, LZ4Level: cfg.LZ4Level, ZstdLevel: cfg.ZstdLevel,
		LogAppendTime: cfg.LogAppendTime, TimestampBeforeMaxMs: cfg.TimestampBeforeMaxMs,
		TimestampAfterMaxMs: cfg.TimestampAfterMaxMs, NowMs: l.manager.nowMs(), FromClient: origin == FromClient,
	}
	switch cfg.CompressionType {
	case "gzip":
		v.TargetCodec = record.Gzip
	case "snappy":
		v.TargetCodec = record.Snappy
	case "lz4":
		v.TargetCodec = record.LZ4
	case "zstd":
		v.TargetCodec = record.Zstd
	case "uncompressed":
		v.TargetCodec = record.None
	default:
		v.KeepProducerCodec = true
	}
	return v
}
