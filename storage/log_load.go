package storage

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gregor/protocol"
)

// loadState is what the checkpoints of the log directory say about a log.
type loadState struct {
	clean         bool  // the directory was shut down cleanly: the log's bytes are taken as they are
	recoveryPoint int64 // everything below is durable
	logStart      int64 // 0 when the checkpoint has none
	highWatermark int64 // -1 when the checkpoint has none
}

// loadLog opens the log in a partition's directory, which lies in d and is called name (LogLoader). After a clean stop it reads names, the last index entry and
// a few batch headers; otherwise recover checks everything from the recovery point on. Its files open at the first use: of thousands of logs most are not used for long.
func (m *Manager) loadLog(d *logDir, tp protocol.TopicPartition, name string, st loadState) (*Log, error) {
	l := m.newLog(d, tp, name)
	files, segments, err := l.listSegments()
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		segments = append(segments, l.absentSegment(st.logStart))
	}
	l.segments.Store(&segmentList{segments})
	defer func() {
		if err != nil {
			for _, s := range l.segments.Load().list {
				s.discard()
			}
		}
	}()
	if err = l.loadMetadata(files); err != nil {
		return nil, err
	}
	if err = l.loadContent(st, files); err != nil {
		return nil, err
	}
	for _, s := range l.segments.Load().list {
		s.rest()
	}
	return l, nil
}

// newLog is a log of which nothing is known yet.
func (m *Manager) newLog(d *logDir, tp protocol.TopicPartition, name string) *Log {
	l := &Log{tp: tp, dir: d, manager: m, path: filepath.Join(d.path, name)}
	l.config.Store(m.topicConfig(tp.Topic))
	l.mu.lastSnapshot, l.mu.lastFlushMs = -1, m.nowMs()
	l.firstUnstable.Store(math.MaxInt64)
	l.commits.init()
	return l
}

// emptyLog is the log of a partition's directory that was just made.
func (m *Manager) emptyLog(d *logDir, tp protocol.TopicPartition, name string) *Log {
	l := m.newLog(d, tp, name)
	s := l.absentSegment(0)
	l.segments.Store(&segmentList{[]*segment{s}})
	l.epochs = newEpochCache(l.path)
	l.tail.reset(s, 0)
	return l
}

// absentSegment is a segment whose files the first append makes.
func (l *Log) absentSegment(base int64) *segment {
	s := newSegment(l.path, base, 0, l.manager.nowMs())
	s.mu.absent = true
	return s
}

// loadMetadata reads partition.metadata, if it is among the files. Damage is reported and repaired, not fatal.
func (l *Log) loadMetadata(files []string) error {
	if !slices.Contains(files, partitionMetadataFile) {
		return nil
	}
	id, err := readPartitionMetadata(l.path)
	if err != nil && isEnvironment(err) {
		return err
	}
	if err != nil {
		l.warn("partition.metadata is damaged; it is written anew with the topic id that the controller sends", "error", err)
	} else if !id.IsZero() {
		l.topicID.Store(&topicIdentity{id, true})
	}
	return nil
}

