package load

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where the fields of a record batch (message format 2) lie, in bytes from its start.
const (
	batchCRC           = 17
	batchAttributes    = 21 // the checksum covers everything from here on
	batchBaseTimestamp = 27
	batchMaxTimestamp  = 35
	batchProducerID    = 43
	batchBaseSequence  = 53
	batchCount         = 57
	batchHeader        = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch makes an uncompressed batch of count records with values of size bytes each, which do not compress, and no keys.
func Batch(count, size int) []byte {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(uint32(i+1) * 2654435761 >> 13)
	}
	var records []byte
	for i := range count {
		body := []byte{0, 0}
		body = binary.AppendVarint(body, int64(i))
		body = binary.AppendVarint(body, -1)
		body = binary.AppendVarint(body, int64(size))
		body = append(append(body, value...), 0)
		records = binary.AppendVarint(records, int64(len(body)))
		records = append(records, body...)
	}
	be, now := binary.BigEndian, uint64(time.Now().UnixMilli())
	b := make([]byte, batchHeader, batchHeader+len(records))
	be.PutUint32(b[8:], uint32(batchHeader-12+len(records)))
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	be.PutUint32(b[23:], uint32(count-1))
	be.PutUint64(b[batchBaseTimestamp:], now)
	be.PutUint64(b[batchMaxTimestamp:], now)
	be.PutUint64(b[batchProducerID:], 1<<64-1)
	be.PutUint16(b[51:], 0xffff)
	be.PutUint32(b[batchBaseSequence:], 0xffffffff)
	be.PutUint32(b[batchCount:], uint32(count))
	b = append(b, records...)
	seal(b)
	return b
}

// seal writes a batch's checksum.
func seal(batch []byte) {
	binary.BigEndian.PutUint32(batch[batchCRC:], crc32.Checksum(batch[batchAttributes:], castagnoli))
}

// Stamp gives all records of a batch one timestamp, in milliseconds since the epoch: what tells two batches of the same content apart.
func Stamp(batch []byte, timestamp int64) {
	binary.BigEndian.PutUint64(batch[batchBaseTimestamp:], uint64(timestamp))
	binary.BigEndian.PutUint64(batch[batchMaxTimestamp:], uint64(timestamp))
	seal(batch)
}

// identify gives a batch its place in the sequence of an idempotent producer (KIP-98).
func identify(batch []byte, producer int64, sequence int32) {
	binary.BigEndian.PutUint64(batch[batchProducerID:], uint64(producer))
	binary.BigEndian.PutUint16(batch[51:], 0) // the epoch of an id that has just been given out
	binary.BigEndian.PutUint32(batch[batchBaseSequence:], uint32(sequence))
	seal(batch)
}

// ProduceFrame is a Produce request (version 7) with the same batch for each of the partitions of a topic.
func ProduceFrame(topic string, acks int16, batch []byte, partitions ...int32) []byte {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = 7, acks, 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		tp := kmsg.NewProduceRequestTopicPartition()
		tp.Partition, tp.Records = p, batch
		t.Partitions = append(t.Partitions, tp)
	}
	r.Topics = append(r.Topics, t)
	return Frame(1, r)
}

// ProduceAnswer reads the answer to a ProduceFrame: the first error code that is not zero, -1 when the answer makes no sense, and the offset that the
// last partition's batch got.
func ProduceAnswer(body []byte) (code int16, baseOffset int64) {
	const each = 4 + 2 + 8 + 8 + 8 // partition, error code, base offset, append time, log start offset
	be := binary.BigEndian
	if len(body) < 6 {
		return -1, -1
	}
	at := 6 + int(be.Uint16(body[4:]))
	if len(body) < at+4 {
		return -1, -1
	}
	n := int(be.Uint32(body[at:]))
	at += 4
	if be.Uint32(body) != 1 || n < 1 || len(body) < at+n*each {
		return -1, -1
	}
	for ; n > 0; n-- {
		if code := int16(be.Uint16(body[at+4:])); code != 0 {
			return code, -1
		}
		baseOffset = int64(be.Uint64(body[at+6:]))
		at += each
	}
	return 0, baseOffset
}
