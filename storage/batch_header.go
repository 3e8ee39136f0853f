package storage

import (
	"encoding/binary"
	"math"

	"gregor/protocol/record"
)

// Message sets of formats 0 and 1, which may still lie in an old log:
//
//	0  offset   int64   absolute; of a compressed wrapper: the last offset inside
//	8  size     int32   bytes after this field
//	12 crc      uint32  CRC-32 (IEEE) from magic to the end
//	16 magic    int8
//	17 attributes int8
//	18 timestamp int64  format 1 only
//
// They are kept, recovered and served as they are; only their fields above are read.
const (
	minSizeV0     = 14
	minSizeV1     = 22
	minSizeV2     = record.BatchOverhead - record.LogOverhead
	headerPeek    = record.BatchOverhead // bytes that parseHeader wants; an older message may have fewer
	noTimestamp   = -1
	noProducerID  = -1
	noSequence    = -1
	noEpoch       = -1
	attrTxn       = 1 << 4
	attrControl   = 1 << 5
	crcStart      = 21 // first byte under the CRC of a version 2 batch
	crcStartOld   = 16
	magicPosition = 16
)

// batchHeader is what the log needs of a batch without touching its records.
type batchHeader struct {
	position      int64 // in the file
	size          int64 // whole, with the 12 bytes of offset and length
	baseOffset    int64
	lastOffset    int64
	magic         int8
	crc           uint32
	leaderEpoch   int32 // -1 unknown
	attributes    int16
	maxTimestamp  int64
	producerID    int64
	producerEpoch int16
	baseSequence  int32
	lastSequence  int32
}

func (h *batchHeader) end() int64          { return h.position + h.size }
func (h *batchHeader) control() bool       { return h.magic >= 2 && h.attributes&attrControl != 0 }
func (h *batchHeader) transactional() bool { return h.magic >= 2 && h.attributes&attrTxn != 0 }

// parseHeader reads the head of a batch at position. b holds up to headerPeek bytes of it, less at the end of the file.
// ok is false when the bytes cannot be the head of a batch.
func parseHeader(b []byte, position int64, h *batchHeader) (ok bool) {
	if len(b) < record.LogOverhead+minSizeV0 {
		return false
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	*h = batchHeader{
		position: position, size: record.LogOverhead + length,
		baseOffset: int64(binary.BigEndian.Uint64(b)), magic: int8(b[magicPosition]),
		leaderEpoch: noEpoch, maxTimestamp: noTimestamp, producerID: noProducerID, producerEpoch: noEpoch,
		baseSequence: noSequence, lastSequence: noSequence,
	}
	if h.baseOffset < 0 {
		return false
	}
	switch h.magic {
	case 2:
		return length >= minSizeV2 && parseHeaderV2(b, h)
	case 1:
		if length < minSizeV1 || len(b) < 26 {
			return false
		}
		h.maxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
		fallthrough
	case 0:
		h.lastOffset = h.baseOffset
		h.crc = binary.BigEndian.Uint32(b[12:])
		h.attributes = int16(b[17])
		return length >= minSizeV0
	}
	return false
}

func parseHeaderV2(b []byte, h *batchHeader) bool {
	if len(b) < record.BatchOverhead {
		return false
	}
	delta := int32(binary.BigEndian.Uint32(b[23:]))
	if delta < 0 || h.baseOffset > math.MaxInt64-int64(delta) {
		return false
	}
	h.lastOffset = h.baseOffset + int64(delta)
	h.leaderEpoch = int32(binary.BigEndian.Uint32(b[12:]))
	h.crc = binary.BigEndian.Uint32(b[17:])
	h.attributes = int16(binary.BigEndian.Uint16(b[21:]))
	h.maxTimestamp = int64(binary.BigEndian.Uint64(b[35:]))
	h.producerID = int64(binary.BigEndian.Uint64(b[43:]))
	h.producerEpoch = int16(binary.BigEndian.Uint16(b[51:]))
	h.baseSequence = int32(binary.BigEndian.Uint32(b[53:]))
	h.lastSequence = lastSequence(h.baseSequence, delta)
	return true
}

// lastSequence is the sequence number delta records after base; after 2^31-1 comes 0 (DefaultRecordBatch.incrementSequence).
func lastSequence(base, delta int32) int32 {
	if base == noSequence {
		return noSequence
	}
	if base > math.MaxInt32-delta {
		return delta - (math.MaxInt32 - base) - 1
	}
	return base + delta
}