// loadContent finds the end of the log and builds everything that follows from its batches.
func (l *Log) loadContent(st loadState, files []string) error {
	epochs, found, err := newEpochCache(l.path), false, error(nil)
	if slices.Contains(files, leaderEpochFile) {
		epochs, found, err = loadEpochCache(l.path)
	}
	if err != nil && !errors.Is(err, errEpochsDamaged) {
		return err
	}
	if err != nil {
		l.warn("building the leader epochs anew", "error", err)
	}
	l.epochs = epochs
	start := max(st.logStart, l.segments.Load().list[0].base)
	l.logStart.Store(start)

	var producers *producerState // that recovery has built, nil without one
	newest := int64(-1)
	snapshots := snapshotsIn(files)
	recoverFrom := func(offset int64) error {
		l.dir.recovering <- struct{}{}
		defer func() { <-l.dir.recovering }()
		if producers, newest, err = l.recover(offset, snapshots); err == nil {
			snapshots, err = snapshotOffsets(l.path)
		}
		return err
	}
	if !st.clean && !l.segments.Load().active().isAbsent() {
		if err := recoverFrom(st.recoveryPoint); err != nil {
			return err
		}
	}
	end, err := l.findEnd()
	if err != nil {
		return err
	}
	if end < 0 { // the marker of a clean stop lied: the last segment does not end with a batch
		l.warn("the active segment has an incomplete tail although the log directory was shut down cleanly")
		if err := recoverFrom(l.segments.Load().active().base); err != nil {
			return err
		}
		if end, err = l.findEnd(); err != nil {
			return err
		}
	}
	l.tail.reset(l.segments.Load().active(), end)
	l.logEnd.Store(end)
	l.claimed.Store(st.recoveryPoint)
	l.recoveryPoint.Store(min(st.recoveryPoint, end))
	if st.clean {
		l.recoveryPoint.Store(end)
	}
	l.commits.durable = l.recoveryPoint.Load()
	l.commitBound.Store(end)
	if end < start {
		l.warn(fmt.Sprintf("the log ends at %d, before its start offset %d: starting empty at the latter", end, start))
		l.highWatermark.Store(end)
		return l.startAtLocked(start)
	}
	l.highWatermark.Store(max(min(st.highWatermark, end), start))
	if err := l.loadEpochs(found, start, end); err != nil {
		return err
	}
	return l.loadProducers(producers, newest, snapshots)
}

