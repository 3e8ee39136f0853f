package zk

import (
	"encoding/binary"
	"net"
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
