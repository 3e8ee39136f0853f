package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// request is one request on its way through a connection.
type request struct {
	header   protocol.RequestHeader
	ctx      context.Context // ends when the connection closes or the broker stops
	listener string          // name of the listener it came through
	host     string          // the client's address as Kafka prints it: "/127.0.0.1"
	conn     *conn
}

// errClose makes the connection close without an answer; errSilent leaves the request unanswered and the connection open, as Apache Kafka does where its handler fails while it makes the answer.
var (
	errClose  = errors.New("connection is to be closed")
	errSilent = errors.New("request is never answered")
)

// handler answers one decoded request. It may block until its answer is due; answers leave the connection in request order.
type handler func(b *Broker, rq *request, req kmsg.Request) (kmsg.Response, error)

var handlers = map[int16]handler{}

// handle registers the handler of an API, from the init of the file that is named after it. Two for one key are our own bug and panic at start.
func handle[Q kmsg.Request](f func(b *Broker, rq *request, req Q) (kmsg.Response, error)) {
	var zero Q
	key := kmsgKey(zero)
	if _, twice := handlers[key]; twice {
		panic(fmt.Sprintf("two handlers for API key %d", key))
	}
	handlers[key] = func(b *Broker, rq *request, req kmsg.Request) (kmsg.Response, error) {
		return f(b, rq, req.(Q))
	}
}

// kmsgKey asks a typed nil request for its key: the Key methods of kmsg do not touch their receiver.
func kmsgKey(r kmsg.Request) int16 { return r.Key() }
