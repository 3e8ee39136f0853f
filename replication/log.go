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
	ReadBytes(offset int64, maxBytes int, buf []byte) ([]byte, error)
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

	// CheckDir reports whether logs can be put into a directory, and Prefer where the log of a partition is to be made that is not there yet.
	CheckDir(dir string) error
	Prefer(tp protocol.TopicPartition, dir string)

	// A future log is the copy of a log on its way to another directory; Future returns nil when there is none.
	Future(tp protocol.TopicPartition) Log
	CreateFuture(tp protocol.TopicPartition, dir string) (Log, error)
	DeleteFuture(tp protocol.TopicPartition) error
	ReplaceWithFuture(tp protocol.TopicPartition) (Log, error)
}

// OnDisk are the logs in log.dirs.
func OnDisk(m *storage.Manager) Logs { return onDisk{m} }

type onDisk struct{ *storage.Manager }

func (d onDisk) Get(tp protocol.TopicPartition) Log    { return orNil(d.Manager.Get(tp)) }
func (d onDisk) Future(tp protocol.TopicPartition) Log { return orNil(d.Manager.Future(tp)) }

func (d onDisk) GetOrCreate(tp protocol.TopicPartition, o storage.CreateOptions) (Log, error) {
	l, err := d.Manager.GetOrCreate(tp, o)
	return orNil(l), err
}

func (d onDisk) CreateFuture(tp protocol.TopicPartition, dir string) (Log, error) {
	l, err := d.Manager.CreateFuture(tp, dir)
	return orNil(l), err
}

func (d onDisk) ReplaceWithFuture(tp protocol.TopicPartition) (Log, error) {
	l, err := d.Manager.ReplaceWithFuture(tp)
	return orNil(l), err
}

// orNil has no log be no Log.
func orNil(l *storage.Log) Log {
	if l == nil {
		return nil
	}
	return l
}
