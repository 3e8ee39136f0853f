package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gregor/protocol"
)

// A future log is the copy of a log that moves to another log directory (KIP-113). Who moves it fills it as a follower would; once it has everything,
// ReplaceWithFuture puts it in the log's place.

// maxPreferred bounds the partitions without a log for which a directory is remembered.
const maxPreferred = 100_000

// IsFuture reports whether the log is a copy on its way into another directory.
func (l *Log) IsFuture() bool { return strings.HasSuffix(l.path, futureDirSuffix) }

// Future returns the future log of a partition, nil when there is none online.
func (m *Manager) Future(tp protocol.TopicPartition) *Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.futures[tp]
}

// ReadBytes reads from the batch that holds offset up to the log end, at most maxBytes, but one batch whole; the last batch may be cut. The bytes are in buf, or in
// memory of their own where that is too small. Errors: those of Read.
func (l *Log) ReadBytes(offset int64, maxBytes int, buf []byte) ([]byte, error) {
	var found ReadResult
	if err := l.Read(offset, maxBytes, l.LogEndOffset(), true, &found); err != nil {
		return nil, err
	}
	slice := &found.Slice
	if slice.Size == 0 {
		return nil, nil
	}
	defer slice.Release()
	if cap(buf) < slice.Size {
		buf = make([]byte, slice.Size)
	}
	n, err := slice.File.ReadAt(buf[:slice.Size], slice.Offset)
	if err != nil && !errors.Is(err, io.EOF) { // the end: the log has just been cut
		return nil, l.failed("read", err)
	}
	return buf[:n], nil
}

// CheckDir reports whether logs can be put into a directory: LOG_DIR_NOT_FOUND when it is not in log.dirs, ErrStorage when it is offline.
func (m *Manager) CheckDir(path string) error {
	d := m.dir(path)
	if d == nil {
		return fmt.Errorf("log dir %s is not found in the config: %w", path, protocol.LogDirNotFound)
	}
	return d.err()
}

func (m *Manager) dir(path string) *logDir {
	if i := slices.IndexFunc(m.dirs, func(d *logDir) bool { return d.path == path }); i >= 0 {
		return m.dirs[i]
	}
	return nil
}

// Prefer has the log of a partition created in the directory path, whenever that will be. The broker does not remember it over a restart.
func (m *Manager) Prefer(tp protocol.TopicPartition, path string) {
	m.creation.Lock()
	defer m.creation.Unlock()
	if len(m.preferred) >= maxPreferred {
		for other := range m.preferred {
			delete(m.preferred, other) // any
			break
		}
	}
	m.preferred[tp] = path
}

// CreateFuture makes the future log of a partition in the directory path. ErrStorage: the directory is offline, or another one, in which a future log may already be.
func (m *Manager) CreateFuture(tp protocol.TopicPartition, path string) (*Log, error) {
	m.creation.Lock()
	defer m.creation.Unlock()
	current, d := m.Get(tp), m.dir(path)
	switch {
	case current == nil || d == nil || d == current.dir:
		return nil, fmt.Errorf("cannot move %s to %s: %w", tp, path, protocol.LogDirNotFound)
	case m.HasOfflineDirs():
		return nil, fmt.Errorf("%w: cannot create the future log of %s, another one may be in a directory that is offline", ErrStorage, tp)
	}
	l, err := m.create(d, tp, futureDirName(tp), current.TopicID())
	if err != nil {
		return nil, d.fail(fmt.Errorf("create the future log of %s: %w", tp, err))
	}
	return l, nil
}

// DeleteFuture removes the future log of a partition as Delete removes a log.
func (m *Manager) DeleteFuture(tp protocol.TopicPartition) error {
	m.creation.Lock()
	defer m.creation.Unlock()
	m.mu.Lock()
	l := m.mu.futures[tp]
	delete(m.mu.futures, tp)
	m.mu.Unlock()
	return m.discard(l)
}

