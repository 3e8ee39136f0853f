package protocol

import (
	"encoding/binary"
	"unicode/utf8"
)

// maxDecodedBytes bounds what the arrays and strings of one request may take in memory once decoded. Elements can be far smaller on
// the wire than in memory: without a bound a frame of 100 MiB makes gigabytes. The largest honest requests, a controller's about
// a million partitions, stay under it.
const maxDecodedBytes = 256 << 20

// walker goes over the body of a request along its schema, before kmsg decodes it, because kmsg takes some bytes that Kafka
// refuses (null for a string that may not be null becomes ""), and refuses some that Kafka takes.
//
// The first walk only checks, and allocates nothing. It finds the body either canonical, which kmsg reads as Kafka does, or legal but
// odd; then a second walk writes it anew in canonical form into out: unknown tags dropped, varints minimal, null as kmsg expects it,
// strings mended to UTF-8 as Java mends them.
type walker struct {
	reader
	version int16
	odd     bool
	decoded int64 // estimate of the memory the request takes once decoded
	culprit *field
	writing bool
	out     []byte
}

// walk checks body and returns the form of it that kmsg reads as Kafka reads body. The result aliases body when body is canonical.
func (rq *request) walk(version int16, body []byte) (canonical []byte, culprit *field, err error) {
	w := walker{reader: reader{buf: body, flexible: rq.api.Flexible(version)}, version: version}
	w.structure(rq.fields)
	if w.err != nil {
		return nil, w.culprit, w.err
	}
	if !w.odd {
		return body[:w.off], nil, nil // Kafka takes no notice of bytes after the body
	}
	w = walker{reader: reader{buf: body, flexible: w.flexible}, version: version, writing: true, out: make([]byte, 0, len(body)+64)}
	w.structure(rq.fields)
	return w.out, w.culprit, w.err
}

// structure walks the fields of a struct and its tag section.
func (w *walker) structure(fields []*field) {
	tagged := false
	for _, f := range fields {
		if f.tag >= 0 {
			tagged = true
			continue
		}
		if !f.versions.has(w.version) {
			continue
		}
		w.field(f)
		if w.err != nil {
			return
		}
	}
	if w.flexible {
		w.tags(fields, tagged)
	}
}

func (w *walker) field(f *field) {
	if f.array {
		w.arrayOf(f)
	} else {
		w.value(f)
	}
	if w.err != nil && w.culprit == nil {
		w.culprit = f
	}
}

// value walks a field that is no array, or one element of an array.
func (w *walker) value(f *field) {
	switch f.kind {
	case typeStruct:
		w.structure(f.fields)
	case typeString:
		w.stringValue(f)
	case typeBytes:
		w.bytesValue(f)
	default:
		b := w.span(f.kind.wireSize())
		if w.writing {
			w.out = append(w.out, b...)
		}
	}
}

func (w *walker) stringValue(f *field) {
	n := w.stringLen()
	if w.err != nil {
		return
	}
	if n < 0 {
		// Elements of an array are never null, whatever the array itself may be.
		if f.array || !f.nullable.has(w.version) {
			w.fail(errNull)
			return
		}
		w.odd = w.odd || n < -1
		w.writeStringLen(-1)
		return
	}
	b := w.span(n)
	if n > 0 {
		w.charge(int64(n) + 16)
	}
	valid := utf8.Valid(b)
	w.odd = w.odd || !valid
	if w.writing {
		if !valid {
			b = appendJavaUTF8(nil, b)
			if len(b) > 0x7fff && !w.flexible {
				w.fail(errStringSize)
				return
			}
		}
		w.writeStringLen(len(b))
		w.out = append(w.out, b...)
	}
}

// presentLen walks the length of bytes or of an array. ok is false when there is nothing behind it to walk: after an
// error, and for a null, which is dealt with here.
func (w *walker) presentLen(f *field) (n int, ok bool) {
	n = w.bytesLen()
	switch {
	case w.err != nil:
		return 0, false
	case n >= 0:
		return n, true
	case !f.nullable.has(w.version):
		w.fail(errNull)
	default:
		w.odd = w.odd || n < -1
		w.writeBytesLen(-1)
	}
	return 0, false
}

