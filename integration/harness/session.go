package harness

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// ExpireSession ends a ZooKeeper session as its expiry would: the server drops its ephemerals, and its client learns of it when it next speaks. It takes the
// session over with the password that the server derives from the session's id, and closes it. connect is a zookeeper.connect; session is the
// ephemeralOwner of a znode.
func ExpireSession(t testing.TB, connect string, session int64) {
	t.Helper()
	addr, _, _ := strings.Cut(connect, "/")
	addr, _, _ = strings.Cut(addr, ",")
	// Its client may win it back in between: again, until the server does not know it any more.
	Eventually(t, 10*time.Second, func() error {
		for range 20 {
			if gone, err := closeSession(addr, session); gone || err != nil {
				return err
			}
		}
		return fmt.Errorf("session %#x lives on", session)
	})
}

// closeSession asks for the session and closes it in one breath; gone says that the server did not have it.
func closeSession(addr string, session int64) (gone bool, err error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false, err
	}
	// ConnectRequest: size, protocol version, last zxid seen, timeout, session, password, read-only.
	request := binary.BigEndian.AppendUint32(nil, 45)
	request = binary.BigEndian.AppendUint32(request, 0)
	request = binary.BigEndian.AppendUint64(request, 0)
	request = binary.BigEndian.AppendUint32(request, 10_000)
	request = binary.BigEndian.AppendUint64(request, uint64(session))
	request = binary.BigEndian.AppendUint32(request, 16)
	request = append(append(request, sessionPassword(session)...), 0)
	// RequestHeader: size, xid, closeSession.
	const closing = -11
	request = binary.BigEndian.AppendUint32(request, 8)
	request = binary.BigEndian.AppendUint32(request, 1)
	request = binary.BigEndian.AppendUint32(request, uint32(1<<32+closing))
	if _, err := conn.Write(request); err != nil {
		return false, err
	}
	// ConnectResponse: size, protocol version, timeout, session (0: there is none), ...
	var answer [20]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return false, nil // its client was faster
	}
	if binary.BigEndian.Uint64(answer[12:]) == 0 {
		return true, nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // for the session's end, which may come without a word
	_, _ = io.Copy(io.Discard, conn)
	return false, nil
}

// sessionPassword is what org.apache.zookeeper.server.ZooKeeperServer derives: 16 bytes of java.util.Random (a 48-bit linear congruential generator, its
// upper 32 bits put out lowest byte first), seeded with the session's id and a constant.
func sessionPassword(session int64) []byte {
	const multiplier, mask, secret = 0x5DEECE66D, 1<<48 - 1, 0xB3415C00
	state := (uint64(session) ^ secret ^ multiplier) & mask
	var password []byte
	for range 4 {
		state = (state*multiplier + 0xB) & mask
		password = binary.LittleEndian.AppendUint32(password, uint32(state>>16))
	}
	return password
}

// ExpireSession ends the broker's ZooKeeper session and returns when its registration has gone.
func (b *Broker) ExpireSession() {
	b.t.Helper()
	tree := ZooKeeperTree(b.t, b.Connect)
	path := "/brokers/ids/" + b.Set["broker.id"]
	_, stat := tree.Get(path)
	ExpireSession(b.t, b.Connect, stat.EphemeralOwner)
	Eventually(b.t, 10*time.Second, func() error {
		if owner, ok := tree.owner(path); ok && owner == stat.EphemeralOwner {
			return fmt.Errorf("%s is still of session %#x", path, owner)
		}
		return nil
	})
}
