// Package load is the bench's load generator: it speaks the raw protocol with requests built beforehand, so that the broker works and the client does not.
package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer is the largest answer that a client here accepts, in bytes.
const maxAnswer = 128 << 20

// Frame puts size and header around a request.
func Frame(correlation int32, r kmsg.Request) []byte {
	b := make([]byte, 4, 4096)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(r.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, 5)
	b = append(b, "bench"...)
	if r.IsFlexible() {
		b = append(b, 0)
	}
	b = r.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// ReadFrame reads one answer into buf, which it grows, and returns what follows the correlation id.
func ReadFrame(r io.Reader, buf *[]byte) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 4
	if n < 0 || n > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, (*buf)[:n])
	return (*buf)[:n], err
}

// Dial connects to a broker; the connection breaks when ctx ends.
func Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

// Ask sends one request on a connection of its own and decodes the answer, which may take as long as patience.
func Ask(ctx context.Context, addr string, r kmsg.Request, patience time.Duration) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return NewAsker(c).Ask(r)
}

// Asker sends one request after the other on a connection.
type Asker struct {
	conn net.Conn
	buf  []byte
}

// NewAsker takes over a connection.
func NewAsker(c net.Conn) *Asker { return &Asker{conn: c} }

// Close closes the connection.
func (a *Asker) Close() error { return a.conn.Close() }

// Ask sends a request and decodes its answer, which is valid until the next call.
func (a *Asker) Ask(r kmsg.Request) (kmsg.Response, error) {
	if _, err := a.conn.Write(Frame(1, r)); err != nil {
		return nil, err
	}
	body, err := ReadFrame(a.conn, &a.buf)
	if err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	resp.SetVersion(r.GetVersion())
	if resp.IsFlexible() && r.Key() != int16(kmsg.ApiVersions) { // whose answers keep the old header (KIP-511)
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("%s answered a header with tags", kmsg.NameForKey(r.Key()))
		}
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}
