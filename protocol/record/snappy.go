package record

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Java's Snappy streams (org.xerial.snappy.SnappyOutputStream): a header of sixteen bytes, then blocks of at most 32 KiB of input,
// each behind its compressed size as a big-endian int32. Others send a bare Snappy block, which Java reads as well.
const (
	xerialMagic     = "\x82SNAPPY\x00"
	xerialHeader    = xerialMagic + "\x00\x00\x00\x01\x00\x00\x00\x01" // version, least compatible version
	xerialBlockSize = 32 << 10
	keepBlock       = 256 << 10 // size up to which a reader keeps its block buffer

	snappyMaxExpansion = 22
)

var errSnappy = errors.New("corrupt stream")

// snappyReader decodes a Snappy stream, framed or bare, block by block.
type snappyReader struct {
	src    []byte
	framed bool
	block  []byte // what of the current block is unread
	buf    []byte // what blocks are decoded into
}

func (r *snappyReader) reset(src []byte) {
	r.src, r.block, r.framed = src, nil, false
	if cap(r.buf) > keepBlock {
		r.buf = nil
	}
	if len(src) >= len(xerialHeader) && string(src[:len(xerialMagic)]) == xerialMagic {
		r.src, r.framed = src[len(xerialHeader):], true
	}
}

// Read implements io.Reader.
func (r *snappyReader) Read(p []byte) (int, error) {
	for len(r.block) == 0 {
		if len(r.src) == 0 {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}

// next decodes the next block.
func (r *snappyReader) next() error {
	block, rest := r.src, []byte(nil)
	if r.framed {
		// Streams may be joined: a further header may stand where a block is expected.
		if len(r.src) >= len(xerialHeader) && string(r.src[:len(xerialMagic)]) == xerialMagic {
			r.src = r.src[len(xerialHeader):]
			return nil
		}
		if len(r.src) < 4 {
			return errSnappy
		}
		n := int(int32(binary.BigEndian.Uint32(r.src)))
		if n < 0 || n > len(r.src)-4 {
			return errSnappy
		}
		block, rest = r.src[4:4+n], r.src[4+n:]
	}
	r.src = rest
	size, n := binary.Uvarint(block)
	// Three bytes copy at most 64: a block that says more would only make us take memory.
	if n <= 0 || n > 5 || size > uint64(snappyMaxExpansion*len(block)) {
		return errSnappy
	}
	r.block = r.buf[:0]
	if uint64(cap(r.buf)) < size {
		r.block = make([]byte, size)
	}
	r.block = r.block[:size]
	if !decodeSnappy(r.block, block[n:]) {
		return errSnappy
	}
	if cap(r.block) > cap(r.buf) {
		r.buf = r.block
	}
	return nil
}

// appendXerial appends src to dst as Java's stream writes it.
func appendXerial(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlockSize)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))
		encoded := s2.EncodeSnappy(dst[at+4:cap(dst)], block)
		dst = dst[:at+4+len(encoded)]
		binary.BigEndian.PutUint32(dst[at:], uint32(len(encoded)))
	}
	return dst
}
