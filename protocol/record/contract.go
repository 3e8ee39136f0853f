// Package record is the vocabulary of record batches (magic 2): view, iterate, validate, build, compress.
package record

// CONTRACT (stub; the owner splits this into files, replaces the panics and deletes this line).

import "gregor/protocol"

// Codec is a compression type as in the low three bits of a batch's attributes.
type Codec int8

const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// Offsets and sizes of the fixed part of a batch.
const (
	LogOverhead   = 12 // baseOffset + batchLength
	BatchOverhead = 61 // everything before the records
)

// Batch is the bytes of exactly one complete v2 batch. Accessors do not check; a Batch comes from Split, or from bytes that were validated.
type Batch []byte

func (b Batch) BaseOffset() int64           { panic("stub") }
func (b Batch) LastOffset() int64           { panic("stub") }
func (b Batch) PartitionLeaderEpoch() int32 { panic("stub") }
func (b Batch) Magic() int8                 { panic("stub") }
func (b Batch) CRC() uint32                 { panic("stub") }
func (b Batch) Attributes() int16           { panic("stub") }
func (b Batch) Codec() Codec                { panic("stub") }
func (b Batch) LogAppendTime() bool         { panic("stub") } // timestamp type bit
func (b Batch) Transactional() bool         { panic("stub") }
func (b Batch) Control() bool               { panic("stub") }
func (b Batch) LastOffsetDelta() int32      { panic("stub") }
func (b Batch) BaseTimestamp() int64        { panic("stub") }
func (b Batch) MaxTimestamp() int64         { panic("stub") }
func (b Batch) ProducerID() int64           { panic("stub") }
func (b Batch) ProducerEpoch() int16        { panic("stub") }
func (b Batch) BaseSequence() int32         { panic("stub") }
func (b Batch) LastSequence() int32         { panic("stub") } // wraps at 2^31-1 to 0
func (b Batch) Count() int32                { panic("stub") }
func (b Batch) SetBaseOffset(o int64)       { panic("stub") } // outside the CRC
func (b Batch) SetLeaderEpoch(e int32)      { panic("stub") } // outside the CRC
func (b Batch) VerifyCRC() bool             { panic("stub") }

// Split cuts the first whole batch off set. Errors: ErrIncomplete when set ends early, ErrCorrupt for a length under the
// minimum or a magic other than 2. It does not verify the CRC.
func Split(set []byte) (b Batch, rest []byte, err error) { panic("stub") }

// Header is one record header. A nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Nil Key or Value is null.
type Record struct {
	Attributes     int8
	TimestampDelta int64 // to the batch's base timestamp
	OffsetDelta    int32
	Key, Value     []byte
	Headers        []Header
}

// Each calls fn for every record, decompressing with bounded memory (maxDecompressed bytes in all; <= 0 takes a default of 512 MiB).
// Key and Value alias a buffer that is only valid during the call. It stops at the first error of fn.
func (b Batch) Each(maxDecompressed int, fn func(Record) error) error { panic("stub") }

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
}

func (e *ValidationError) Error() string { return e.Code.String() + ": " + e.Message }

// Validated is the outcome. Batch is the input, patched in place, or a rebuilt batch in a fresh buffer (Rebuilt). Base offset and leader
// epoch are not set yet: the log does that under its lock.
type Validated struct {
	Batch              Batch
	Rebuilt            bool
	MaxTimestamp       int64
	OffsetOfMaxTsDelta int32 // offset delta of the record that bears MaxTimestamp (last offset delta for LogAppendTime)
	LogAppendTimeMs    int64 // -1 with CreateTime
}

// Validate checks and, where the configuration asks for it, rewrites one batch as LogValidator does. Warm calls for an uncompressed or
// pass-through batch allocate nothing.
func Validate(b Batch, v *Validation, out *Validated) error { panic("stub") }

// Builder makes one batch. The zero value with fields set is ready.
type Builder struct {
	Codec         Codec
	Level         int // 0: the codec's default
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	LogAppendTime bool
	// unexported state below
}

// NewBuilder returns a builder without producer id (-1, -1, -1).
func NewBuilder(c Codec) *Builder { panic("stub") }

// Add appends a record with an absolute timestamp in milliseconds.
func (w *Builder) Add(timestampMs int64, key, value []byte, headers ...Header) { panic("stub") }

// Len is the number of records so far; Size the bytes of the uncompressed batch so far.
func (w *Builder) Len() int  { panic("stub") }
func (w *Builder) Size() int { panic("stub") }

// Build returns the batch with base offset 0 and leader epoch -1 and resets the builder. The result is the caller's.
func (w *Builder) Build() Batch { panic("stub") }
