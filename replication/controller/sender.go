package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol/peer"
	"gregor/zk"
)

// retryBackoff is the pause between attempts to reach a broker.
const retryBackoff = 100 * time.Millisecond

// maxAnswer bounds an answer to the controller: 100 MiB is Kafka's socket.request.max.bytes.
const maxAnswer = 100 << 20

// sender carries the controller's requests to one broker, in order, one at a time: the first in the queue is repeated
// until the broker answers it or is gone (kafka.controller.RequestSendThread).
type sender struct {
	name     string // for the log: "host:port (id: 0 rack: null)"
	conn     *peer.Conn
	log      *slog.Logger
	answered func(request kmsg.Request, response kmsg.Response)

	stop context.CancelFunc
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	queue []kmsg.Request
}

// connect starts a sender to the broker's endpoint on the listener.
func (c *Controller) connect(b zk.Broker, answered func(kmsg.Request, kmsg.Response)) (Link, error) {
	e, ok := b.Endpoint(c.config.ControlPlaneListener)
	if !ok {
		return nil, fmt.Errorf("broker %d has no endpoint on listener %s", b.ID, c.config.ControlPlaneListener)
	}
	addr := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	rack := "null"
	if b.Rack != nil {
		rack = *b.Rack
	}
	timeout := time.Duration(c.config.SocketTimeoutMs) * time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	s := &sender{
		name: fmt.Sprintf("%s (id: %d rack: %s)", addr, b.ID, rack),
		conn: peer.New(peer.Config{Addr: addr, ClientID: strconv.Itoa(int(c.config.BrokerID)), ConnectTimeout: timeout,
			RequestTimeout: timeout, MaxResponseSize: maxAnswer}),
		log: c.stateLog, stop: stop, wake: make(chan struct{}, 1),
		answered: answered,
	}
	c.senders.Go(func() {
		defer s.conn.Close()
		s.run(ctx, c.config.BrokerID)
	})
	return s, nil
}

// Close ends the sender: its goroutine and its connection.
func (s *sender) Close() { s.stop() }

// Send puts a request at the end of the queue.
func (s *sender) Send(r kmsg.Request) {
	s.mu.Lock()
	s.queue = append(s.queue, r)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) next() kmsg.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	r := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return r
}

func (s *sender) run(ctx context.Context, self int32) {
	connected := false
	for {
		r := s.next()
		if r == nil {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		for failures := 0; ; failures++ {
			response, err := s.conn.Request(ctx, r)
			if err == nil {
				if !connected {
					connected = true
					s.log.Info(fmt.Sprintf("[RequestSendThread controllerId=%d] Controller %d connected to %s for sending state change requests", self, self, s.name))
				}
				s.answered(r, response)
				break
			}
			if ctx.Err() != nil {
				return
			}
			connected = false
			if failures == 0 {
				s.log.Warn(fmt.Sprintf("[RequestSendThread controllerId=%d] Controller %d's connection to broker %s was unsuccessful: %v", self, self, s.name, err))
			}
			select {
			case <-time.After(retryBackoff):
			case <-ctx.Done():
				return
			}
		}
	}
}
