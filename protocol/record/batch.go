// Package record is the vocabulary of record batches (magic 2): view, iterate, validate, build, compress.
//
// A batch (org.apache.kafka.common.record.DefaultRecordBatch; all integers big-endian):
//
//	 0 baseOffset           int64
//	 8 batchLength          int32   bytes after this field
//	12 partitionLeaderEpoch int32   set by the broker
//	16 magic                int8    2
//	17 crc                  uint32  CRC-32C of everything from 21 on
//	21 attributes           int16   0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//	23 lastOffsetDelta      int32
//	27 baseTimestamp        int64
//	35 maxTimestamp         int64
//	43 producerId           int64   -1 none
//	51 producerEpoch        int16   -1 none
//	53 baseSequence         int32   -1 none
//	57 count                int32
//	61 records              compressed as one block when the codec is not 0
//
// A record (DefaultRecord; varints are zigzag):
//
//	length varint, attributes int8, timestampDelta varlong, offsetDelta varint,
//	key length varint (-1 null), key, value length varint (-1 null), value,
//	header count varint, of each: key length varint, key, value length varint (-1 null), value
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Offsets and sizes of the fixed part of a batch.
const (
	LogOverhead   = 12 // baseOffset + batchLength
	BatchOverhead = 61 // everything before the records

	lengthAt          = 8
	leaderEpochAt     = 12
	magicAt           = 16
	crcAt             = 17
	attributesAt      = 21
	lastOffsetDeltaAt = 23
	baseTimestampAt   = 27
	maxTimestampAt    = 35
	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	countAt           = 57

	codecMask        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
	knownAttributes  = 0x7f // the bits that keep their meaning when attributes are written anew
)

// NoTimestamp is the timestamp of a record that has none.
const NoTimestamp = -1

// minLength is the smallest length of any message format: that of an empty message of magic 0.
const minLength = 14

// Errors of Split and Each.
var (
	// ErrIncomplete: the bytes end before the batch does.
	ErrIncomplete = errors.New("incomplete record batch")
	// ErrCorrupt: the bytes are no batch. Wrapped with what is wrong.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrOldMagic is the ErrCorrupt of message formats 0 and 1, which Kafka answers INVALID_RECORD to where it expects a batch.
	ErrOldMagic = fmt.Errorf("%w: message format 0 or 1", ErrCorrupt)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is the bytes of exactly one complete v2 batch. Accessors do not check; a Batch comes from Split, or from bytes that were validated.
type Batch []byte

func (b Batch) int16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b Batch) int32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) int64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

// BaseOffset is the offset of the batch's first record, or was before compaction.
func (b Batch) BaseOffset() int64 { return b.int64(0) }

// LastOffset is the offset of the batch's last record, or was before compaction.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// PartitionLeaderEpoch is the epoch of the leader that appended the batch; -1 as a client sends it.
func (b Batch) PartitionLeaderEpoch() int32 { return b.int32(leaderEpochAt) }

// CRC is the stored checksum.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

// Attributes are all sixteen bits.
func (b Batch) Attributes() int16 { return b.int16(attributesAt) }

// Codec may be 5 to 7, which no codec has.
func (b Batch) Codec() Codec { return Codec(b[attributesAt+1] & codecMask) }

// LogAppendTime is the timestamp type bit: every record has the timestamp MaxTimestamp.
func (b Batch) LogAppendTime() bool { return b[attributesAt+1]&logAppendTimeBit != 0 }

// Transactional is set on the batches of transactions, their markers included.
func (b Batch) Transactional() bool { return b[attributesAt+1]&transactionalBit != 0 }

// Control is set on batches that consumers do not get to see: transaction markers.
func (b Batch) Control() bool { return b[attributesAt+1]&controlBit != 0 }

// LastOffsetDelta is the offset of the last record relative to the base offset.
func (b Batch) LastOffsetDelta() int32 { return b.int32(lastOffsetDeltaAt) }

// BaseTimestamp is what the records' timestamp deltas count from, in milliseconds.
func (b Batch) BaseTimestamp() int64 { return b.int64(baseTimestampAt) }

// MaxTimestamp is the largest timestamp of the records in milliseconds, or the time of the append with LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return b.int64(maxTimestampAt) }

// ProducerID is -1 when the producer is not idempotent.
func (b Batch) ProducerID() int64 { return b.int64(producerIDAt) }

// ProducerEpoch is -1 when the producer is not idempotent.
func (b Batch) ProducerEpoch() int16 { return b.int16(producerEpochAt) }

// BaseSequence is the sequence number of the first record, -1 for none.
func (b Batch) BaseSequence() int32 { return b.int32(baseSequenceAt) }

// LastSequence is the sequence number of the last record, -1 for none. Sequence numbers wrap from 2^31-1 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == -1 {
		return -1
	}
	return int32((int64(base) + int64(b.LastOffsetDelta())) & math.MaxInt32)
}

// Count is the number of records; 0 in a batch that compaction emptied and kept for its producer's state.
func (b Batch) Count() int32 { return b.int32(countAt) }

// SetBaseOffset stands outside the CRC.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b, uint64(o)) }

// SetLeaderEpoch stands outside the CRC.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(e)) }

// VerifyCRC reports whether the stored checksum is that of the bytes.
func (b Batch) VerifyCRC() bool {
	return len(b) >= BatchOverhead && b.CRC() == crc32.Checksum(b[attributesAt:], castagnoli)
}

// setCRC stores the checksum of the bytes as they are.
func (b Batch) setCRC() {
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
}

// setMaxTimestamp stores timestamp type and maximum and a new CRC, if they differ from what is stored. As in Kafka, only then attribute
// bits that mean nothing are cleared.
func (b Batch) setMaxTimestamp(logAppendTime bool, max int64) {
	if b.LogAppendTime() == logAppendTime && b.MaxTimestamp() == max {
		return
	}
	attributes := b.Attributes() & knownAttributes &^ logAppendTimeBit
	if logAppendTime {
		attributes |= logAppendTimeBit
	}
	binary.BigEndian.PutUint16(b[attributesAt:], uint16(attributes))
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(max))
	b.setCRC()
}

// Split cuts the first whole batch off set. Errors: ErrIncomplete when set ends early, ErrCorrupt for a length under the
// minimum or a magic other than 2 (ErrOldMagic for 0 and 1). It does not verify the CRC.
func Split(set []byte) (b Batch, rest []byte, err error) {
	if len(set) < LogOverhead {
		return nil, set, ErrIncomplete
	}
	length := int(int32(binary.BigEndian.Uint32(set[lengthAt:])))
	if length < minLength {
		return nil, set, fmt.Errorf("%w: length %d", ErrCorrupt, length)
	}
	if len(set) <= magicAt {
		return nil, set, ErrIncomplete
	}
	switch magic := int8(set[magicAt]); {
	case magic == 0 || magic == 1:
		return nil, set, ErrOldMagic
	case magic != 2:
		return nil, set, fmt.Errorf("%w: magic %d", ErrCorrupt, magic)
	}
	size := LogOverhead + length
	if size < BatchOverhead {
		return nil, set, fmt.Errorf("%w: size %d is less than the %d of an empty batch", ErrCorrupt, size, BatchOverhead)
	}
	if len(set) < size {
		return nil, set, ErrIncomplete
	}
	return Batch(set[:size:size]), set[size:], nil
}
