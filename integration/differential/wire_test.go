package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientID goes into every header; brokers build member ids from it.
const clientID = "diff"

// outcome says what became of a request, apart from what the answer holds.
type outcome string

const (
	answered outcome = "answered" // a whole frame with the request's correlation id came
	closed   outcome = "closed"   // the broker closed the connection
	mute     outcome = "mute"     // nothing came within the waiting time; the connection stays open
	garbled  outcome = "garbled"  // a frame came that is not the answer: wrong correlation id or undecodable
)

// maxAnswer bounds what one answer may make the test allocate, in bytes.
const maxAnswer = 64 << 20

// conn is one TCP connection to a broker.
type conn struct {
	nc   net.Conn
	next int32 // correlation id of the next request
}

func dial(addr string) (*conn, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{nc: nc, next: 1}, nil
}

// header builds a request header of the version that key and version ask for: v0 without a client id for ControlledShutdown v0,
// v2 with an empty tag section for flexible requests, v1 otherwise.
func header(key, version int16, flexible bool, correlation int32) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	if key == 7 && version == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(clientID)))
	b = append(b, clientID...)
	if flexible {
		b = append(b, 0)
	}
	return b
}

// send writes one frame around header and body and returns the correlation id it carries.
func (c *conn) send(key, version int16, flexible bool, body []byte) (int32, error) {
	id := c.next
	c.next++
	return id, c.sendFrame(append(header(key, version, flexible, id), body...))
}

// sendFrame writes the size and then payload, in one write.
func (c *conn) sendFrame(payload []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(payload)), uint32(len(payload)))
	return c.sendBytes(append(b, payload...))
}

func (c *conn) sendBytes(b []byte) error {
	c.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := c.nc.Write(b)
	return err
}

// receive reads one frame: its correlation id and what follows.
func (c *conn) receive(wait time.Duration) (int32, []byte, outcome) {
	c.nc.SetReadDeadline(time.Now().Add(wait))
	var head [8]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return 0, nil, readOutcome(err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > maxAnswer {
		return 0, nil, garbled
	}
	rest := make([]byte, size-4)
	if _, err := io.ReadFull(c.nc, rest); err != nil {
		return 0, nil, readOutcome(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), rest, answered
}

func readOutcome(err error) outcome {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return mute
	}
	return closed
}

// decode reads the body of an answer to req. The second result reports whether encoding what was decoded gives the same bytes again, which it does not
// when a broker writes a null where the library reads an empty array, or bytes behind the last field.
func decode(req kmsg.Request, after []byte) (resp kmsg.Response, canonical bool, err error) {
	resp = req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && resp.Key() != 18 {
		if len(after) == 0 || after[0] != 0 {
			return nil, false, fmt.Errorf("no empty tag section in the response header")
		}
		after = after[1:]
	}
	if resp.Key() == 18 && len(after) >= 2 && after[0] == 0 && after[1] == 35 {
		resp.SetVersion(0) // an unknown version is answered in the form of version 0
	}
	if err := resp.ReadFrom(after); err != nil {
		return nil, false, err
	}
	return resp, string(resp.AppendTo(nil)) == string(after), nil
}
