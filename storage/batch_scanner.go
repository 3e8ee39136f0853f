package storage

import (
	"hash/crc32"
	"io"
	"sync"

	"gregor/protocol/record"
)

// A scanner reads scanBuffer bytes at once: enough for the headers between two index entries of the default
// index.interval.bytes. Its first read, and those behind a batch that is larger than that, are of scanStart bytes: who finds a batch at
// once, or jumps over large ones, wants a header and no more.
const (
	scanBuffer = 8 << 10
	scanStart  = 512
)

var scanBuffers = sync.Pool{New: func() any { return new([scanBuffer]byte) }}

// batchScanner walks over the batch headers of a segment file. Its memory is one buffer, whatever the lengths in the
// file claim. It stops at end, and earlier at bytes that are no batch: pos then tells where.
type batchScanner struct {
	f   io.ReaderAt
	pos int64 // of the next batch
	end int64 // bytes of the file that count

	buf    *[scanBuffer]byte
	bufPos int64
	bufLen int
	ahead  int // bytes that the next read takes at least
}

// newBatchScanner takes a buffer from a pool; done gives it back.
func newBatchScanner(f io.ReaderAt, pos, end int64) batchScanner {
	return batchScanner{f: f, pos: pos, end: end, ahead: scanStart, buf: scanBuffers.Get().(*[scanBuffer]byte)}
}

func (s *batchScanner) done() { scanBuffers.Put(s.buf) }

// next reads the head of the next batch. ok is false at the end, before an incomplete batch, and at bytes that are
// none; an error is the disk's.
func (s *batchScanner) next(h *batchHeader) (ok bool, err error) {
	b, err := s.peek(s.pos, headerPeek)
	if err != nil || !parseHeader(b, s.pos, h) || h.end() > s.end {
		return false, err
	}
	s.pos = h.end()
	s.ahead = scanBuffer
	if h.size > scanBuffer {
		s.ahead = scanStart
	}
	return true, nil
}

// peek returns up to n bytes at pos, fewer only before end.
func (s *batchScanner) peek(pos int64, n int) ([]byte, error) {
	n = int(min(int64(n), max(s.end-pos, 0)))
	if pos < s.bufPos || pos+int64(n) > s.bufPos+int64(s.bufLen) {
		want := int(min(int64(max(n, s.ahead)), s.end-pos))
		got, err := s.f.ReadAt(s.buf[:want], pos)
		if err != nil && err != io.EOF {
			return nil, err
		}
		s.bufPos, s.bufLen = pos, got
		n = min(n, got)
	}
	at := int(pos - s.bufPos)
	return s.buf[at : at+n], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// validCRC reads the whole batch in chunks and compares its checksum.
func (s *batchScanner) validCRC(h *batchHeader) (bool, error) {
	table, at := castagnoli, h.position+crcStart
	if h.magic < 2 {
		table, at = crc32.IEEETable, h.position+crcStartOld
	}
	var crc uint32
	for at < h.end() {
		b, err := s.peek(at, int(min(h.end()-at, scanBuffer)))
		if err != nil {
			return false, err
		}
		if len(b) == 0 {
			return false, nil
		}
		crc = crc32.Update(crc, table, b)
		at += int64(len(b))
	}
	return crc == h.crc, nil
}

// readBatch returns the bytes of a whole batch, in buf when it is large enough.
func readBatch(f io.ReaderAt, h *batchHeader, buf []byte) (record.Batch, error) {
	if int64(cap(buf)) < h.size {
		buf = make([]byte, h.size)
	}
	buf = buf[:h.size]
	if _, err := f.ReadAt(buf, h.position); err != nil {
		return nil, err
	}
	return record.Batch(buf), nil
}
