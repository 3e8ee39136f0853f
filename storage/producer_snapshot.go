package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A snapshot file, <next offset>.snapshot:
//
//	int16 version 1
//	uint32 CRC-32C of what follows
//	int32 number of entries
//	entries: int64 producer id, int16 epoch, int32 last sequence, int64 last offset, int32 offset delta,
//	         int64 timestamp, int32 coordinator epoch, int64 first offset of the open transaction (-1 none)
const (
	snapshotVersion   = 1
	snapshotHeader    = 10
	snapshotEntrySize = 46
	snapshotCRCAt     = 2
	snapshotCRCStart  = 6
)

var errSnapshotDamaged = errors.New("producer snapshot is damaged")

func (s *producerState) encodeSnapshot() []byte {
	b := make([]byte, snapshotHeader, snapshotHeader+len(s.byID)*snapshotEntrySize)
	binary.BigEndian.PutUint16(b, snapshotVersion)
	binary.BigEndian.PutUint32(b[6:], uint32(len(s.byID)))
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		p := s.byID[id]
		last := producerBatch{lastSequence: noSequence, lastOffset: -1}
		if p.count > 0 {
			last = p.batches[p.count-1]
		}
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint16(b, uint16(p.epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(last.lastSequence))
		b = binary.BigEndian.AppendUint64(b, uint64(last.lastOffset))
		b = binary.BigEndian.AppendUint32(b, uint32(last.offsetDelta))
		b = binary.BigEndian.AppendUint64(b, uint64(p.lastTimestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(p.txnStart))
	}
	binary.BigEndian.PutUint32(b[snapshotCRCAt:], crc32.Checksum(b[snapshotCRCStart:], castagnoli))
	return b
}

// decodeSnapshot reads the producers of a snapshot.
func decodeSnapshot(b []byte) (producerState, error) {
	var s producerState
	if len(b) < snapshotHeader {
		return s, fmt.Errorf("%w: %d bytes", errSnapshotDamaged, len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != snapshotVersion {
		return s, fmt.Errorf("%w: version %d", errSnapshotDamaged, v)
	}
	if binary.BigEndian.Uint32(b[snapshotCRCAt:]) != crc32.Checksum(b[snapshotCRCStart:], castagnoli) {
		return s, fmt.Errorf("%w: its checksum does not match", errSnapshotDamaged)
	}
	count := int64(int32(binary.BigEndian.Uint32(b[6:])))
	if count < 0 || count*snapshotEntrySize != int64(len(b)-snapshotHeader) {
		return s, fmt.Errorf("%w: %d entries in %d bytes", errSnapshotDamaged, count, len(b))
	}
	s.byID = make(map[int64]*producer, count)
	for e := b[snapshotHeader:]; len(e) > 0; e = e[snapshotEntrySize:] {
		id := int64(binary.BigEndian.Uint64(e))
		p := &producer{
			epoch:            int16(binary.BigEndian.Uint16(e[8:])),
			lastTimestamp:    int64(binary.BigEndian.Uint64(e[26:])),
			coordinatorEpoch: int32(binary.BigEndian.Uint32(e[34:])),
			txnStart:         int64(binary.BigEndian.Uint64(e[38:])),
		}
		last := producerBatch{
			lastSequence: int32(binary.BigEndian.Uint32(e[10:])),
			lastOffset:   int64(binary.BigEndian.Uint64(e[14:])),
			offsetDelta:  int32(binary.BigEndian.Uint32(e[22:])),
			timestamp:    p.lastTimestamp,
		}
		if last.lastOffset >= 0 {
			p.add(last)
		}
		s.byID[id] = p
		if p.txnStart >= 0 {
			s.ongoing = insertTxn(s.ongoing, openTxn{id, p.txnStart, -1})
		}
	}
	return s, nil
}

func snapshotPath(dir string, offset int64) string {
	return filepath.Join(dir, offsetFileName(offset, snapshotSuffix))
}

// writeSnapshot stores the producers as of offset. It is not synced: the flush that makes the log durable up to offset
// does that, and until then the checksum and the log's tail stand in for it.
func (s *producerState) writeSnapshot(dir string, offset int64) error {
	return os.WriteFile(snapshotPath(dir, offset), s.encodeSnapshot(), 0o644)
}

// snapshotOffsets lists the snapshots of a partition's directory, rising.
func snapshotOffsets(dir string) ([]int64, error) {
	files, err := readDirNames(dir)
	return snapshotsIn(files), err
}

// snapshotsIn are the offsets of the snapshots among files, rising.
func snapshotsIn(files []string) (offsets []int64) {
	for _, name := range files {
		if o, ok := parseOffsetFileName(name, snapshotSuffix); ok {
			offsets = append(offsets, o)
		}
	}
	slices.Sort(offsets)
	return offsets
}
