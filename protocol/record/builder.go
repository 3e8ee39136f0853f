package record

import (
	"encoding/binary"
	"fmt"
)

// Builder makes one batch. The zero value with fields set is ready.
type Builder struct {
	Codec         Codec
	Level         int // DefaultLevel: the codec's default
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	LogAppendTime bool // the timestamp type; the batch's timestamp is then the largest that was added

	buf           []byte // the batch, uncompressed, its first BatchOverhead bytes unset
	count         int32
	baseTimestamp int64
	maxTimestamp  int64
}

// NewBuilder returns a builder without producer id (-1, -1, -1).
func NewBuilder(c Codec) *Builder {
	return &Builder{Codec: c, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
}

// Add appends a record with an absolute timestamp in milliseconds.
func (w *Builder) Add(timestampMs int64, key, value []byte, headers ...Header) {
	if w.count == 0 {
		w.begin(timestampMs)
	}
	delta := timestampMs - w.baseTimestamp
	w.buf = appendRecord(w.buf, delta, w.count, key, value, headers)
	w.maxTimestamp = max(w.maxTimestamp, timestampMs)
	w.count++
}

// begin makes room for the fixed part.
func (w *Builder) begin(baseTimestamp int64) {
	if w.buf == nil {
		w.buf = make([]byte, 0, 512)
	}
	w.buf = append(w.buf[:0], make([]byte, BatchOverhead)...)
	w.baseTimestamp, w.maxTimestamp = baseTimestamp, NoTimestamp
}

// appendRecord appends one record of a batch.
func appendRecord(dst []byte, timestampDelta int64, offsetDelta int32, key, value []byte, headers []Header) []byte {
	size := 1 + varintLen(timestampDelta) + varintLen(int64(offsetDelta)) + bytesLen(key) + bytesLen(value) + varintLen(int64(len(headers)))
	for i := range headers {
		size += varintLen(int64(len(headers[i].Key))) + len(headers[i].Key) + bytesLen(headers[i].Value)
	}
	dst = appendVarint(dst, int64(size))
	dst = append(dst, 0) // attributes: none are in use
	dst = appendVarint(dst, timestampDelta)
	dst = appendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = appendVarint(dst, int64(len(headers)))
	for i := range headers {
		dst = appendVarint(dst, int64(len(headers[i].Key)))
		dst = append(dst, headers[i].Key...)
		dst = appendBytes(dst, headers[i].Value)
	}
	return dst
}

// bytesLen is the size of bytes behind their length; nil is null.
func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return varintLen(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

// Len is the number of records so far.
func (w *Builder) Len() int { return int(w.count) }

// Size is the number of bytes of the uncompressed batch so far.
func (w *Builder) Size() int {
	if w.count == 0 {
		return BatchOverhead
	}
	return len(w.buf)
}

// Build returns the batch with base offset 0 and leader epoch -1 and resets the builder. The result is the caller's. Without records it is
// an empty batch, as compaction leaves them.
func (w *Builder) Build() Batch {
	b, err := w.build()
	if err != nil {
		// Compressors write to memory and have no other reason to fail than a setting that is not among those they are given.
		panic("record: " + err.Error())
	}
	return b
}

func (w *Builder) build() (Batch, error) {
	if w.count == 0 {
		w.begin(NoTimestamp)
	}
	b := Batch(w.buf)
	if w.Codec != None {
		var err error
		b = make(Batch, BatchOverhead, BatchOverhead+64+(len(w.buf)-BatchOverhead)/2)
		if b, err = appendCompressed(w.Codec, w.Level, b, w.buf[BatchOverhead:]); err != nil {
			return nil, fmt.Errorf("compress with %s: %w", w.Codec, err)
		}
		w.buf = w.buf[:0]
	} else {
		w.buf = nil
	}
	w.writeHeader(b)
	w.count = 0
	return b, nil
}

func (w *Builder) writeHeader(b Batch) {
	attributes := uint16(w.Codec) & codecMask
	if w.LogAppendTime {
		attributes |= logAppendTimeBit
	}
	if w.Transactional {
		attributes |= transactionalBit
	}
	if w.Control {
		attributes |= controlBit
	}
	b.SetBaseOffset(0)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	b.SetLeaderEpoch(-1)
	b[magicAt] = 2
	binary.BigEndian.PutUint16(b[attributesAt:], attributes)
	binary.BigEndian.PutUint32(b[lastOffsetDeltaAt:], uint32(max(w.count-1, 0)))
	binary.BigEndian.PutUint64(b[baseTimestampAt:], uint64(w.baseTimestamp))
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(w.maxTimestamp))
	binary.BigEndian.PutUint64(b[producerIDAt:], uint64(w.ProducerID))
	binary.BigEndian.PutUint16(b[producerEpochAt:], uint16(w.ProducerEpoch))
	binary.BigEndian.PutUint32(b[baseSequenceAt:], uint32(w.BaseSequence))
	binary.BigEndian.PutUint32(b[countAt:], uint32(w.count))
	b.setCRC()
}
