// Package storage keeps partitions' logs on disk in Apache Kafka's own files, and all logs of a broker.
package storage

// CONTRACT (stub; the owner splits this into files, replaces the panics and deletes this line).

import (
	"log/slog"
	"os"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
)

// LogConfig is the effective configuration of one topic: names and units of the topic-level keys (kafka-surface.md §6.1).
type LogConfig struct {
	SegmentBytes                int32
	SegmentMs                   int64
	SegmentJitterMs             int64
	SegmentIndexBytes           int32
	IndexIntervalBytes          int32
	FlushMessages               int64
	FlushMs                     int64
	RetentionBytes              int64
	RetentionMs                 int64
	FileDeleteDelayMs           int64
	MaxMessageBytes             int32
	Compact, Delete             bool // cleanup.policy
	CompressionType             string
	GzipLevel, LZ4Level         int
	ZstdLevel                   int
	LogAppendTime               bool // message.timestamp.type
	TimestampBeforeMaxMs        int64
	TimestampAfterMaxMs         int64
	MinInsyncReplicas           int32
	UncleanLeaderElectionEnable bool
	Preallocate                 bool
}

// ManagerConfig is what a broker tells the log manager. Functions may be called from any goroutine.
type ManagerConfig struct {
	Dirs                       []string // absolute
	Logger                     func(name string) *slog.Logger
	Clock                      func() time.Time
	TopicConfig                func(topic string) LogConfig // effective configuration, asked at load and creation
	InitialDefault             LogConfig
	RetentionCheckInterval     time.Duration
	FlushOffsetCheckpoint      time.Duration
	FlushStartOffsetCheckpoint time.Duration
	HighWatermarkCheckpoint    time.Duration
	FlushSchedulerInterval     time.Duration
	RecoveryThreadsPerDir      int
	ProducerIDExpirationMs     func() int64
	OnDirFailure               func(dir string, err error) // called once per directory, after its logs are closed
}

// Manager owns the log directories.
type Manager struct{}

// MetaProperties is meta.properties, version 0.
type MetaProperties struct {
	ClusterID string
	BrokerID  int32 // -1 when absent
	Present   bool
}

// Open locks every directory (an error names Kafka's message for a held lock; see ecosystem.md §3.6), creates missing ones, and reads meta.properties.
// A directory that cannot be used goes offline; when none is left Open fails. No log is loaded yet.
func Open(cfg ManagerConfig) (*Manager, error) { panic("stub") }

// Meta returns meta.properties of each online directory, by directory.
func (m *Manager) Meta() map[string]MetaProperties { panic("stub") }

// WriteMeta writes meta.properties where it is missing or differs (tmp, fsync, rename).
func (m *Manager) WriteMeta(p MetaProperties) error { panic("stub") }

// Load opens all logs, recovering where the clean-shutdown marker is missing, and starts the background work (retention, flush, checkpoints).
func (m *Manager) Load() error { panic("stub") }

// CreateOptions for GetOrCreate.
type CreateOptions struct {
	TopicID protocol.TopicID
	IsNew   bool // may be created although a directory is offline (LeaderAndIsr isNew)
}

// GetOrCreate returns the log, creating its directory on the online dir with the fewest logs. Errors: ErrStorage when it may live on an offline directory.
func (m *Manager) GetOrCreate(tp protocol.TopicPartition, o CreateOptions) (*Log, error) {
	panic("stub")
}

// Get returns nil when there is no such log online.
func (m *Manager) Get(tp protocol.TopicPartition) *Log { panic("stub") }

// Logs lists all online logs.
func (m *Manager) Logs() []*Log { panic("stub") }

// Delete renames the directory to its -delete name at once and removes it after file.delete.delay.ms.
func (m *Manager) Delete(tp protocol.TopicPartition) error { panic("stub") }

// UpdateConfig applies a new effective configuration to all logs of a topic.
func (m *Manager) UpdateConfig(topic string, c LogConfig) { panic("stub") }

// HasOfflineDirs and DirOf help the broker answer KAFKA_STORAGE_ERROR.
func (m *Manager) HasOfflineDirs() bool { panic("stub") }

// DirInfo is one log directory for DescribeLogDirs.
type DirInfo struct {
	Path                    string
	Err                     error // non-nil when offline
	TotalBytes, UsableBytes int64
	Logs                    []*Log
}

func (m *Manager) Dirs() []DirInfo { panic("stub") }

// Close flushes and closes everything. clean writes checkpoints and the clean-shutdown marker.
func (m *Manager) Close(clean bool) error { panic("stub") }

// Log is one partition's log. LogStartOffset <= HighWatermark <= LogEndOffset always holds.
type Log struct{}

