package replication

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/peer"
)

// Network drives Fetchers over connections of their own.
type Network struct {
	BrokerID      int32
	Addr          func(broker int32) (string, error) // host:port of a broker's inter-broker listener; an error while it is not alive
	SocketTimeout time.Duration                      // replica.socket.timeout.ms
	ReceiveBuffer int                                // replica.socket.receive.buffer.bytes; 0 leaves it to the operating system
	News          func()                             // called for every answer to a fetch that has something in it; may be nil
	Logger        func(name string) *slog.Logger
}

// Run starts the goroutine that drives f. stop ends it and waits.
func (n *Network) Run(f *Fetcher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &fetcherThread{
		f: f, ctx: ctx, news: n.News, log: n.Logger("kafka.server.ReplicaFetcherThread"), done: make(chan struct{}),
		conn: peer.NewLockstep(peer.LockstepConfig{
			Addr:           func() (string, error) { return n.Addr(f.Leader()) },
			ClientID:       fmt.Sprintf("broker-%d-fetcher-%d", n.BrokerID, f.ID()),
			ConnectTimeout: n.SocketTimeout, RequestTimeout: n.SocketTimeout, ReceiveBuffer: n.ReceiveBuffer,
		}),
	}
	t.log.Info(f.prefix() + "Starting")
	go t.run()
	return func() {
		cancel()
		t.conn.Close()
		<-t.done
	}
}

// fetcherThread is one goroutine that does what a Fetcher says, over one connection.
type fetcherThread struct {
	f    *Fetcher
	ctx  context.Context
	conn *peer.Lockstep
	log  *slog.Logger
	done chan struct{}

	news func()

	fetched protocol.FetchResponse
}

func (t *fetcherThread) run() {
	defer close(t.done)
	defer t.conn.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for t.ctx.Err() == nil {
		step := t.f.Next(time.Now())
		if step.Kind == Idle {
			t.idle(step.Until, timer)
			continue
		}
		if err := t.exchange(step); err != nil && t.ctx.Err() == nil {
			t.log.Warn(t.f.prefix() + fmt.Sprintf("Error in response for request %s: %v", kmsg.NameForKey(step.Request.Key()), err))
			t.f.Failed(time.Now())
		}
	}
	t.log.Info(t.f.prefix() + "Stopped")
}

// idle waits for the time, for something new, or for the end.
func (t *fetcherThread) idle(until time.Time, timer *time.Timer) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer.Reset(time.Until(until))
		due = timer.C
	}
	select {
	case <-due:
	case <-t.f.Changed():
	case <-t.ctx.Done():
	}
}

// exchange sends a step's request and hands the answer to the Fetcher.
func (t *fetcherThread) exchange(step Step) error {
	frame, id, err := t.conn.Request(step.Request)
	if err != nil {
		return err
	}
	if step.Kind == Fetch {
		if err := t.fetched.Decode(step.Request.GetVersion(), id, frame); err != nil {
			return err
		}
		t.f.ApplyFetch(time.Now(), &t.fetched)
		if len(t.fetched.Partitions) == 0 {
			t.conn.Release()
		} else if t.news != nil {
			t.news()
		}
		return nil
	}
	resp, err := protocol.DecodeResponse(frame, id, step.Request)
	if err != nil {
		return err
	}
	switch resp := resp.(type) {
	case *kmsg.OffsetForLeaderEpochResponse:
		t.f.ApplyEpochs(time.Now(), resp)
	case *kmsg.ListOffsetsResponse:
		t.f.ApplyOffsets(time.Now(), resp)
	}
	return nil
}
