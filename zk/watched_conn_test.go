package zk

import (
	"encoding/binary"
	"net"
	"testing"
)

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestWatchedConn: a request before SetWatches is suspect; the handshake, pings and later requests are not.
func TestWatchedConn(t *testing.T) {
	const exists = 3
	for _, tc := range []struct {
		name string
		ops  []uint32
		want int
	}{
		{"no watches", []uint32{exists, exists}, 0},
		{"watches first", []uint32{opcodePing, opcodeSetWatches, exists, opcodeSetWatches}, 0},
		{"a request first", []uint32{opcodeAuth, exists, opcodeSetWatches, opcodeSetWatches}, 1},
	} {
		got := 0
		w := &watchedConn{Conn: discard{}, suspect: func() { got++ }}
		w.Write(make([]byte, 44)) // the handshake
		for _, op := range tc.ops {
			frame := binary.BigEndian.AppendUint32(make([]byte, 8), op)
			w.Write(frame)
		}
		if got != tc.want {
			t.Errorf("%s: suspect %d times, want %d", tc.name, got, tc.want)
		}
	}
}