// findEnd is the log end offset, or -1 when the active segment ends with something else than a whole batch.
func (l *Log) findEnd() (int64, error) {
	s := l.segments.Load().active()
	size := s.size.Load()
	if size == 0 {
		return s.base, nil
	}
	f, err := s.open()
	if err != nil {
		return 0, err
	}
	if err := s.openIndexes(int64(l.Config().IndexIntervalBytes)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.max, s.mu.maxOffset, err = s.timesLocked().lastEntry(); err != nil {
		return 0, err
	}
	s.mu.maxKnown = true
	from, err := s.indexLocked().lastPosition(size)
	if err != nil {
		return 0, err
	}
	end, err := s.scanEnd(f, from, size)
	if end < 0 && err == nil && from > 0 {
		end, err = s.scanEnd(f, 0, size) // the index may be what is wrong
	}
	return end, err
}

// scanEnd walks from a position to the end of the segment, of which it returns the next offset; -1 when it ends badly.
// The caller holds s.mu.
func (s *segment) scanEnd(f *os.File, from, size int64) (int64, error) {
	first := newBatchScanner(f, 0, size)
	defer first.done()
	var h batchHeader
	if ok, err := first.next(&h); err != nil || !ok {
		return -1, err
	}
	s.firstTimestamp = h.maxTimestamp
	scan := newBatchScanner(f, from, size)
	defer scan.done()
	end := int64(-1)
	for {
		ok, err := scan.next(&h)
		if err != nil {
			return -1, err
		}
		if !ok || h.lastOffset < max(end, s.base) {
			break
		}
		end = h.lastOffset + 1
		if h.maxTimestamp > s.mu.max {
			s.mu.max, s.mu.maxOffset = h.maxTimestamp, h.lastOffset
		}
	}
	if scan.pos < size {
		return -1, nil
	}
	return end, nil
}

// loadEpochs fits the epoch cache to the log, or builds it from the batches when its file was missing or damaged.
func (l *Log) loadEpochs(found bool, start, end int64) error {
	if !found {
		err := l.eachHeader(start, end, func(h *batchHeader, _ *segment) error {
			if h.leaderEpoch > l.epochs.latest() {
				l.epochs.assign(h.leaderEpoch, max(h.baseOffset, start))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	l.epochs.truncateTail(end)
	l.epochs.truncateHead(start)
	if found {
		return nil
	}
	return l.epochs.save(end, writeFileAtomic)
}

// eachHeader calls fn for the batches that hold offsets in [from, to).
func (l *Log) eachHeader(from, to int64, fn func(*batchHeader, *segment) error) error {
	list := l.segments.Load()
	for i := max(list.floor(from), 0); i < len(list.list); i++ {
		s := list.list[i]
		if s.base >= to || s.size.Load() == 0 {
			continue
		}
		if err := l.eachHeaderOf(s, from, to, fn); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) eachHeaderOf(s *segment, from, to int64, fn func(*batchHeader, *segment) error) error {
	f, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	position := int64(0)
	if from > s.base {
		if err := s.openIndexes(int64(l.Config().IndexIntervalBytes)); err != nil {
			return err
		}
		if position, err = s.positionOf(f, from, s.size.Load()); err != nil {
			return err
		}
	}
	scan := newBatchScanner(f, position, s.size.Load())
	defer scan.done()
	var h batchHeader
	for {
		ok, err := scan.next(&h)
		if err != nil || !ok || h.baseOffset >= to {
			return err
		}
		if err := fn(&h, s); err != nil {
			return err
		}
	}
}

// loadProducers takes the state that recovery has built, beginning with the snapshot newest, or reads the newest of the snapshots, which the directory has at these
// offsets, and the batches behind it. Snapshots that no segment needs go; one for the log end is there afterwards.
func (l *Log) loadProducers(recovered *producerState, newest int64, offsets []int64) error {
	end := l.logEnd.Load()
	list := l.segments.Load()
	for i, o := range offsets {
		_, segmentHasIt := slices.BinarySearchFunc(list.list, o, func(s *segment, o int64) int { return cmp.Compare(s.base, o) })
		if o > end || !segmentHasIt && i < len(offsets)-1 {
			if err := removeIfExists(snapshotPath(l.path, o)); err != nil {
				return err
			}
			if o == newest {
				newest = -1
			}
		}
	}
	if recovered != nil {
		l.mu.producers, l.mu.lastSnapshot = *recovered, newest
	} else {
		state, newest, err := l.buildProducers(list, offsets, l.logStart.Load(), end)
		if err != nil {
			return err
		}
		l.mu.producers, l.mu.lastSnapshot = state, newest
	}
	l.mu.producers.replicated(l.highWatermark.Load())
	l.publishUnstableLocked()
	if end == 0 || l.segments.Load().active().isAbsent() {
		return nil
	}
	return l.snapshotLocked(end)
}

// buildProducers reads the newest usable one of the snapshots at or below end and applies the batches between it and end. Without a
// snapshot all batches from start on count. newest is the offset of that snapshot when nothing had to be added to it, else -1.
func (l *Log) buildProducers(list *segmentList, snapshots []int64, start, end int64) (state producerState, newest int64, err error) {
	from, newest := start, int64(-1)
	for _, o := range slices.Backward(snapshots) {
		if o > end {
			continue
		}
		data, err := readSmallFile(snapshotPath(l.path, o))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			state, err = decodeSnapshot(data)
		}
		if err == nil {
			from, newest = max(o, start), o
			break
		}
		if isEnvironment(err) {
			return state, -1, err
		}
		l.warn("producer snapshot is unreadable and not used", "file", snapshotPath(l.path, o), "error", err)
		if err := removeIfExists(snapshotPath(l.path, o)); err != nil {
			return state, -1, err
		}
	}
	state.expire(l.manager.nowMs(), l.manager.cfg.ProducerIDExpirationMs())
	if from >= end {
		return state, newest, nil
	}
	err = l.eachHeader(from, end, func(h *batchHeader, s *segment) error {
		if h.producerID < 0 {
			return nil
		}
		f, err := s.open()
		if err != nil {
			return err
		}
		marker, err := readTxnMarker(f, h)
		if err != nil {
			return err
		}
		return applyBatch(&state, h, marker, nil)
	})
	return state, -1, err
}
