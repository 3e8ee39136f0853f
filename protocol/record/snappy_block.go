package record

import "encoding/binary"

// A Snappy block is its decompressed length as a varint, then elements, each behind a tag byte, of which the low two bits say what it is:
//
//	0  literal: length-1 in the upper six bits; 60 to 63: in one to four bytes behind the tag
//	1  copy: length-4 in bits 2 to 4; offset in bits 5 to 7 and one byte behind
//	2  copy: length-1 in the upper six bits; offset in two bytes behind
//	3  copy: length-1 in the upper six bits; offset in four bytes behind
//
// Offsets count back from the end of what is decompressed so far; a copy may reach into what it makes itself.

// slack is how many bytes short elements are copied as, whatever their length: one move instead of a call. What is copied too much is written over by the next element.
const slack = 16

// decodeSnappy decodes the elements of a block into dst, which has exactly the decompressed length. False: they are no such elements. Only what Snappy itself decodes is
// taken, because what is stored has to be readable for Java: S2's copies from offset 0 are refused.
func decodeSnappy(dst, src []byte) bool {
	d, s := 0, 0
	for s < len(src) {
		tag := src[s]
		if tag&3 == 0 {
			n := int(tag>>2) + 1
			s++
			if n <= slack && len(dst)-d >= slack && len(src)-s >= slack {
				*(*[slack]byte)(dst[d:]) = *(*[slack]byte)(src[s:])
				d += n
				s += n
				continue
			}
			if extra := n - 60; extra > 0 {
				if len(src)-s < extra {
					return false
				}
				n = littleEndian(src[s:s+extra]) + 1
				s += extra
			}
			if n > len(src)-s || n > len(dst)-d {
				return false
			}
			copy(dst[d:d+n], src[s:s+n])
			d += n
			s += n
			continue
		}
		var offset, n int
		switch {
		case tag&3 == 1 && len(src)-s >= 2:
			offset, n = int(tag>>5)<<8|int(src[s+1]), 4+int(tag>>2&7)
			s += 2
		case tag&3 == 2 && len(src)-s >= 3:
			offset, n = int(binary.LittleEndian.Uint16(src[s+1:])), 1+int(tag>>2)
			s += 3
		case tag&3 == 3 && len(src)-s >= 5:
			offset, n = int(binary.LittleEndian.Uint32(src[s+1:])), 1+int(tag>>2)
			s += 5
		}
		if offset <= 0 || offset > d || n > len(dst)-d { // offset 0 is also that of an element that is cut short
			return false
		}
		from := d - offset
		if offset >= slack && n <= slack && len(dst)-d >= slack {
			*(*[slack]byte)(dst[d:]) = *(*[slack]byte)(dst[from:])
			d += n
			continue
		}
		for end := d + n; d < end; { // as much at once as is there already, which doubles where a copy reaches into itself
			d += copy(dst[d:end], dst[from:d])
		}
	}
	return d == len(dst)
}

// littleEndian is the number in one to four bytes.
func littleEndian(b []byte) int {
	n := 0
	for i, v := range b {
		n |= int(v) << (8 * i)
	}
	return n
}