func (l *Log) TopicPartition() protocol.TopicPartition { panic("stub") }
func (l *Log) Dir() string                             { panic("stub") } // the log directory (entry of log.dirs)
func (l *Log) Config() *LogConfig                      { panic("stub") }
func (l *Log) TopicID() protocol.TopicID               { panic("stub") } // from partition.metadata
func (l *Log) SetTopicID(id protocol.TopicID) error    { panic("stub") } // writes partition.metadata when the log has none
func (l *Log) LogStartOffset() int64                   { panic("stub") }
func (l *Log) LogEndOffset() int64                     { panic("stub") }
func (l *Log) HighWatermark() int64                    { panic("stub") }
func (l *Log) LastStableOffset() int64                 { panic("stub") } // min(first open transaction, HW)
func (l *Log) Size() int64                             { panic("stub") } // bytes of all segments' .log

// SetHighWatermark raises the high watermark, clamped to [LogStartOffset, LogEndOffset]; it returns the value in force.
func (l *Log) SetHighWatermark(o int64) int64 { panic("stub") }

// Append origin.
type Origin int8

const (
	FromClient      Origin = iota // a Produce request
	FromCoordinator               // a coordinator's own records: producer state is not checked
)

// AppendResult describes an append. Duplicate: the batch is one of the last five of its producer, nothing was written, and the
// offsets are those of the first time.
type AppendResult struct {
	BaseOffset      int64
	LastOffset      int64
	LogAppendTimeMs int64 // -1 with CreateTime
	LogStartOffset  int64
	Duplicate       bool
}

// AppendAsLeader validates (record.Validate, outside the lock), checks sizes and producer state, assigns offsets and the leader epoch in place, rolls when due, and writes
// once. set holds exactly one batch (trailing bytes that are no whole batch are dropped, §1.11). Errors: *record.ValidationError; protocol.ErrorCode values as they go on
// the wire (MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, …); ErrStorage, after which the directory is offline.
func (l *Log) AppendAsLeader(set []byte, leaderEpoch int32, origin Origin, out *AppendResult) error {
	panic("stub")
}

// AppendAsFollower writes batches as a leader sent them, verifying CRC and order.
func (l *Log) AppendAsFollower(set []byte) error { panic("stub") }

// FileSlice is a run of whole batches (or the head of one) in a segment file. It holds a reference: Release it once.
type FileSlice struct {
	File   *os.File
	Offset int64
	Size   int
	// unexported: the segment
}

func (s *FileSlice) Release() { panic("stub") }

// ReadResult of Read. FirstBatchIncomplete cannot happen when minOneBatch was asked for.
type ReadResult struct {
	Slice      FileSlice // Size 0 (and nothing to release) when there is nothing between offset and maxOffset
	BaseOffset int64     // segment base offset of the position read
}

// Read returns at most maxBytes starting at the batch that holds offset, never past maxOffset (exclusive: the high watermark, LSO or log end); with minOneBatch
// the first batch comes whole even when larger than maxBytes. Error: OFFSET_OUT_OF_RANGE when offset is below the log start or above the log end.
func (l *Log) Read(offset int64, maxBytes int, maxOffset int64, minOneBatch bool, out *ReadResult) error {
	panic("stub")
}

// AbortedTxn for read_committed fetches; empty until transactions exist.
type AbortedTxn struct{ ProducerID, FirstOffset int64 }

// TimestampOffset is an answer of ListOffsets; Offset -1 when nothing was found.
type TimestampOffset struct {
	Timestamp, Offset int64
	LeaderEpoch       int32 // -1 unknown
}

// OffsetForTimestamp finds the first record with timestamp >= ts below maxOffset. OffsetOfMaxTimestamp serves ListOffsets -3.
func (l *Log) OffsetForTimestamp(ts int64, maxOffset int64) (TimestampOffset, error) { panic("stub") }
func (l *Log) OffsetOfMaxTimestamp() (TimestampOffset, error)                        { panic("stub") }

// AssignEpochStart records that leaderEpoch begins at the log end (on becoming leader). EndOffsetForEpoch answers OffsetForLeaderEpoch:
// (largest epoch <= asked, its end offset), (-1, -1) when unknown. LatestEpoch is -1 when there is none. EpochForOffset is -1 when unknown.
func (l *Log) AssignEpochStart(leaderEpoch int32) error                          { panic("stub") }
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) { panic("stub") }
func (l *Log) LatestEpoch() int32                                                { panic("stub") }
func (l *Log) EpochForOffset(offset int64) int32                                 { panic("stub") }

// IncrementLogStartOffset serves DeleteRecords: raises the start (error OFFSET_OUT_OF_RANGE above the high watermark) and drops whole segments below it.
func (l *Log) IncrementLogStartOffset(o int64) error { panic("stub") }

// TruncateTail removes everything at and after offset. TruncateFullyAndStartAt empties the log.
func (l *Log) TruncateTail(offset int64) error            { panic("stub") }
func (l *Log) TruncateFullyAndStartAt(offset int64) error { panic("stub") }

// Flush makes everything up to the log end durable.
func (l *Log) Flush() error { panic("stub") }

// ProducerState is one live producer for DescribeProducers.
type ProducerState struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnStartOffset   int64 // -1 none
}

func (l *Log) ActiveProducers() []ProducerState { panic("stub") }

// ErrStorage wraps an I/O error that took the directory offline: KAFKA_STORAGE_ERROR.
var ErrStorage error

var _ record.Codec
