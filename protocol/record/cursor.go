package record

import (
	"errors"
	"fmt"
	"io"
)

// Errors of reading records. All but those of the decompressor mean that the records are not what the batch says they are.
var (
	errEnd       = errors.New("records end early")
	errVarint    = errors.New("a varint is too long")
	errTooLarge  = errors.New("records decompress to more than may be")
	errRemaining = errors.New("bytes remain after the last record")
)

// undecodableError is an error of a decompressor about its input.
type undecodableError struct{ err error }

// undecodable wraps what a decompressor returned, unless that is only its early end.
func undecodable(err error) error {
	if errors.Is(err, errEnd) {
		return err
	}
	return &undecodableError{err}
}

func (e *undecodableError) Error() string { return "cannot be decompressed: " + e.err.Error() }
func (e *undecodableError) Unwrap() error { return e.err }

// cursor reads the records of a batch: from memory when they are not compressed, else through a window over a decompressor. The first
// error sticks; what is read after it is zero.
type cursor struct {
	buf   []byte // the records, or a window of them
	pos   int
	base  int64     // bytes before buf
	src   io.Reader // nil: buf is all there is
	limit int64     // of bytes from src
	err   error

	window []byte // what src is read into
	whole  []byte // a record that does not lie in one window
}

// offset is the number of bytes read so far.
func (c *cursor) offset() int64 { return c.base + int64(c.pos) }

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.pos, c.src = len(c.buf), nil
}

// fill reads the next window once buf is used up; false at the end or on an error.
func (c *cursor) fill() bool {
	if c.src == nil {
		return false
	}
	c.base += int64(len(c.buf))
	c.buf, c.pos = c.window[:0], 0
	for range 100 {
		n, err := c.src.Read(c.window)
		if n > 0 {
			if c.base+int64(n) > c.limit {
				c.fail(errTooLarge)
				return false
			}
			c.buf = c.window[:n]
			return true // an error comes again with the next Read
		}
		if err == io.EOF {
			c.src = nil
			return false
		}
		if err != nil {
			c.fail(undecodable(err))
			return false
		}
	}
	c.fail(&undecodableError{io.ErrNoProgress})
	return false
}

func (c *cursor) readByte() byte {
	if c.pos == len(c.buf) && !c.fill() {
		c.fail(errEnd)
		return 0
	}
	b := c.buf[c.pos]
	c.pos++
	return b
}

// short reads a varint of one or two bytes, as most are. ok is false, and nothing is read, when the next one is longer or may be.
func (c *cursor) short() (v uint32, ok bool) {
	next := c.buf[c.pos:]
	if len(next) < 2 {
		return 0, false
	}
	first, second := uint32(next[0]), uint32(next[1])
	switch {
	case first < 0x80:
		c.pos++
		return first, true
	case second < 0x80:
		c.pos += 2
		return first&0x7f | second<<7, true
	}
	return 0, false
}

// varint reads up to five bytes; the excess bits of the fifth fall off, as in Kafka (ByteUtils.readVarint).
func (c *cursor) varint() int32 {
	v, ok := c.short()
	for shift := 0; !ok; shift += 7 {
		if shift == 35 {
			c.fail(errVarint)
			return 0
		}
		b := c.readByte()
		v |= uint32(b&0x7f) << shift
		ok = b < 0x80
	}
	return int32(v>>1) ^ -int32(v&1)
}

// varlong reads up to ten bytes.
func (c *cursor) varlong() int64 {
	few, ok := c.short()
	v := uint64(few)
	for shift := 0; !ok; shift += 7 {
		if shift == 70 {
			c.fail(errVarint)
			return 0
		}
		b := c.readByte()
		v |= uint64(b&0x7f) << shift
		ok = b < 0x80
	}
	return int64(v>>1) ^ -int64(v&1)
}

// skip passes over n bytes without looking at them.
func (c *cursor) skip(n int) {
	for n > len(c.buf)-c.pos {
		n -= len(c.buf) - c.pos
		c.pos = len(c.buf)
		if !c.fill() {
			c.fail(errEnd)
			return
		}
	}
	c.pos += n
}

// take returns the next n bytes. They are valid until the next call of any method. What it holds grows only with what has arrived.
func (c *cursor) take(n int) []byte {
	if n <= len(c.buf)-c.pos {
		c.pos += n
		return c.buf[c.pos-n : c.pos : c.pos]
	}
	c.whole = c.whole[:0]
	for n > 0 {
		if c.pos == len(c.buf) && !c.fill() {
			c.fail(errEnd)
			return nil
		}
		part := min(n, len(c.buf)-c.pos)
		c.whole = append(c.whole, c.buf[c.pos:c.pos+part]...)
		c.pos += part
		n -= part
	}
	return c.whole
}

// end checks that nothing is left. With a decompressor this also makes it check its own trailer.
func (c *cursor) end() {
	if c.err == nil && (c.pos < len(c.buf) || c.fill()) {
		c.fail(errRemaining)
	}
}

// open points the cursor at the records of b. close must follow.
func (c *cursor) open(b Batch, limit int64) (*decompressor, error) {
	c.buf, c.pos, c.base, c.src, c.err = b[BatchOverhead:], 0, 0, nil, nil
	codec := b.Codec()
	if codec == None {
		return nil, nil
	}
	d, err := openDecompressor(codec, b[BatchOverhead:])
	if err != nil {
		return nil, undecodable(fmt.Errorf("%s: %w", codec, err))
	}
	c.buf, c.src, c.limit, c.window = nil, d, limit, d.window
	return d, nil
}
