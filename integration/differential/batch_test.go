package differential

import (
	"encoding/binary"
	"hash/crc32"
)

// batch describes a record batch of magic 2, right or wrong: every field can be set against the rules. Zero values make a right batch
// through newBatch.
type batch struct {
	baseOffset      int64
	leaderEpoch     int32
	magic           int8
	attributes      int16
	lastOffsetDelta int32
	baseTimestamp   int64
	maxTimestamp    int64
	producerID      int64
	producerEpoch   int16
	baseSequence    int32
	count           int32
	payload         []byte // the records, compressed or not
	sizeError       int32  // added to the length field
	crcError        uint32 // added to the CRC
}

// record is one record of a batch.
type record struct {
	attributes  int8
	timeDelta   int64
	offsetDelta int32
	key, value  []byte // nil is null
	headers     [][2]string
}

// newBatch builds a right batch of records; their offset deltas are counted up.
func newBatch(records ...record) batch {
	b := batch{
		leaderEpoch: -1, magic: 2, lastOffsetDelta: int32(len(records) - 1), baseTimestamp: base, maxTimestamp: base,
		producerID: -1, producerEpoch: -1, baseSequence: -1, count: int32(len(records)),
	}
	for i, r := range records {
		r.offsetDelta = int32(i)
		b.payload = r.append(b.payload)
		b.maxTimestamp = max(b.maxTimestamp, base+r.timeDelta)
	}
	return b
}

// values builds one record per value, without keys.
func values(vs ...string) []record {
	out := make([]record, len(vs))
	for i, v := range vs {
		out[i] = record{value: []byte(v), timeDelta: int64(i)}
	}
	return out
}

func (r record) append(dst []byte) []byte {
	b := []byte{byte(r.attributes)}
	b = binary.AppendVarint(b, r.timeDelta)
	b = binary.AppendVarint(b, int64(r.offsetDelta))
	b = appendVarBytes(b, r.key)
	b = appendVarBytes(b, r.value)
	b = binary.AppendVarint(b, int64(len(r.headers)))
	for _, h := range r.headers {
		b = appendVarBytes(b, []byte(h[0]))
		b = appendVarBytes(b, []byte(h[1]))
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func appendVarBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bytes encodes the batch.
func (b batch) bytes() []byte {
	be := binary.BigEndian
	out := make([]byte, batchHeaderSize, batchHeaderSize+len(b.payload))
	be.PutUint64(out, uint64(b.baseOffset))
	be.PutUint32(out[8:], uint32(int32(batchHeaderSize-12+len(b.payload))+b.sizeError))
	be.PutUint32(out[12:], uint32(b.leaderEpoch))
	out[16] = byte(b.magic)
	be.PutUint16(out[21:], uint16(b.attributes))
	be.PutUint32(out[23:], uint32(b.lastOffsetDelta))
	be.PutUint64(out[27:], uint64(b.baseTimestamp))
	be.PutUint64(out[35:], uint64(b.maxTimestamp))
	be.PutUint64(out[43:], uint64(b.producerID))
	be.PutUint16(out[51:], uint16(b.producerEpoch))
	be.PutUint32(out[53:], uint32(b.baseSequence))
	be.PutUint32(out[57:], uint32(b.count))
	out = append(out, b.payload...)
	be.PutUint32(out[17:], crc32.Checksum(out[21:], castagnoli)+b.crcError)
	return out
}

// oldMessage encodes one message of format 0 or 1 without a key.
func oldMessage(magic int8, value string) []byte {
	be := binary.BigEndian
	body := []byte{byte(magic), 0}
	if magic == 1 {
		body = be.AppendUint64(body, uint64(base))
	}
	body = be.AppendUint32(body, 0xffffffff)
	body = be.AppendUint32(body, uint32(len(value)))
	body = append(body, value...)
	out := be.AppendUint64(nil, 0)
	out = be.AppendUint32(out, uint32(4+len(body)))
	out = be.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}
