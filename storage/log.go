package storage

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	"gregor/protocol"
)

// Log is one partition's log: a list of segments, of which the last is written.
//
// Invariant: LogStartOffset <= HighWatermark <= LogEndOffset.
type Log struct {
	tp      protocol.TopicPartition
	path    string // the partition's directory
	dir     *logDir
	manager *Manager

	config   atomic.Pointer[LogConfig]
	topicID  atomic.Pointer[topicIdentity]
	segments atomic.Pointer[segmentList] // never empty; replaced under mu
	epochs   *epochCache
	tail     tail

	logStart      atomic.Int64
	logEnd        atomic.Int64 // stored after the bytes are in the file and in tail
	highWatermark atomic.Int64
	firstUnstable atomic.Int64 // producerState.firstUnstable
	commitBound   atomic.Int64 // see CommitBound
	recoveryPoint atomic.Int64 // everything below is durable
	claimed       atomic.Int64 // the largest recovery point that the directory's checkpoint file may have; see unclaim
	closed        atomic.Bool
	flushQueued   atomic.Bool // the flusher has it in its queue
	unreplicated  atomic.Bool // producerState.unreplicated is not empty

	flushMu sync.Mutex // one flush at a time; taken before mu
	commits commits    // its own lock is taken before both

	mu struct {
		sync.Mutex
		producers        producerState
		lastSnapshot     int64   // offset of the newest snapshot, -1 none
		spareSnapshot    int64   // offset of the one that checkpoint made last, 0 none
		unflushedBytes   int64   // appended since the last flush
		dirtySnapshots   []int64 // written and not synced yet
		truncations      int64   // counts removals of the tail; a flush that saw another count does not count
		lastFlushMs      int64
		unflushed        int64 // records since the last flush
		entriesChanged   bool  // files were created since the directory was last synced, or the directory itself was
		currentJitterMs  int64 // of the active segment
		currentJitterFor int64 // base offset of the segment that it was drawn for
	}
}

// segmentList is an immutable list of segments by rising base offset.
type segmentList struct{ list []*segment }

func (s *segmentList) active() *segment { return s.list[len(s.list)-1] }

// floor is the index of the last segment whose base is not above offset, -1 when there is none.
func (s *segmentList) floor(offset int64) int {
	return sort.Search(len(s.list), func(i int) bool { return s.list[i].base > offset }) - 1
}

// end is the offset behind segment i: the next one's base, or the log end.
func (s *segmentList) end(i int, logEnd int64) int64 {
	if i+1 < len(s.list) {
		return s.list[i+1].base
	}
	return logEnd
}

// TopicPartition names the partition.
func (l *Log) TopicPartition() protocol.TopicPartition { return l.tp }

// Dir is the log directory, an entry of log.dirs.
func (l *Log) Dir() string { return l.dir.path }

// Config is the effective configuration; it must not be changed.
func (l *Log) Config() *LogConfig { return l.config.Load() }

// LogStartOffset is the first offset that can be read.
func (l *Log) LogStartOffset() int64 { return l.logStart.Load() }

// LogEndOffset is the offset of the next record.
func (l *Log) LogEndOffset() int64 { return l.logEnd.Load() }

// HighWatermark is the offset below which all records are committed.
func (l *Log) HighWatermark() int64 { return l.highWatermark.Load() }

// LastStableOffset is the high watermark, or the first offset of the oldest transaction that is open or not committed,
// if that is smaller.
func (l *Log) LastStableOffset() int64 { return min(l.highWatermark.Load(), l.firstUnstable.Load()) }

// Size is the bytes of all segments' .log files.
func (l *Log) Size() int64 {
	var size int64
	for _, s := range l.segments.Load().list {
		size += s.size.Load()
	}
	return size
}

// SetHighWatermark raises the high watermark to o, clamped to [LogStartOffset, LogEndOffset]. It never lowers it, and
// returns the value in force.
func (l *Log) SetHighWatermark(o int64) int64 {
	o = max(min(o, l.logEnd.Load()), l.logStart.Load())
	for {
		now := l.highWatermark.Load()
		if o <= now {
			return now
		}
		if l.highWatermark.CompareAndSwap(now, o) {
			break
		}
	}
	if l.unreplicated.Load() {
		l.mu.Lock()
		l.mu.producers.replicated(o)
		l.publishUnstableLocked()
		l.mu.Unlock()
	}
	return o
}

// publishUnstableLocked lets readers see what producers says about open transactions.
func (l *Log) publishUnstableLocked() {
	l.firstUnstable.Store(l.mu.producers.firstUnstable())
	l.unreplicated.Store(len(l.mu.producers.unreplicated) > 0)
}

// usable answers calls on a log that is closed or whose directory failed.
func (l *Log) usable() error {
	if err := l.dir.err(); err != nil {
		return err
	}
	if l.closed.Load() {
		return errClosed
	}
	return nil
}

// failed takes the directory offline because of an I/O error, unless the log was closed or deleted under the caller.
func (l *Log) failed(what string, err error) error {
	if l.closed.Load() && l.dir.err() == nil {
		return errClosed
	}
	return l.dir.fail(fmt.Errorf("%s of %s in %s: %w", what, l.tp, l.dir.path, err))
}

func (l *Log) prefix() string {
	return fmt.Sprintf("[UnifiedLog partition=%s, dir=%s] ", l.tp, l.dir.path)
}

func (l *Log) info(msg string, args ...any) {
	l.manager.cfg.Logger("kafka.log.UnifiedLog").Info(l.prefix()+msg, args...)
}

func (l *Log) warn(msg string, args ...any) {
	l.manager.cfg.Logger("kafka.log.UnifiedLog").Warn(l.prefix()+msg, args...)
}

// AssignEpochStart records that leaderEpoch begins at the log end: this broker became leader in that epoch.
func (l *Log) AssignEpochStart(leaderEpoch int32) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epochs.assign(leaderEpoch, l.logEnd.Load())
	return nil
}

// saveEpochs stores the leader epochs after a truncation of the log's head or tail.
func (l *Log) saveEpochs() error {
	if err := l.epochs.saveCut(l.logEnd.Load()); err != nil {
		return l.failed("write leader-epoch-checkpoint", err)
	}
	return nil
}

// EndOffsetForEpoch answers OffsetForLeaderEpoch: the largest epoch not above the one asked for, and its end offset;
// (-1, -1) when unknown (KIP-101, KIP-279).
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	return l.epochs.endOffset(epoch, l.logEnd.Load())
}

// LatestEpoch is the last leader epoch that the log knows, -1 when there is none.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest() }

// EpochForOffset is the leader epoch that an offset was written in, -1 when unknown.
func (l *Log) EpochForOffset(offset int64) int32 { return l.epochs.forOffset(offset) }
