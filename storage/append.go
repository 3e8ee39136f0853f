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

// appendWork is the scratch memory of an append, pooled so that a warm one allocates nothing.
type appendWork struct {
	validation record.Validation
	validated  record.Validated
	header     batchHeader
}

var appendWorks = sync.Pool{New: func() any { return new(appendWork) }}

// AppendAsLeader validates one batch (outside the lock), checks sizes and producer state, assigns offsets and the
// leader epoch in place, rolls when due, and writes once. set begins with the batch; bytes behind it that are no whole
// batch are dropped.
//
// Errors: *record.ValidationError; protocol.ErrorCode values as they go on the wire (MESSAGE_TOO_LARGE,
// RECORD_LIST_TOO_LARGE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, ...), possibly wrapped; ErrStorage,
// after which the directory is offline. After an error nothing has changed.
func (l *Log) AppendAsLeader(set []byte, leaderEpoch int32, origin Origin, out *AppendResult) error {
	if err := l.usable(); err != nil {
		return err
	}
	batch, err := SingleBatch(set)
	if err != nil {
		return err
	}
	cfg := l.Config()
	if len(batch) > int(cfg.MaxMessageBytes) {
		return tooLarge(len(batch), cfg)
	}
	w := appendWorks.Get().(*appendWork)
	defer appendWorks.Put(w)
	w.validation = l.validation(cfg, origin)
	w.validated = record.Validated{}
	if err := record.Validate(batch, &w.validation, &w.validated); err != nil {
		return err
	}
	batch, w.validated.Batch = w.validated.Batch, nil
	if w.validated.Rebuilt && len(batch) > int(cfg.MaxMessageBytes) {
		return tooLarge(len(batch), cfg)
	}
	if len(batch) > int(cfg.SegmentBytes) {
		return fmt.Errorf("a batch of %d bytes does not fit segment.bytes %d: %w", len(batch), cfg.SegmentBytes,
			protocol.RecordListTooLarge)
	}
	out.LogAppendTimeMs, out.Duplicate = w.validated.LogAppendTimeMs, false
	epochChanged, err := l.appendLeaderBatch(batch, &w.header, leaderEpoch, origin, out)
	if err != nil {
		return err
	}
	if epochChanged {
		if err := l.saveEpochs(); err != nil {
			return err
		}
	}
	return l.flushIfDue(cfg)
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

// appendLeaderBatch is the part of AppendAsLeader under the lock.
func (l *Log) appendLeaderBatch(b record.Batch, h *batchHeader, leaderEpoch int32, origin Origin, out *AppendResult) (epochChanged bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	base := l.logEnd.Load()
	b.SetBaseOffset(base)
	b.SetLeaderEpoch(leaderEpoch)
	if !parseHeader(b, 0, h) || h.size != int64(len(b)) {
		return false, &record.ValidationError{Code: protocol.InvalidRecord, Cause: "the batch does not end where it says"}
	}
	out.LogStartOffset = l.logStart.Load()
	if origin == FromClient && h.producerID >= 0 {
		first, duplicate, err := l.mu.producers.check(h)
		if err != nil {
			return false, err
		}
		if duplicate {
			out.BaseOffset, out.LastOffset = first.firstOffset(), first.lastOffset
			out.LogAppendTimeMs, out.Duplicate = first.timestamp, true
			return false, nil
		}
	}
	marker := (*txnMarker)(nil)
	if h.control() {
		marker = parseTxnMarker(b)
	}
	if err := l.writeLocked(b, base, h.lastOffset, h.maxTimestamp); err != nil {
		return false, l.failed("append", err)
	}
	if err := l.noteBatchLocked(h, marker); err != nil {
		return false, l.failed("append", err)
	}
	epochChanged = l.epochs.assign(leaderEpoch, base)
	l.advanceLocked(h.size, h.lastOffset+1)
	l.mu.unflushed += h.lastOffset - base + 1
	out.BaseOffset, out.LastOffset = base, h.lastOffset
	return epochChanged, nil
}

// writeLocked rolls when due and writes whole batches behind the active segment's end with one call. The bytes do not
// count until advanceLocked.
func (l *Log) writeLocked(b []byte, firstOffset, lastOffset, maxTimestamp int64) error {
	if err := l.rollIfDueLocked(int64(len(b)), firstOffset, lastOffset, maxTimestamp); err != nil {
		return err
	}
	s := l.segments.Load().active()
	f := s.writing()
	if f == nil {
		var err error
		if f, err = l.openActiveLocked(s); err != nil {
			return err
		}
	}
	at := s.size.Load()
	s.reserveAhead(f, at+int64(len(b)), int64(l.Config().SegmentBytes))
	_, err := f.WriteAt(b, at)
	return err
}

// noteBatchLocked enters a written batch into indexes, tail and producer state. h.position counts from the beginning
// of the write.
func (l *Log) noteBatchLocked(h *batchHeader, marker *txnMarker) error {
	s := l.segments.Load().active()
	h.position += s.size.Load()
	if err := s.noteBatch(h, int64(l.Config().IndexIntervalBytes)); err != nil {
		return err
	}
	l.tail.add(h)
	if h.producerID < 0 {
		return nil
	}
	return l.applyLocked(h, marker, s)
}

// applyLocked takes a batch into the producer state, and an aborted transaction into the segment's index.
func (l *Log) applyLocked(h *batchHeader, marker *txnMarker, s *segment) error {
	return applyBatch(&l.mu.producers, h, marker, s)
}

// applyBatch is applyLocked for a state that is being built.
func applyBatch(p *producerState, h *batchHeader, marker *txnMarker, s *segment) error {
	ended, wasOpen := p.apply(h, marker)
	if !wasOpen || marker.commit || s == nil {
		return nil
	}
	return s.appendAbortedTxn(abortedTxn{ended.producerID, ended.first, ended.last, p.stableAfter(ended)})
}

// advanceLocked makes the bytes that were written part of the log, which now ends at end.
func (l *Log) advanceLocked(bytes, end int64) {
	size := l.segments.Load().active().size.Add(bytes)
	l.tail.advance(size, end)
	l.publishUnstableLocked()
	l.logEnd.Store(end)
}
