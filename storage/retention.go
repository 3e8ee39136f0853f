package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"gregor/protocol"
)

// IncrementLogStartOffset serves DeleteRecords: it raises the log start and drops the segments that lie wholly below it.
// OFFSET_OUT_OF_RANGE above the high watermark; an offset at or below the log start changes nothing.
func (l *Log) IncrementLogStartOffset(o int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	if hw := l.highWatermark.Load(); o > hw {
		l.mu.Unlock()
		return fmt.Errorf("log start %d of %s would pass the high watermark %d: %w", o, l.tp, hw, protocol.OffsetOutOfRange)
	}
	if o <= l.logStart.Load() {
		l.mu.Unlock()
		return nil
	}
	l.logStart.Store(o)
	l.epochs.truncateHead(o)
	err := l.dropHeadLocked(l.belowStart(l.segments.Load()))
	l.mu.Unlock()
	if err != nil {
		return l.failed("delete segments", err)
	}
	return l.saveEpochs()
}

// belowStart counts the leading segments that end at or below the log start. The active one stays.
func (l *Log) belowStart(list *segmentList) int {
	return max(list.floor(l.logStart.Load()), 0)
}

// applyRetention deletes the leading segments that cleanup.policy=delete no longer wants, by time and by size, and those
// below the log start, but none that reaches beyond the high watermark. When even the active segment is too old, the
// log rolls first. It returns the number of segments removed.
func (l *Log) applyRetention(nowMs int64) (int, error) {
	if err := l.usable(); err != nil {
		return 0, nil
	}
	l.mu.Lock()
	list, cfg := l.segments.Load(), l.Config()
	n, reason, err := l.belowStart(list), "log start offset", error(nil)
	if cfg.Delete {
		for _, rule := range []struct {
			name  string
			count func(*segmentList, *LogConfig, int64) (int, error)
		}{{"retention.ms", l.tooOld}, {"retention.bytes", l.tooMuch}} {
			var m int
			if m, err = rule.count(list, cfg, nowMs); err != nil {
				break
			}
			if m > n {
				n, reason = m, rule.name
			}
		}
	}
	for n > 0 && list.end(n-1, l.logEnd.Load()) > l.highWatermark.Load() {
		n--
	}
	if n == len(list.list) && list.active().size.Load() == 0 {
		n--
	}
	if err == nil && n > 0 {
		err = l.retireHeadLocked(n)
	}
	start := l.logStart.Load()
	l.mu.Unlock()
	if err != nil {
		return 0, l.failed("retention", err)
	}
	if n == 0 {
		return 0, nil
	}
	l.info(fmt.Sprintf("Deleted %d segments due to %s, the log starts at offset %d", n, reason, start))
	return n, l.saveEpochs()
}

// retireHeadLocked drops n segments, rolling first when that would leave none.
func (l *Log) retireHeadLocked(n int) error {
	if n == len(l.segments.Load().list) {
		if err := l.rollLocked(l.logEnd.Load()); err != nil {
			return err
		}
	}
	return l.dropHeadLocked(n)
}

// tooOld counts the leading segments whose largest timestamp is more than retention.ms ago. A segment without any
// timestamp counts by the time its file was changed.
func (l *Log) tooOld(list *segmentList, cfg *LogConfig, nowMs int64) (int, error) {
	if cfg.RetentionMs < 0 {
		return 0, nil
	}
	for i, s := range list.list {
		largest, _, err := s.largestTimestamp(int64(cfg.IndexIntervalBytes))
		if err != nil {
			return 0, err
		}
		if largest < 0 {
			st, err := os.Stat(s.path(logSuffix))
			if errors.Is(err, fs.ErrNotExist) {
				return i, nil
			}
			if err != nil {
				return 0, err
			}
			largest = st.ModTime().UnixMilli()
		}
		if nowMs-largest <= cfg.RetentionMs {
			return i, nil
		}
	}
	return len(list.list), nil
}

// tooMuch counts the leading segments without which the log still has retention.bytes.
func (l *Log) tooMuch(list *segmentList, cfg *LogConfig, _ int64) (int, error) {
	if cfg.RetentionBytes < 0 {
		return 0, nil
	}
	surplus := l.Size() - cfg.RetentionBytes
	for i, s := range list.list {
		if surplus -= s.size.Load(); surplus < 0 {
			return i, nil
		}
	}
	return len(list.list), nil
}

// dropHeadLocked removes the first n segments from the log, and their files after file.delete.delay.ms.
func (l *Log) dropHeadLocked(n int) error {
	if n == 0 {
		return nil
	}
	list := l.segments.Load().list
	// The log start first: a reader who misses a segment finds out why.
	if base := list[n].base; base > l.logStart.Load() {
		l.logStart.Store(base)
		l.epochs.truncateHead(base)
	}
	l.segments.Store(&segmentList{slices.Clone(list[n:])})
	return l.retireLocked(list[:n])
}

// retireLocked renames the files of segments that are no longer in the list, and their snapshots, to .deleted, and has
// them removed later. Readers keep their open files.
func (l *Log) retireLocked(list []*segment) error {
	var files []string
	for _, s := range list {
		s.gone.Store(true)
		for _, suffix := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix, snapshotSuffix} {
			path := s.path(suffix)
			err := os.Rename(path, path+deletedSuffix)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			files = append(files, path+deletedSuffix)
		}
		s.release()
	}
	if len(files) > 0 {
		l.manager.removeLater(files, time.Duration(l.Config().FileDeleteDelayMs)*time.Millisecond)
	}
	return nil
}
