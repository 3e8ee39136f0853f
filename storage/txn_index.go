package storage

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// An entry of .txnindex, the aborted transactions of a segment (AbortedTxn of Apache Kafka):
//
//	int16 version 0, int64 producer id, int64 first offset, int64 last offset, int64 last stable offset
const txnEntrySize = 34

type abortedTxn struct {
	producerID, firstOffset, lastOffset, lastStableOffset int64
}

func (t abortedTxn) encode() []byte {
	b := make([]byte, 2, txnEntrySize)
	for _, v := range []int64{t.producerID, t.firstOffset, t.lastOffset, t.lastStableOffset} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// parseTxnIndex reads whole entries; what cannot be one ends the list and is an error.
func parseTxnIndex(b []byte) ([]abortedTxn, error) {
	var list []abortedTxn
	for ; len(b) >= txnEntrySize; b = b[txnEntrySize:] {
		v := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
		t := abortedTxn{v(2), v(10), v(18), v(26)}
		if binary.BigEndian.Uint16(b) != 0 || t.firstOffset < 0 || t.lastOffset < t.firstOffset {
			return list, errIndexDamaged
		}
		list = append(list, t)
	}
	if len(b) > 0 {
		return list, errIndexDamaged
	}
	return list, nil
}

func (s *segment) txnIndexPath() string {
	return filepath.Join(s.dir, offsetFileName(s.base, txnIndexSuffix))
}

// abortedTxns reads the segment's aborted transactions; most segments have no such file.
func (s *segment) abortedTxns() ([]abortedTxn, error) {
	b, err := readSmallFile(s.txnIndexPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseTxnIndex(b)
}

func (s *segment) appendAbortedTxn(t abortedTxn) error {
	f, err := os.OpenFile(s.txnIndexPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(t.encode())
	return errors.Join(err, f.Close())
}

// truncateTxnIndex keeps the transactions that ended before offset.
func (s *segment) truncateTxnIndex(offset int64) error {
	list, err := s.abortedTxns()
	if err != nil && isEnvironment(err) {
		return err
	}
	keep := len(list)
	for keep > 0 && list[keep-1].lastOffset >= offset {
		keep--
	}
	if err := os.Truncate(s.txnIndexPath(), int64(keep)*txnEntrySize); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// AbortedTxn is one aborted transaction for a read_committed fetch.
type AbortedTxn struct{ ProducerID, FirstOffset int64 }

// AbortedTxns lists the aborted transactions that have records in [from, to). It is what a consumer that was given
// these offsets needs to skip them.
func (l *Log) AbortedTxns(from, to int64) []AbortedTxn {
	segs := l.segments.Load().list
	var found []AbortedTxn
	for i := max(l.segments.Load().floor(from), 0); i < len(segs); i++ {
		list, err := segs[i].abortedTxns()
		if err != nil {
			l.warn("transaction index is unreadable", "file", segs[i].txnIndexPath(), "error", err)
		}
		for _, t := range list {
			if t.lastOffset >= from && t.firstOffset < to {
				found = append(found, AbortedTxn{t.producerID, t.firstOffset})
			}
			// Later entries end behind this stable offset, so they began behind it, too.
			if t.lastStableOffset >= to {
				return found
			}
		}
	}
	return found
}
