package protocol

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
	"unsafe"
)

// What can be wrong with the bytes of a request. They reach the outside wrapped, with the name of the API and the field.
var (
	errShort       = errors.New("a length points beyond the end")
	errVarint      = errors.New("a varint does not end within five bytes")
	errNull        = errors.New("null where a value is required")
	errStringSize  = errors.New("a string is longer than 32767 bytes")
	errUnknownTag  = errors.New("a tag does not exist in this version")
	errTooManyData = errors.New("more elements than a request may hold")
)

// reader takes the primitive types of the Kafka protocol off a byte slice as leniently as Kafka's generated code does
// (org.apache.kafka.common.protocol.ByteBufferAccessor): every negative length is null, booleans are any byte, varints
// need not be minimal. The first error sticks, and everything read after it is zero. Reading allocates nothing.
type reader struct {
	buf      []byte
	off      int
	flexible bool
	err      error
}

func (r *reader) remaining() int { return len(r.buf) - r.off }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.off = len(r.buf)
}

// span returns the next n bytes, aliased, and nil on error.
func (r *reader) span(n int) []byte {
	if n < 0 || n > r.remaining() {
		r.fail(errShort)
		return nil
	}
	s := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return s
}

func (r *reader) int8() int8 {
	if s := r.span(1); s != nil {
		return int8(s[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if s := r.span(2); s != nil {
		return int16(binary.BigEndian.Uint16(s))
	}
	return 0
}

func (r *reader) int32() int32 {
	if s := r.span(4); s != nil {
		return int32(binary.BigEndian.Uint32(s))
	}
	return 0
}

func (r *reader) int64() int64 {
	if s := r.span(8); s != nil {
		return int64(binary.BigEndian.Uint64(s))
	}
	return 0
}

func (r *reader) uuid() (id TopicID) {
	copy(id[:], r.span(len(id)))
	return id
}

// uvarint reads up to five bytes. Like Kafka it lets the excess bits of the fifth fall off (ByteUtils.readUnsignedVarint).
func (r *reader) uvarint() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		if r.off >= len(r.buf) {
			r.fail(errShort)
			return 0
		}
		b := r.buf[r.off]
		r.off++
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail(errVarint)
	return 0
}

// compactLen is the length in front of compact strings, bytes and arrays; negative means null.
func (r *reader) compactLen() int { return int(int32(r.uvarint()) - 1) }

// stringLen is the length of a string in the reader's encoding; negative means null.
func (r *reader) stringLen() int {
	if !r.flexible {
		return int(r.int16())
	}
	n := r.compactLen()
	if n > 0x7fff {
		r.fail(errStringSize)
		return 0
	}
	return n
}

// bytesLen is the length of bytes or an array in the reader's encoding; negative means null.
func (r *reader) bytesLen() int {
	if !r.flexible {
		return int(r.int32())
	}
	return r.compactLen()
}

// arrayLen is the length of an array that may not be null. It never exceeds the bytes that remain, as no element is
// smaller than one byte.
func (r *reader) arrayLen() int {
	n := r.nullableArrayLen()
	if n < 0 {
		r.fail(errNull)
		return 0
	}
	return n
}

// nullableArrayLen is -1 for null.
func (r *reader) nullableArrayLen() int {
	n := r.bytesLen()
	if n > r.remaining() {
		r.fail(errShort)
		return 0
	}
	return max(n, -1)
}

// string reads a string that may not be null. The result aliases the buffer, unless it has to be mended to be UTF-8.
func (r *reader) string() string {
	s, ok := r.nullableString()
	if !ok {
		r.fail(errNull)
	}
	return s
}

// nullableString reports false for null.
func (r *reader) nullableString() (string, bool) {
	n := r.stringLen()
	if n < 0 {
		return "", false
	}
	b := r.span(n)
	if len(b) == 0 {
		return "", true
	}
	if !utf8.Valid(b) {
		return string(appendJavaUTF8(nil, b)), true
	}
	return unsafe.String(&b[0], len(b)), true
}

// nullableBytes returns nil for null, and an empty slice that is not nil for no bytes.
func (r *reader) nullableBytes() []byte {
	n := r.bytesLen()
	if n < 0 {
		return nil
	}
	return r.span(n)
}

// tagCount begins a tag section; outside flexible versions there is none. A negative count counts as none, as in Kafka.
func (r *reader) tagCount() int {
	if !r.flexible {
		return 0
	}
	return max(int(int32(r.uvarint())), 0)
}

// skipTags skips a tag section in which this version has no tags that mean anything: tags from known[0] on mean
// something in another version, which Kafka refuses.
func (r *reader) skipTags(known ...uint32) {
	for n := r.tagCount(); n > 0 && r.err == nil; n-- {
		tag, size := r.uvarint(), int(int32(r.uvarint()))
		for _, k := range known {
			if tag == k {
				r.fail(errUnknownTag)
			}
		}
		r.span(size)
	}
}
