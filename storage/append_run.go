package storage

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"gregor/protocol"
	"gregor/protocol/record"
)

// appendRun is prepared batches that go behind the active segment's end with one write. Their producers are entered as they join it, so that the next
// batch of a producer is checked against them; nothing else of the log knows of them before they are written. When that fails the directory is offline, and
// nobody asks for its producers any more.
type appendRun struct {
	from  int      // index of the first batch that may have joined
	bytes [][]byte // of those that have
	size  int64    // bytes
	end   int64    // the offset behind the last one
	alone bool     // the first one begins a segment, whose age counts from it: none joins it
}

// begin empties the run, which then goes on with batch from at offset end, and lets go of the batches' memory.
func (r *appendRun) begin(from int, end int64) {
	clear(r.bytes)
	*r = appendRun{from: from, bytes: r.bytes[:0], end: end}
}

// appendPrepared is the part of AppendAllAsLeader under the lock. The error is about the log.
func (l *Log) appendPrepared(batches []Append, origin Origin, run *appendRun) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	run.begin(0, l.logEnd.Load())
	defer run.begin(0, 0)
	for i := range batches {
		a := &batches[i]
		if a.Err != nil || !l.admitLocked(a, origin, run) {
			continue
		}
		if len(run.bytes) > 0 && (run.alone || l.rollsBeforeLocked(run, &a.header)) {
			if err := l.writeRunLocked(run, batches[run.from:i]); err != nil {
				return l.failed("append", err)
			}
			run.begin(i, run.end)
		}
		l.joinLocked(run, a)
	}
	if len(run.bytes) == 0 {
		return nil
	}
	if err := l.writeRunLocked(run, batches[run.from:]); err != nil {
		return l.failed("append", err)
	}
	return nil
}

// admitLocked gives a batch its offsets behind the run and checks its producer. It is false for a duplicate and after an error, which is in a.Err.
func (l *Log) admitLocked(a *Append, origin Origin, run *appendRun) bool {
	b, h := a.batch, &a.header
	b.SetBaseOffset(run.end)
	b.SetLeaderEpoch(a.LeaderEpoch)
	if !parseHeader(b, 0, h) || h.size != int64(len(b)) {
		a.Err = &record.ValidationError{Code: protocol.InvalidRecord, Cause: "the batch does not end where it says"}
		return false
	}
	a.BaseOffset, a.LastOffset, a.LogStartOffset = run.end, h.lastOffset, l.logStart.Load()
	if origin != FromClient || h.producerID < 0 {
		return true
	}
	first, duplicate, err := l.mu.producers.check(h)
	if duplicate {
		a.BaseOffset, a.LastOffset = first.firstOffset(), first.lastOffset
		a.LogAppendTimeMs, a.Duplicate = first.timestamp, true
	}
	a.Err = err
	return err == nil && !duplicate
}

// rollsBeforeLocked reports whether a new segment is due between the run and the next batch.
func (l *Log) rollsBeforeLocked(run *appendRun, next *batchHeader) bool {
	s := l.segments.Load().active()
	return l.rollDueLocked(s, l.Config(), s.size.Load()+run.size, next.size, next.lastOffset, next.maxTimestamp)
}

// joinLocked puts a batch at the run's end, and its producer into the log's state. A control batch ends a transaction only when it is written.
func (l *Log) joinLocked(run *appendRun, a *Append) {
	h := &a.header
	if len(run.bytes) == 0 {
		run.alone = l.segments.Load().active().size.Load() == 0 || l.rollsBeforeLocked(run, h)
	}
	h.position, a.joined = run.size, true
	run.bytes = append(run.bytes, a.batch)
	run.size += h.size
	run.end = h.lastOffset + 1
	if h.producerID >= 0 && !h.control() {
		l.mu.producers.apply(h, nil)
	}
}

// writeRunLocked writes the run, rolling before when that is due, and makes it part of the log. Of batches those that joined are in the run.
func (l *Log) writeRunLocked(run *appendRun, batches []Append) error {
	var first *batchHeader
	for i := range batches {
		if batches[i].joined {
			first = &batches[i].header
			break
		}
	}
	if err := l.writeLocked(run.bytes, run.size, first.baseOffset, run.end-1, first.maxTimestamp); err != nil {
		return err
	}
	base := first.baseOffset
	for i := range batches {
		a := &batches[i]
		if !a.joined {
			continue
		}
		if err := l.noteBatchLocked(&a.header); err != nil {
			return err
		}
		if a.header.control() {
			if err := l.applyLocked(&a.header, parseTxnMarker(a.batch)); err != nil {
				return err
			}
		}
	}
	l.epochs.assign(batches[0].LeaderEpoch, base)
	l.advanceLocked(run.size, run.end)
	l.noteUnflushedLocked(run.end-base, run.end)
	return nil
}

// writeLocked rolls when due and writes size bytes of whole batches behind the active segment's end. They do not count until advanceLocked.
func (l *Log) writeLocked(b [][]byte, size, firstOffset, lastOffset, maxTimestamp int64) error {
	if err := l.rollIfDueLocked(size, firstOffset, lastOffset, maxTimestamp); err != nil {
		return err
	}
	s := l.segments.Load().active()
	f := s.writing()
	if f == nil {
		var err error
		if f, err = l.openActiveLocked(s); err != nil {
			return err
		}
	}
	at := s.size.Load()
	s.reserveAhead(f, at+size, int64(l.Config().SegmentBytes))
	return writeAll(f, b, at)
}

// maxVectors is how many pieces go out with one pwritev: as many as unix.Pwritev takes without allocating.
const maxVectors = 8

// writeAll writes pieces one behind the other from offset at on. pieces is used up.
func writeAll(f *os.File, pieces [][]byte, at int64) error {
	for len(pieces) > 0 {
		if len(pieces) == 1 {
			_, err := f.WriteAt(pieces[0], at)
			return err
		}
		n, err := unix.Pwritev(int(f.Fd()), pieces[:min(len(pieces), maxVectors)], at)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("pwritev", err)
		case n == 0:
			return io.ErrShortWrite
		}
		at += int64(n)
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if n > 0 {
			pieces[0] = pieces[0][n:]
		}
	}
	return nil
}

// noteBatchLocked enters a written batch into indexes and tail. h.position counts from the beginning of the write.
func (l *Log) noteBatchLocked(h *batchHeader) error {
	s := l.segments.Load().active()
	h.position += s.size.Load()
	if err := s.noteBatch(h, int64(l.Config().IndexIntervalBytes)); err != nil {
		return err
	}
	l.tail.add(h)
	return nil
}

// applyLocked takes a written batch into the producer state, and an aborted transaction into the segment's index.
func (l *Log) applyLocked(h *batchHeader, marker *txnMarker) error {
	return applyBatch(&l.mu.producers, h, marker, l.segments.Load().active())
}

// applyBatch is applyLocked for a state that is being built.
func applyBatch(p *producerState, h *batchHeader, marker *txnMarker, s *segment) error {
	ended, wasOpen := p.apply(h, marker)
	if !wasOpen || marker.commit || s == nil {
		return nil
	}
	return s.appendAbortedTxn(abortedTxn{ended.producerID, ended.first, ended.last, p.stableAfter(ended)})
}

// advanceLocked makes the bytes that were written part of the log, which now ends at end.
func (l *Log) advanceLocked(bytes, end int64) {
	size := l.segments.Load().active().size.Add(bytes)
	l.tail.advance(size, end)
	l.publishUnstableLocked()
	l.logEnd.Store(end)
	l.grownLocked(bytes)
}
