// Package peertest is the other end of a connection between brokers, for tests.
package peertest

import (
	"encoding/binary"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Serve reads request after request from conn and has answer write what it answers, until answer says false or the connection ends, which it closes. The
// error is that of a frame that is no request; a connection that ends is none. Sizes are believed: the other end is code under test, not an attacker.
func Serve(conn net.Conn, answer func(h protocol.RequestHeader, req kmsg.Request) bool) error {
	defer conn.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return nil
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return nil
		}
		h, body, err := protocol.ParseHeader(frame, nil)
		if err != nil {
			return err
		}
		req, err := protocol.DecodeRequest(h, body)
		if err != nil {
			return err
		}
		if !answer(h, req) {
			return nil
		}
	}
}
