package record

import (
	"errors"
	"fmt"
	"sync"

	"gregor/protocol"
)

// Validation says what LogValidator of Apache Kafka 3.9 checks and changes for a batch sent by a client (magic 2 only).
type Validation struct {
	Topic                string
	Compacted            bool  // null keys are refused
	TargetCodec          Codec // what the log stores
	KeepProducerCodec    bool  // compression.type=producer: TargetCodec is ignored
	GzipLevel, LZ4Level  int   // compression.*.level
	ZstdLevel            int   //
	LogAppendTime        bool  // message.timestamp.type
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	NowMs                int64
	FromClient           bool // false for batches that the broker made itself (coordinators): control bits are allowed
}

// level is the configured level of the codec the log stores.
func (v *Validation) level(c Codec) int {
	switch c {
	case Gzip:
		return v.GzipLevel
	case LZ4:
		return v.LZ4Level
	case Zstd:
		return v.ZstdLevel
	}
	return DefaultLevel
}

// RecordError is one refused record of a batch: INVALID_TIMESTAMP or INVALID_RECORD with their RecordErrors list.
type RecordError struct {
	BatchIndex int32
	Message    string
}

// ValidationError refuses a batch.
type ValidationError struct {
	Code    protocol.ErrorCode
	Message string // "" is null on the wire
	Records []RecordError
	Cause   string // for the log: what was wrong where Kafka leaves Message null
}

func (e *ValidationError) Error() string {
	if e.Message == "" {
		return e.Code.String() + ": " + e.Cause
	}
	return e.Code.String() + ": " + e.Message
}

// refuse makes an error without a message on the wire.
func refuse(code protocol.ErrorCode, format string, args ...any) error {
	return &ValidationError{Code: code, Cause: fmt.Sprintf(format, args...)}
}

// Validated is the outcome. Batch is the input, patched in place, or a rebuilt batch in a fresh buffer (Rebuilt). Base offset and leader
// epoch are not set yet: the log does that under its lock.
type Validated struct {
	Batch              Batch
	Rebuilt            bool
	MaxTimestamp       int64
	OffsetOfMaxTsDelta int32 // offset delta of the record that bears MaxTimestamp (last offset delta for LogAppendTime)
	LogAppendTimeMs    int64 // -1 with CreateTime
}

const (
	// maxRebuild bounds what a batch that has to be rebuilt may decompress to: all of it is in memory at once. No batch that large
	// could have come uncompressed, as requests are limited to 100 MiB by default.
	maxRebuild = 128 << 20
	// maxRecordErrors bounds the list of refused records in an answer.
	maxRecordErrors = 10000
)

// Validate checks and, where the configuration asks for it, rewrites one batch as LogValidator does. Warm calls for an uncompressed or
// pass-through batch allocate nothing. Errors are *ValidationError; b may then no longer be used.
//
// Known differences from Apache Kafka: a compressed record whose length does not match its fields is refused (Kafka stores it where it need not
// rebuild the batch, and no consumer can read it); a batch that decompresses to more than 512 MiB, or 128 MiB when it has to be rebuilt, is
// MESSAGE_TOO_LARGE; at most 10000 refused records are listed.
func Validate(b Batch, v *Validation, out *Validated) error {
	if err := checkBatch(b, v); err != nil {
		return err
	}
	source, target := b.Codec(), v.TargetCodec
	if v.KeepProducerCodec || source == None && b.Control() {
		target = source // control records are not compressed unless they come so
	}
	s := scanners.Get().(*scanner)
	defer s.release()
	if err := s.scan(b, v); err != nil {
		return scanError(b.Codec(), err)
	}
	if len(s.refused) > 0 {
		return s.refusal()
	}
	if source != target {
		return rebuild(b, v, target, out)
	}
	if s.gaps && source != None {
		// Kafka means to rebuild these as well, but has skipped the keys and values by then and fails.
		return refuse(protocol.UnknownServerError, "offsets of compressed records have gaps")
	}
	*out = Validated{Batch: b, MaxTimestamp: s.maxTimestamp, OffsetOfMaxTsDelta: s.maxTimestampDelta, LogAppendTimeMs: -1}
	if v.LogAppendTime {
		out.MaxTimestamp, out.LogAppendTimeMs, out.OffsetOfMaxTsDelta = v.NowMs, v.NowMs, b.LastOffsetDelta()
	}
	b.setMaxTimestamp(v.LogAppendTime, out.MaxTimestamp)
	return nil
}