func (w *walker) bytesValue(f *field) {
	n, ok := w.presentLen(f)
	if !ok {
		return
	}
	b := w.span(n)
	if w.writing {
		w.writeBytesLen(len(b))
		w.out = append(w.out, b...)
	}
}

func (w *walker) arrayOf(f *field) {
	n, ok := w.presentLen(f)
	if !ok {
		return
	}
	if n > w.remaining() {
		w.fail(errShort)
		return
	}
	w.charge(int64(n) * f.decoded)
	w.writeBytesLen(n)
	if size := f.kind.wireSize(); size > 0 {
		b := w.span(n * size)
		if w.writing {
			w.out = append(w.out, b...)
		}
		return
	}
	for ; n > 0 && w.err == nil; n-- {
		w.value(f)
	}
}

// charge counts memory that decoding is going to take.
func (w *walker) charge(bytes int64) {
	if w.decoded += bytes; w.decoded > maxDecodedBytes {
		w.fail(errTooManyData)
	}
}

// tags walks the tag section of a struct. Kafka reads the value of a tag it knows by the value's own type and takes no notice of
// the size before it; it skips the others by their size. A tag that exists in other versions only is an error there.
func (w *walker) tags(fields []*field, any bool) {
	start, kept := len(w.out), 0
	n := int32(w.uvarint())
	w.odd = w.odd || n < 0
	for ; n > 0 && w.err == nil; n-- {
		tag, size := w.uvarint(), int(int32(w.uvarint()))
		var f *field
		if any {
			f = findTag(fields, tag)
		}
		if f == nil {
			w.odd = true
			w.span(size)
			continue
		}
		if !f.versions.has(w.version) {
			w.fail(errUnknownTag)
			return
		}
		kept++
		if w.writing {
			w.out = binary.AppendUvarint(w.out, uint64(tag))
		}
		from, value := w.off, len(w.out)
		w.field(f)
		w.odd = w.odd || w.off-from != size
		w.insertUvarint(value, len(w.out)-value)
	}
	w.insertUvarint(start, kept)
}

func findTag(fields []*field, tag uint32) *field {
	for _, f := range fields {
		if f.tag == int(tag) {
			return f
		}
	}
	return nil
}

// uvarint marks the fifth byte that kmsg does not take as odd.
func (w *walker) uvarint() uint32 {
	from := w.off
	v := w.reader.uvarint()
	w.odd = w.odd || w.off-from == 5 && w.err == nil && w.buf[w.off-1] > 0x0f
	return v
}

// stringLen and bytesLen are those of reader, by way of the walker's uvarint.
func (w *walker) stringLen() int {
	if !w.flexible {
		return int(w.int16())
	}
	n := int(int32(w.uvarint()) - 1)
	if n > 0x7fff {
		w.fail(errStringSize)
		return 0
	}
	return n
}

func (w *walker) bytesLen() int {
	if !w.flexible {
		return int(w.int32())
	}
	return int(int32(w.uvarint()) - 1)
}

func (w *walker) writeStringLen(n int) {
	if !w.writing {
		return
	}
	if w.flexible {
		w.out = binary.AppendUvarint(w.out, uint64(n+1))
	} else {
		w.out = binary.BigEndian.AppendUint16(w.out, uint16(n))
	}
}

func (w *walker) writeBytesLen(n int) {
	if !w.writing {
		return
	}
	if w.flexible {
		w.out = binary.AppendUvarint(w.out, uint64(n+1))
	} else {
		w.out = binary.BigEndian.AppendUint32(w.out, uint32(n))
	}
}

// insertUvarint puts v before what was written from position at on.
func (w *walker) insertUvarint(at, v int) {
	if !w.writing {
		return
	}
	end := len(w.out)
	w.out = binary.AppendUvarint(w.out, uint64(v))
	n := len(w.out) - end
	var head [binary.MaxVarintLen64]byte
	copy(head[:], w.out[end:])
	copy(w.out[at+n:], w.out[at:end])
	copy(w.out[at:], head[:n])
}
