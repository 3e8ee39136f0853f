package zk

import (
	"encoding/binary"
	"net"
	"time"
)

// watchedConn is a connection to a server that notices when go-zookeeper may have lost a watch. After a reconnect the
// library sends its watches again (SetWatches) with the last zxid it has seen, but reads that zxid beside the goroutine
// that receives: once other answers have come on the new connection, the zxid may be newer than a change that was missed
// while disconnected, and the server does not report it. A request that goes out before SetWatches makes this possible.
type watchedConn struct {
	net.Conn
	suspect func() // called when a watch may have been lost; must not block

	// Only the library's sending goroutine writes.
	handshaken, others, restored bool

	// A server that accepts but does not answer the handshake, as one does that is still starting, is given up after patience and tried again; the
	// library itself would wait for more than six session timeouts.
	patience time.Duration
	greeted  bool
}

// SetReadDeadline is called by the library around the answer to the handshake, and later before each read.
func (w *watchedConn) SetReadDeadline(t time.Time) error {
	switch soonest := time.Now().Add(w.patience); {
	case w.greeted:
	case t.IsZero():
		w.greeted = true
	case t.After(soonest):
		t = soonest
	}
	return w.Conn.SetReadDeadline(t)
}

// Opcodes of requests that carry no zxid into the library's state.
const (
	opcodePing       = 11
	opcodeAuth       = 100
	opcodeSetWatches = 101
)

// Write sees whole requests: the library writes each with one call, as length, xid, opcode, body.
func (w *watchedConn) Write(b []byte) (int, error) {
	switch {
	case !w.handshaken:
		w.handshaken = true
	case !w.restored && len(b) >= 12:
		switch binary.BigEndian.Uint32(b[8:12]) {
		case opcodePing, opcodeAuth:
		case opcodeSetWatches:
			w.restored = true
			if w.others {
				w.suspect()
			}
		default:
			w.others = true
		}
	}
	return w.Conn.Write(b)
}