// checkBatch checks what does not need the records.
func checkBatch(b Batch, v *Validation) error {
	if len(b) < BatchOverhead {
		return refuse(protocol.CorruptMessage, "%d bytes are less than an empty batch has", len(b))
	}
	if v.FromClient && b.BaseOffset() != 0 {
		return refuse(protocol.InvalidRecord, "base offset %d where 0 is due", b.BaseOffset())
	}
	if !b.VerifyCRC() {
		return refuse(protocol.CorruptMessage, "CRC is not %08x", b.CRC())
	}
	if b.Codec() > Zstd {
		return refuse(protocol.UnknownServerError, "no codec has the number %d", b.Codec())
	}
	count, last := b.Count(), b.LastOffsetDelta()
	if !v.FromClient {
		if count < 0 {
			return refuse(protocol.InvalidRecord, "record count %d", count)
		}
		return nil
	}
	switch {
	case last < 0:
		return refuse(protocol.InvalidRecord, "last offset delta %d", last)
	case count <= 0:
		return refuse(protocol.InvalidRecord, "record count %d", count)
	case int64(last)+1 != int64(count):
		return refuse(protocol.InvalidRecord, "record count %d with last offset delta %d", count, last)
	case b.Control():
		return refuse(protocol.InvalidRecord, "a client may not write control records")
	case b.ProducerID() > -1 && b.BaseSequence() < 0:
		return refuse(protocol.InvalidRecord, "sequence %d of producer %d", b.BaseSequence(), b.ProducerID())
	}
	return nil
}

// scanError turns what is wrong with the records as a whole into a code. Kafka takes an end that comes too early for a wrong count, and
// everything else a decompressor complains about, and a length that it cannot read, for an unexpected error.
func scanError(source Codec, err error) error {
	var broken *undecodableError
	switch {
	case errors.Is(err, errTooLarge):
		return refuse(protocol.MessageTooLarge, "%v", err)
	case errors.As(err, &broken), errors.Is(err, errBadLength) && source == None:
		return refuse(protocol.UnknownServerError, "%v", err)
	}
	return refuse(protocol.InvalidRecord, "%v", err)
}

var builders = sync.Pool{New: func() any { return new(Builder) }}

// rebuild writes the batch anew in another codec, with record offsets that have no gaps.
func rebuild(b Batch, v *Validation, target Codec, out *Validated) error {
	if err := checkProducer(b); err != nil {
		return err
	}
	w := builders.Get().(*Builder)
	defer func() {
		*w = Builder{buf: w.buf[:0]}
		if cap(w.buf) <= keepWhole {
			builders.Put(w)
		}
	}()
	*w = Builder{
		Codec: target, Level: v.level(target),
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: b.Transactional(), Control: b.Control(), buf: w.buf,
	}
	*out = Validated{Rebuilt: true, MaxTimestamp: NoTimestamp, OffsetOfMaxTsDelta: -1, LogAppendTimeMs: -1}
	err := b.Each(maxRebuild, func(r Record) error {
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		if b.LogAppendTime() {
			timestamp = b.MaxTimestamp()
		}
		if timestamp < NoTimestamp {
			return refuse(protocol.UnknownServerError, "negative timestamp %d", timestamp)
		}
		if timestamp > out.MaxTimestamp {
			out.MaxTimestamp, out.OffsetOfMaxTsDelta = timestamp, w.count
		}
		w.Add(timestamp, r.Key, r.Value, r.Headers...)
		return nil
	})
	var refused *ValidationError
	if errors.As(err, &refused) {
		return refused
	} else if err != nil {
		return scanError(b.Codec(), err)
	}
	if v.LogAppendTime {
		out.MaxTimestamp, out.LogAppendTimeMs, out.OffsetOfMaxTsDelta = v.NowMs, v.NowMs, w.count-1
		w.LogAppendTime, w.maxTimestamp = true, v.NowMs
	}
	if out.Batch, err = w.build(); err != nil {
		return refuse(protocol.UnknownServerError, "%v", err)
	}
	return nil
}

// checkProducer checks what Kafka's builder of batches insists on, and the log does not.
func checkProducer(b Batch) error {
	switch {
	case b.ProducerID() == -1 && b.Transactional():
		return refuse(protocol.UnknownServerError, "a transactional batch without producer id")
	case b.ProducerID() != -1 && (b.ProducerEpoch() == -1 || b.BaseSequence() < 0 && !b.Control()):
		return refuse(protocol.UnknownServerError, "producer %d with epoch %d and sequence %d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
	}
	return nil
}
