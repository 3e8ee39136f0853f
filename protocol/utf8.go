package protocol

import "unicode/utf8"

// appendJavaUTF8 appends b to dst with everything in it that is not UTF-8 replaced by U+FFFD, in the portions in which Java's
// decoder replaces it (sun.nio.cs.UTF_8): a name that a client sends with broken bytes gets the same spelling here and there.
func appendJavaUTF8(dst, b []byte) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformedLen(b)
			dst = utf8.AppendRune(dst, utf8.RuneError)
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

// malformedLen says how many bytes at the head of b, which do not begin a valid sequence, become one U+FFFD.
func malformedLen(b []byte) int {
	continuation := func(i int) bool { return i < len(b) && b[i]&0xc0 == 0x80 }
	switch lead := b[0]; {
	case lead&0xf0 == 0xe0:
		if !continuation(1) || lead == 0xe0 && b[1]&0xe0 == 0x80 {
			return 1
		}
		if !continuation(2) {
			return 2
		}
		return 3 // a surrogate, encoded
	case lead >= 0xf0 && lead <= 0xf4:
		tooSmall := lead == 0xf0 && len(b) > 1 && b[1] < 0x90
		tooLarge := lead == 0xf4 && len(b) > 1 && b[1] > 0x8f
		if !continuation(1) || tooSmall || tooLarge {
			return 1
		}
		if !continuation(2) {
			return 2
		}
		return 3
	}
	return 1
}
