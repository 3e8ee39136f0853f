package replication

import (
	"gregor/protocol"
	"gregor/storage"
)

// Log is what replication wants of one partition's log; *storage.Log is the one on disk. Its methods mean what they say there.
type Log interface {
	AppendAllAsLeader(batches []storage.Append, leaderEpoch int32, origin storage.Origin)
	AppendAsFollower(set []byte) error
	Read(offset int64, maxBytes int, maxOffset int64, minOneBatch bool, out *storage.ReadResult) error
	Flush() error
	FlushDue() error
	CommitBound() int64

	LogStartOffset() int64
	HighWatermark() int64
	LastStableOffset() int64
	LogEndOffset() int64
	SetHighWatermark(o int64) int64
	IncrementLogStartOffset(o int64) error
	TruncateTail(offset int64) error
	TruncateFullyAndStartAt(offset int64) error

	AssignEpochStart(leaderEpoch int32) error
	EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64)
	EpochForOffset(offset int64) int32
	LatestEpoch() int32

	OffsetForTimestamp(ts int64, maxOffset int64) (storage.TimestampOffset, error)
	OffsetOfMaxTimestamp() (storage.TimestampOffset, error)
	AbortedTxns(from, to int64) []storage.AbortedTxn
	ActiveProducers() []storage.ProducerState

	Config() *storage.LogConfig
	Dir() string
	Size() int64
	TopicID() protocol.TopicID
	SetTopicID(id protocol.TopicID) error
	TopicPartition() protocol.TopicPartition
}

// Logs is what replication wants of a broker's logs.
type Logs interface {
	// Get returns nil when there is no such log online.
	Get(tp protocol.TopicPartition) Log
	GetOrCreate(tp protocol.TopicPartition, o storage.CreateOptions) (Log, error)
	Delete(tp protocol.TopicPartition) error
}

// OnDisk are the logs in log.dirs.
func OnDisk(m *storage.Manager) Logs { return onDisk{m} }

type onDisk struct{ *storage.Manager }

func (d onDisk) Get(tp protocol.TopicPartition) Log {
	if l := d.Manager.Get(tp); l != nil {
		return l
	}
	return nil
}

func (d onDisk) GetOrCreate(tp protocol.TopicPartition, o storage.CreateOptions) (Log, error) {
	l, err := d.Manager.GetOrCreate(tp, o)
	if err != nil {
		return nil, err
	}
	return l, nil
}
