package zktest

import (
	"encoding/binary"
	"errors"
)

// reader takes jute-encoded values off a request; the first short read makes err stick and all later values zero.
type reader struct {
	buf []byte
	err error
}

var errShort = errors.New("request ends early")

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.buf) {
		r.err = errShort
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) bool() bool {
	b := r.take(1)
	return b != nil && b[0] != 0
}

// bytes returns nil for a null buffer (length -1), which is not the same as an empty one.
func (r *reader) bytes() []byte {
	n := r.int32()
	if r.err != nil || n == -1 {
		return nil
	}
	return append([]byte{}, r.take(int(n))...)
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) strings() []string {
	var out []string
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		out = append(out, r.string())
	}
	return out
}

// acls skips a list of ACLs: this server lets everybody do everything.
func (r *reader) acls() {
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		r.int32()
		r.string()
		r.string()
	}
}

// writer appends jute-encoded values.
type writer struct{ buf []byte }

func (w *writer) int32(v int32) { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }
func (w *writer) int64(v int64) { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }

func (w *writer) bool(v bool) {
	if v {
		w.buf = append(w.buf, 1)
	} else {
		w.buf = append(w.buf, 0)
	}
}

func (w *writer) bytes(b []byte) {
	if b == nil {
		w.int32(-1)
		return
	}
	w.int32(int32(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) string(s string) { w.bytes([]byte(s)) }

func (w *writer) stat(n *node) {
	w.int64(n.czxid)
	w.int64(n.mzxid)
	w.int64(n.ctime)
	w.int64(n.mtime)
	w.int32(n.version)
	w.int32(n.cversion)
	w.int32(0)
	w.int64(n.owner)
	w.int32(int32(len(n.data)))
	w.int32(int32(len(n.children)))
	w.int64(n.pzxid)
}
