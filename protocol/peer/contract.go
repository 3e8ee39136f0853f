// Package peer is a connection to another broker: requests of a fixed version out, responses in, in order, over one TCP connection.
package peer

// CONTRACT (stub; filled in by the owner of protocol; delete this line).

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config of a connection.
type Config struct {
	Addr            string // host:port
	ClientID        string // as brokers name themselves: the sender's broker id
	ConnectTimeout  time.Duration
	RequestTimeout  time.Duration
	MaxResponseSize int
}

// Conn dials lazily, redials after an error, and is safe for concurrent use; requests go out in the order of Request calls.
type Conn struct{}

func New(c Config) *Conn { panic("stub") }

// Request sends req at req.GetVersion() and waits for its response. After an error the connection is closed and the next call dials anew.
func (c *Conn) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) { panic("stub") }
func (c *Conn) Close()                                                               { panic("stub") }
