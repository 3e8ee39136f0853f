package record

import (
	"fmt"
	"sync"
)

// DefaultMaxDecompressed bounds what the records of one batch may decompress to where nothing else is asked for.
const DefaultMaxDecompressed = 512 << 20

// keepWhole is the size up to which a buffer for one record is kept for the next batch.
const keepWhole = 1 << 20

// Header is one record header. A nil Value is null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Nil Key or Value is null.
type Record struct {
	Attributes     int8
	TimestampDelta int64 // to the batch's base timestamp
	OffsetDelta    int32
	Key, Value     []byte
	Headers        []Header
}

// recordReader is what Each needs; it is pooled.
type recordReader struct {
	cursor  cursor
	body    cursor // over one record
	headers []Header
}

var recordReaders = sync.Pool{New: func() any { return new(recordReader) }}

// Each calls fn for every record, decompressing with bounded memory (maxDecompressed bytes in all; <= 0 takes DefaultMaxDecompressed).
// Key, Value and Headers alias buffers that are only valid during the call. It stops at the first error of fn and returns it. Records that
// are not what the batch says they are give an error that wraps ErrCorrupt. fn must not read another compressed batch: decoders are shared.
func (b Batch) Each(maxDecompressed int, fn func(Record) error) error {
	if len(b) < BatchOverhead || b.Codec() > Zstd {
		return fmt.Errorf("%w: no batch, or codec %d", ErrCorrupt, b.codecOrZero())
	}
	if maxDecompressed <= 0 {
		maxDecompressed = DefaultMaxDecompressed
	}
	r := recordReaders.Get().(*recordReader)
	defer r.release()
	d, err := r.cursor.open(b, int64(maxDecompressed))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer d.close()
	if b.Count() < 0 {
		return fmt.Errorf("%w: %d records", ErrCorrupt, b.Count())
	}
	for range b.Count() {
		rec, err := r.next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	if b.Count() > 0 {
		r.cursor.end()
	}
	if r.cursor.err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, r.cursor.err)
	}
	return nil
}

func (b Batch) codecOrZero() Codec {
	if len(b) < BatchOverhead {
		return 0
	}
	return b.Codec()
}

// release puts the reader back without anything it aliased.
func (r *recordReader) release() {
	whole := r.cursor.whole
	if cap(whole) > keepWhole {
		whole = nil
	}
	clear(r.headers)
	headers := r.headers[:0]
	if cap(headers) > 1024 {
		headers = nil
	}
	*r = recordReader{cursor: cursor{whole: whole}, headers: headers}
	recordReaders.Put(r)
}

// next reads one record.
func (r *recordReader) next() (Record, error) {
	n := r.cursor.varint()
	if n < 0 {
		r.cursor.fail(errBadSize)
	}
	body := r.cursor.take(int(max(n, 0)))
	if r.cursor.err != nil {
		return Record{}, r.cursor.err
	}
	r.body = cursor{buf: body}
	c := &r.body
	var rec Record
	rec.Attributes = int8(c.readByte())
	rec.TimestampDelta = c.varlong()
	rec.OffsetDelta = c.varint()
	rec.Key = c.bytes()
	rec.Value = c.bytes()
	count := c.varint()
	if c.err == nil && (count < 0 || int(count) > len(c.buf)-c.pos) {
		c.fail(errHeaderCount)
	}
	clear(r.headers)
	r.headers = r.headers[:0]
	for ; count > 0 && c.err == nil; count-- {
		n := c.varint()
		if n < 0 {
			c.fail(errHeaderKey)
			break
		}
		key := c.take(int(n))
		r.headers = append(r.headers, Header{Key: string(key), Value: c.bytes()})
	}
	if c.err == nil && c.pos != len(c.buf) {
		c.fail(errBadSize)
	}
	rec.Headers = r.headers
	return rec, c.err
}

// bytes reads bytes behind their length; any negative length is null. It is for a cursor over memory only.
func (c *cursor) bytes() []byte {
	n := int(c.varint())
	if n < 0 || c.err != nil {
		return nil
	}
	if n > len(c.buf)-c.pos {
		c.fail(errEnd)
		return nil
	}
	return c.take(n)
}
