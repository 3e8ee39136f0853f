package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"gregor/protocol"
	"gregor/protocol/record"
)

// AppendAsFollower writes batches as a leader sent them, of any message format, verifying checksums and order. Bytes behind the last whole batch are
// dropped. Segments roll where the leader's did: between batches, by the same rules.
//
// Errors: CORRUPT_MESSAGE; ErrBelowLogEnd; OFFSET_OUT_OF_RANGE for offsets that go back within the set; RECORD_LIST_TOO_LARGE for a batch larger than
// any segment can be. After those nothing has changed. ErrStorage.
func (l *Log) AppendAsFollower(set []byte) error {
	if err := l.usable(); err != nil {
		return err
	}
	set, err := checkFollowerSet(set)
	if err != nil || len(set) == 0 {
		return err
	}
	if err := l.appendFollowerSet(set); err != nil {
		return err
	}
	return l.FlushDue()
}

// checkFollowerSet returns the whole batches of set.
func checkFollowerSet(set []byte) (whole []byte, err error) {
	end := int64(0)
	var h, previous batchHeader
	for {
		rest := set[end:]
		size, ok, err := wholeBatch(rest)
		if err != nil {
			return nil, corrupt("batch behind offset %d from the leader: %s", previous.lastOffset, err)
		}
		if !ok {
			return set[:end], nil
		}
		if !parseHeader(rest, end, &h) || checksum(rest[:size], h.magic) != h.crc {
			return nil, corrupt("batch at offset %d from the leader has a wrong checksum or size", int64(binary.BigEndian.Uint64(rest)))
		}
		if end > 0 && firstKnown(&h) <= previous.lastOffset {
			return nil, fmt.Errorf("offset %d after %d from the leader: %w", h.baseOffset, previous.lastOffset, protocol.OffsetOutOfRange)
		}
		if h.end() > 1<<31-1 {
			return nil, fmt.Errorf("%d bytes at once: %w", h.end(), protocol.RecordListTooLarge)
		}
		previous, end = h, h.end()
	}
}

// wholeBatch returns the size of the batch that b begins with; ok is false when b ends within it. The error says why there can be no batch.
func wholeBatch(b []byte) (size int64, ok bool, err error) {
	if len(b) < record.LogOverhead {
		return 0, false, nil
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	if length < minSizeV0 {
		return 0, false, fmt.Errorf("record size %d is less than the minimum record overhead (14)", length)
	}
	if len(b) > magicPosition && (int8(b[magicPosition]) < 0 || b[magicPosition] > 2) {
		return 0, false, fmt.Errorf("invalid magic found in record: %d", int8(b[magicPosition]))
	}
	size = record.LogOverhead + length
	return size, size <= int64(len(b)), nil
}

// checksum computes the checksum of a whole batch.
func checksum(b []byte, magic int8) uint32 {
	if magic < 2 {
		return crc32.ChecksumIEEE(b[crcStartOld:])
	}
	return crc32.Checksum(b[crcStart:], castagnoli)
}

// firstKnown is the first offset of a batch as far as its header tells: message sets of formats 0 and 1 carry their last one
// (RecordBatch.baseOffset, LogAppendInfo.firstOrLastOffsetOfFirstBatch).
func firstKnown(h *batchHeader) int64 {
	if h.magic < 2 {
		return h.lastOffset
	}
	return h.baseOffset
}

// BatchOffsets returns the offsets of the batch that a set begins with; ok is false when it begins with none.
func BatchOffsets(set []byte) (first, last int64, ok bool) {
	var h batchHeader
	if !parseHeader(set, 0, &h) {
		return 0, 0, false
	}
	return firstKnown(&h), h.lastOffset, true
}

// appendFollowerSet writes the whole batches of set, those that go into one segment at once.
func (l *Log) appendFollowerSet(set []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	var first batchHeader
	parseHeader(set, 0, &first)
	if end := l.logEnd.Load(); firstKnown(&first) < end {
		return fmt.Errorf("offset %d from the leader, the log ends at %d: %w", firstKnown(&first), end, ErrBelowLogEnd)
	}
	for len(set) > 0 {
		run, last := l.followerRunLocked(set)
		parseHeader(run, 0, &first)
		if err := l.writeLocked([][]byte{run}, int64(len(run)), firstKnown(&first), last.lastOffset, first.maxTimestamp); err != nil {
			return l.failed("append", err)
		}
		records, err := l.noteRunLocked(run)
		if err != nil {
			return l.failed("append", err)
		}
		l.advanceLocked(int64(len(run)), last.lastOffset+1)
		l.noteUnflushedLocked(records, last.lastOffset+1)
		set = set[len(run):]
	}
	return nil
}

// followerRunLocked returns the first batches of set that go into one segment: the first, before which the log may roll, and those behind it before which it
// does not. An empty segment gets its first batch alone, because its age counts from there.
func (l *Log) followerRunLocked(set []byte) (run []byte, last batchHeader) {
	parseHeader(set, 0, &last)
	s, cfg := l.segments.Load().active(), l.Config()
	used := s.size.Load()
	if used == 0 || l.rollDueLocked(s, cfg, used, last.size, last.lastOffset, last.maxTimestamp) {
		return set[:last.size], last
	}
	for last.end() < int64(len(set)) {
		var next batchHeader
		parseHeader(set[last.end():], last.end(), &next)
		if l.rollDueLocked(s, cfg, used+next.position, next.size, next.lastOffset, next.maxTimestamp) {
			break
		}
		last = next
	}
	return set[:last.end()], last
}

// noteRunLocked enters the written batches of a run into everything that is built from batches, and counts their records.
func (l *Log) noteRunLocked(run []byte) (records int64, err error) {
	for at := int64(0); at < int64(len(run)); {
		var h batchHeader
		parseHeader(run[at:], at, &h)
		var marker *txnMarker
		if h.control() {
			marker = parseTxnMarker(record.Batch(run[at:h.end()]))
		}
		at = h.end()
		if h.magic >= 2 {
			l.epochs.assign(h.leaderEpoch, h.baseOffset)
		} else if l.epochs.latest() >= 0 {
			// Such messages have no epoch: as long as they are the newest, followers go by the high watermark (UnifiedLog.append).
			l.epochs.clear()
		}
		records += h.lastOffset - firstKnown(&h) + 1
		if err := l.noteBatchLocked(&h); err != nil {
			return records, err
		}
		if h.producerID >= 0 {
			if err := l.applyLocked(&h, marker); err != nil {
				return records, err
			}
		}
	}
	return records, nil
}