// ReplaceWithFuture puts the future log in the place of the partition's log, which it has to equal in its records, and which goes as by Delete. Nobody may append to
// either of them meanwhile. On an error the log is what it was.
//
// A crash leaves one of these behind: both logs as they were; or the copy, complete and durable, under the final name, and the old log beside it in the other
// directory. The next start keeps one of those (settle). Never is there a moment without the log.
func (m *Manager) ReplaceWithFuture(tp protocol.TopicPartition) (*Log, error) {
	m.creation.Lock()
	defer m.creation.Unlock()
	old, future := m.Get(tp), m.Future(tp)
	if old == nil || future == nil {
		return nil, errClosed
	}
	m.info("Attempting to replace current log %s with %s for %s", old.path, future.path, tp)
	moved, err := m.promote(old, future)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	err = errors.Join(moved.dir.err(), old.dir.err())
	if err == nil && (m.mu.logs[tp] != old || m.mu.futures[tp] != future) {
		err = errClosed
	}
	if err == nil {
		m.mu.logs[tp] = moved
		delete(m.mu.futures, tp)
	}
	m.mu.Unlock()
	if err != nil {
		moved.close(false)
		return nil, err
	}
	moved.dir.checkpoint(logStartCheckpoint) // what DeleteRecords has removed must not come back; its error is the directory's
	if err := m.discard(old); err != nil {
		m.warn("The log of %s in %s could not be removed after its replacement: %s", tp, old.dir.path, err)
	}
	m.info("The current replica is successfully replaced with the future replica for %s", tp)
	return moved, nil
}

// promote gives the future log everything that a log knows apart from its records, closes it, and opens it again under the log's name in its own directory.
func (m *Manager) promote(old, future *Log) (*Log, error) {
	if future.LogEndOffset() != old.LogEndOffset() {
		return nil, fmt.Errorf("the future log of %s ends at %d, the log at %d", old.tp, future.LogEndOffset(), old.LogEndOffset())
	}
	if err := future.SetTopicID(old.TopicID()); err != nil {
		return nil, err
	}
	future.SetHighWatermark(old.HighWatermark())
	if err := future.IncrementLogStartOffset(old.LogStartOffset()); err != nil {
		return nil, err
	}
	if err := future.close(true); err != nil {
		return nil, err
	}
	d := future.dir
	path := filepath.Join(d.path, old.tp.String())
	if err := errors.Join(os.Rename(future.path, path), syncDir(d.path)); err != nil {
		return nil, d.fail(fmt.Errorf("rename %s to %s: %w", future.path, path, err))
	}
	end := future.LogEndOffset()
	moved, err := m.loadLog(d, old.tp, old.tp.String(), loadState{
		clean: true, recoveryPoint: end, logStart: future.LogStartOffset(), highWatermark: future.HighWatermark(),
	})
	if err != nil {
		return nil, d.fail(fmt.Errorf("open %s: %w", path, err))
	}
	if err := moved.SetTopicID(old.TopicID()); err != nil {
		return nil, err
	}
	moved.epochs.become(old.epochs) // it may know an epoch that has no records yet
	return moved, nil
}

// settle chooses between two logs of a partition that a start has found: the one that has everything of the other is kept, and the other one may go. A move that was
// interrupted leaves such a pair, with equal logs, or with one that lived on while the other's directory was offline. kept is nil when each log has
// something that the other lacks.
func (m *Manager) settle(a, b *Log) (kept, spare *Log) {
	if slices.Index(m.dirs, b.dir) < slices.Index(m.dirs, a.dir) {
		a, b = b, a
	}
	aHasB, bHasA := a.contains(b), b.contains(a)
	switch {
	case aHasB && bHasA && b.LogStartOffset() > a.LogStartOffset(): // what DeleteRecords has removed stays removed
		return b, a
	case aHasB:
		return a, b
	case bHasA || a.IsFuture(): // a copy can be made again
		return b, a
	}
	return nil, nil
}

// contains reports whether everything in other is in l, too: the leader epoch that other's last record was written in goes as far in l, or further.
func (l *Log) contains(other *Log) bool {
	start, end := other.LogStartOffset(), other.LogEndOffset()
	if l.LogEndOffset() < end {
		return false
	}
	if start == end {
		return true
	}
	epoch := other.EpochForOffset(end - 1)
	found, foundEnd := l.EndOffsetForEpoch(epoch)
	return epoch >= 0 && found == epoch && foundEnd >= end
}

// dropUselessFutures removes future logs that lie in the directory of their partition's log.
func (m *Manager) dropUselessFutures() {
	var useless []*Log
	m.mu.Lock()
	for tp, future := range m.mu.futures {
		if l := m.mu.logs[tp]; l != nil && l.dir == future.dir {
			useless = append(useless, future)
			delete(m.mu.futures, tp)
		}
	}
	m.mu.Unlock()
	for _, l := range useless {
		m.warn("The future log %s lies in the directory of the log that it was to move, and is removed", l.path)
		m.discard(l) // its error is the directory's
	}
}
