package storage

import (
	"errors"
	"math"
	"sync"

	"golang.org/x/sys/unix"
)

// flush.messages asks for records to be durable before their append is over. All appends that wait for that at one moment wait for one fdatasync: who finds none under way
// makes one for everything that is in the log then, the others sleep until it is over. It runs outside every lock of the log, so that appends go on meanwhile.
//
// It makes the batches durable and not what is built from them: the recovery point stays where flush left it, and a crash rebuilds the rest from there.
type commits struct {
	mu struct {
		sync.Mutex
		over    sync.Cond
		running bool
	}
	due     int64 // a flush is due up to here; the log's lock guards it
	durable int64 // the batches below are durable; the log's lock guards it
}

func (c *commits) init() { c.mu.over.L = &c.mu }

// CommitBound is the log end, or, while a flush that flush.messages asks for is not over, the offset before which it need not be waited for: the leader counts for the
// high watermark only up to there, so that no consumer sees what a power failure could take.
func (l *Log) CommitBound() int64 { return l.commitBound.Load() }

// FlushDue waits until the flush is over that flush.messages asked for at the last append. An error is the directory's.
func (l *Log) FlushDue() error {
	l.mu.Lock()
	target, durable := l.commits.due, l.commits.durable
	l.mu.Unlock()
	if target <= durable {
		return nil
	}
	return l.commit(target)
}

// noteUnflushedLocked counts appended records, up to the log end, and decides whether a flush is due.
func (l *Log) noteUnflushedLocked(records, end int64) {
	l.mu.unflushed += records
	if most := l.Config().FlushMessages; most != math.MaxInt64 && l.mu.unflushed >= most {
		l.commits.due = end
	}
	l.boundCommitLocked()
}

// boundCommitLocked sets CommitBound after an append, a flush or a truncation.
func (l *Log) boundCommitLocked() {
	if l.commits.due <= l.commits.durable {
		l.commitBound.Store(l.logEnd.Load())
	} else if l.commits.durable > l.commitBound.Load() {
		l.commitBound.Store(l.commits.durable)
	}
}

// durableLocked says that everything below offset is durable, as of a moment at which the log had been cut that many times.
func (l *Log) durableLocked(offset, truncations int64) {
	if l.mu.truncations == truncations && offset > l.commits.durable {
		l.commits.durable = offset
	}
	l.boundCommitLocked()
}

// cutCommitsLocked lowers the marks to the log's new end.
func (l *Log) cutCommitsLocked(end int64) {
	l.commits.due, l.commits.durable = min(l.commits.due, end), min(l.commits.durable, end)
	l.commitBound.Store(min(l.commitBound.Load(), end))
	l.boundCommitLocked()
}

// commit waits until the batches below target are durable, or until the log has become shorter than that.
func (l *Log) commit(target int64) error {
	c := &l.commits
	c.mu.Lock()
	defer c.mu.Unlock()
	for l.waitsFor(target) {
		if c.mu.running {
			c.mu.over.Wait()
			continue
		}
		c.mu.running = true
		c.mu.Unlock()
		err := l.syncBatches()
		c.mu.Lock()
		c.mu.running = false
		c.mu.over.Broadcast()
		if err != nil {
			return err
		}
	}
	return l.usable()
}

func (l *Log) waitsFor(target int64) bool {
	if l.usable() != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commits.durable < min(target, l.commits.due)
}

// syncBatches makes the batches durable that are in the log now, and the directory entries of their files.
func (l *Log) syncBatches() error {
	l.flushMu.Lock() // a flush that has taken over new directory entries has to be over before they count as durable
	defer l.flushMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	end, from := l.logEnd.Load(), l.commits.durable
	truncations, list, created := l.mu.truncations, l.segments.Load(), l.mu.entriesChanged
	l.mu.entriesChanged = false
	l.mu.unflushed, l.mu.lastFlushMs = 0, l.manager.nowMs()
	l.mu.Unlock()
	l.dir.syncing <- struct{}{}
	defer func() { <-l.dir.syncing }()
	if len(l.dir.syncing) > 1 {
		l.manager.manySyncs.Do(func() { l.manager.cfg.OnManySyncs(syncsAtOnce * len(l.manager.dirs)) })
	}
	for _, s := range list.list[max(list.floor(from), 0):] {
		if err := s.syncBatches(); err != nil {
			return l.failed("flush", err)
		}
	}
	if created {
		if err := errors.Join(syncDir(l.path), l.dir.syncEntries()); err != nil {
			return l.failed("flush", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.durableLocked(end, truncations)
	return nil
}

// syncBatches makes the .log file durable, and of its metadata what is needed to read it.
func (s *segment) syncBatches() error {
	if s.size.Load() == 0 {
		return nil
	}
	f, err := s.acquire()
	if err != nil {
		if errors.Is(err, errSegmentGone) {
			return nil
		}
		return err
	}
	defer s.release()
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
