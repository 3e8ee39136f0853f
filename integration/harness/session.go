package harness

import (
	"encoding/binary"
	"errors"
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
	if err := closeSession(addr, session); err != nil {
		t.Fatalf("expiring session %#x: %v", session, err)
	}
}

func closeSession(addr string, session int64) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	// ConnectRequest: protocol version, last zxid seen, timeout, session, password, read-only.
	hello := binary.BigEndian.AppendUint32(nil, 0)
	hello = binary.BigEndian.AppendUint64(hello, 0)
	hello = binary.BigEndian.AppendUint32(hello, 10_000)
	hello = binary.BigEndian.AppendUint64(hello, uint64(session))
	hello = binary.BigEndian.AppendUint32(hello, 16)
	hello = append(append(hello, sessionPassword(session)...), 0)
	answer, err := exchange(conn, hello)
	if err != nil {
		return err
	}
	// ConnectResponse: protocol version, timeout, session (0: refused), ...
	if len(answer) < 16 || int64(binary.BigEndian.Uint64(answer[8:])) != session {
		return fmt.Errorf("the server did not hand the session over: % x", answer)
	}
	const opClose = -11
	goodbye := binary.BigEndian.AppendUint32(nil, 1)
	goodbye = binary.BigEndian.AppendUint32(goodbye, uint32(1<<32+opClose))
	if _, err = exchange(conn, goodbye); errors.Is(err, io.EOF) {
		err = nil // closed without a word, but done
	}
	return err
}

func exchange(conn net.Conn, request []byte) ([]byte, error) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(request)))
	if _, err := conn.Write(append(frame, request...)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
	_, err := io.ReadFull(conn, answer)
	return answer, err
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
