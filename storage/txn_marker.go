package storage

import (
	"encoding/binary"
	"io"

	"gregor/protocol/record"
)

// txnMarker is the content of a control batch that ends a transaction (EndTransactionMarker).
type txnMarker struct {
	commit           bool
	coordinatorEpoch int32
}

// Types of control records that end a transaction; the others are KRaft's.
const (
	controlAbort  = 0
	controlCommit = 1
)

// maxControlBatch bounds what is read to find a marker; a marker batch has 78 bytes.
const maxControlBatch = 64 << 10

// parseTxnMarker finds the marker in a control batch; nil when it has none (KRaft's, or emptied by compaction) or is
// unreadable, which leaves producers as they are.
func parseTxnMarker(b record.Batch) *txnMarker {
	var m *txnMarker
	err := b.Each(maxControlBatch, func(r record.Record) error {
		if m != nil || len(r.Key) < 4 || len(r.Value) < 6 {
			return nil
		}
		kind := binary.BigEndian.Uint16(r.Key[2:])
		if kind == controlAbort || kind == controlCommit {
			m = &txnMarker{commit: kind == controlCommit, coordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return m
}

// readTxnMarker reads the marker of the batch at h from a segment file. nil for any other batch.
func readTxnMarker(f io.ReaderAt, h *batchHeader) (*txnMarker, error) {
	if !h.control() || !h.transactional() || h.size > maxControlBatch {
		return nil, nil
	}
	b, err := readBatch(f, h, nil)
	if err != nil {
		return nil, err
	}
	return parseTxnMarker(b), nil
}
