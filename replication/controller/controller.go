// Package controller is the elected controller of a ZooKeeper-mode cluster.
//
// Every broker has a Controller; the one that creates /controller is active. While active, one goroutine handles typed
// events in order: watches that fired, requests of brokers and admin clients, answers of brokers, timers. What it knows
// is a plain cluster value; the rules of elections, of the two state machines and of the requests to brokers are
// functions over it (cluster.go, assignment.go, leader_election.go, states.go, batch.go). Every write to ZooKeeper
// carries the fence of the election, so a controller that was replaced cannot change anything.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// Config of a broker's controller.
type Config struct {
	BrokerID              int32
	BrokerEpoch           func() int64              // czxid of our registration in force
	InterBrokerListener   string                    // listener name on which followers reach leaders
	ControlPlaneListener  string                    // listener name on which this controller reaches brokers (KIP-291); "": InterBrokerListener
	Protocol              Protocol                  // what inter.broker.protocol.version settles; the zero value stands for Current
	DeleteTopicEnable     func() bool               // delete.topic.enable
	AutoLeaderRebalance   bool                      // auto.leader.rebalance.enable
	ImbalancePercent      int                       // leader.imbalance.per.broker.percentage
	ImbalanceCheckSeconds int                       // leader.imbalance.check.interval.seconds
	SocketTimeoutMs       int                       // controller.socket.timeout.ms
	UncleanLeaderElection func(topic string) bool   // effective unclean.leader.election.enable
	Logger                func(string) *slog.Logger // by Kafka's logger names

	// TopicIDHint returns the id a local replica of the topic has in its partition.metadata. It is asked before a new id is
	// invented for a topic whose znode lost its id to an old tool. May be nil.
	TopicIDHint func(topic string) (protocol.TopicID, bool)

	// Connect makes the way to a broker; answered takes each answer, from any goroutine. nil: over the network, to the broker's endpoint on
	// ControlPlaneListener.
	Connect func(b zk.Broker, answered func(request kmsg.Request, response kmsg.Response)) (Link, error)
}

// Link carries requests to one broker, in order, one at a time, each repeated until it is answered.
type Link interface {
	Send(r kmsg.Request)
	Close() // ends it at once; what is in the queue is dropped, and an answer that is still under way may or may not be delivered
}

// Controller competes for /controller, and while elected reacts to watches and RPCs on one goroutine, speaking to every
// broker over the wire, its own included.
type Controller struct {
	config   Config
	zk       ZooKeeper
	log      *slog.Logger // kafka.controller.KafkaController
	stateLog *slog.Logger // state.change.logger

	events  eventQueue
	loop    sync.WaitGroup // the event goroutine
	senders sync.WaitGroup
	unwatch func()
	stopped chan struct{} // closed by Stop

	active atomic.Bool
	id     atomic.Int32
	epoch  atomic.Int32

	uncleanElections atomic.Int64

	// Owned by the event goroutine; zero while another broker is the controller.
	elected    bool
	fence      zk.Fence
	cluster    *cluster
	links      map[int32]Link    // by broker
	watches    map[string]func() // cancel functions by path
	stopTimers context.CancelFunc
}

// New prepares the controller of a broker. It registers for session expiry; everything else begins with Start.
func New(config Config, z ZooKeeper) *Controller {
	if config.ControlPlaneListener == "" {
		config.ControlPlaneListener = config.InterBrokerListener
	}
	if config.Protocol == (Protocol{}) {
		config.Protocol = Current
	}
	c := &Controller{config: config, zk: z, log: config.Logger("kafka.controller.KafkaController"),
		stateLog: config.Logger("state.change.logger"), stopped: make(chan struct{})}
	c.id.Store(-1)
	c.events.init()
	if config.Connect == nil {
		c.config.Connect = c.connect
	}
	z.OnExpired(func() { c.events.pushFront(expired{}) })
	return c
}

// Start watches /controller, runs the first election and returns when its outcome is known. The broker calls it after
// it has registered itself and listens.
func (c *Controller) Start() error {
	done := make(chan error, 1)
	if err := c.attach(done); err != nil {
		return err
	}
	c.loop.Go(c.run)
	return <-done
}

// Attach is Start for who drives the controller himself: the first election waits in the queue, and nothing happens outside of Step.
func (c *Controller) Attach() error { return c.attach(make(chan error, 1)) }

func (c *Controller) attach(done chan<- error) error {
	c.info("Starting up.")
	unwatch, err := c.zk.Watch(zk.ControllerPath, zk.WatchData, func() { c.events.push(controllerChange{}) })
	if err != nil {
		return err
	}
	c.unwatch = unwatch
	c.events.push(startup{done})
	return nil
}

// Step handles the oldest event on the caller's goroutine; false says that there is none. Only after Attach.
func (c *Controller) Step() bool {
	ev := c.events.take()
	if ev != nil {
		c.handle(ev)
	}
	return ev != nil
}

// Reregistered is called by the broker after it has re-created its registration in a new session: an election follows.
func (c *Controller) Reregistered() { c.events.push(controllerChange{}) }

// UncleanLeaderElectionEnabled is called when a topic's (or every topic's) unclean.leader.election.enable became true:
// partitions without leader may get one now.
func (c *Controller) UncleanLeaderElectionEnabled() { c.events.push(uncleanEnabled{}) }

// Stop resigns and ends the controller's goroutines.
func (c *Controller) Stop() {
	if c.unwatch != nil {
		c.unwatch()
	}
	c.events.pushFront(shutdown{})
	c.loop.Wait()
	c.senders.Wait()
}

// Active reports whether this broker is the controller.
func (c *Controller) Active() bool { return c.active.Load() }

// ID is the controller's broker id, -1 unknown.
func (c *Controller) ID() int32 { return c.id.Load() }

// Epoch is the last controller epoch seen.
func (c *Controller) Epoch() int32 { return c.epoch.Load() }

// event is something the controller reacts to. An error ends the event; one that says the controller has moved ends
// the term.
type event interface {
	process(c *Controller) error
}

func (c *Controller) run() {
	for {
		ev := c.events.pop()
		c.handle(ev)
		if _, last := ev.(shutdown); last {
			close(c.stopped)
			for _, ev := range c.events.drain() {
				if r, ok := ev.(interface{ refuse() }); ok {
					r.refuse()
				}
			}
			return
		}
	}
}

func (c *Controller) handle(ev event) {
	if err := ev.process(c); err != nil {
		c.onError(ev, err)
	}
}

// onError decides what an event's failure means.
func (c *Controller) onError(ev event, err error) {
	switch {
	case errors.Is(err, zk.ErrClosed):
	case errors.Is(err, zk.ErrControllerMoved):
		c.info("Controller moved to another broker: %v", err)
		if err := (controllerChange{}).process(c); err != nil {
			c.log.Error(c.prefix()+"Error while following the new controller", "error", err)
		}
	case errors.Is(err, zk.ErrSessionExpired):
		c.info("The ZooKeeper session expired while processing %T", ev)
		c.resign()
	default:
		c.log.Error(fmt.Sprintf("%sError processing event %T", c.prefix(), ev), "error", err)
	}
}

func (c *Controller) prefix() string { return fmt.Sprintf("[Controller id=%d] ", c.config.BrokerID) }

func (c *Controller) info(format string, args ...any) {
	c.log.Info(c.prefix() + fmt.Sprintf(format, args...))
}

func (c *Controller) warn(format string, args ...any) {
	c.log.Warn(c.prefix() + fmt.Sprintf(format, args...))
}

// sendBatch hands the batch's requests to the links. A broker without a link is on its way out. Once the session is gone in which the election was won, nothing
// is sent any more: an event that is under way may have read, in the next session, what this term does not know how to judge, such as brokers that were gone
// in between.
func (c *Controller) sendBatch(b *batch) {
	if c.zk.Lost(c.fence) {
		return
	}
	from := origin{id: c.config.BrokerID, epoch: c.fence.Epoch, listener: c.config.InterBrokerListener, protocol: c.config.Protocol}
	for _, o := range b.build(from) {
		if l := c.links[o.broker]; l != nil {
			l.Send(o.request)
		} else {
			c.warn("Not sending request %T to broker %d, since it is offline.", o.request, o.broker)
		}
	}
}

// sendMetadata tells brokers about all brokers and about these partitions.
func (c *Controller) sendMetadata(brokers []int32, ps ...*partition) {
	b := newBatch(c.cluster)
	b.addUpdateMetadata(brokers, ps...)
	c.sendBatch(b)
}

// call runs f on the event goroutine and waits for its answer. ok is false when the controller is stopped or ctx ends.
func call[R any](ctx context.Context, c *Controller, f func() (R, error)) (answer R, ok bool) {
	type outcome struct {
		answer R
		ok     bool
	}
	done := make(chan outcome, 1)
	c.events.push(&rpc[R]{f: f, then: func(answer R, ok bool) { done <- outcome{answer, ok} }})
	select {
	case o := <-done:
		return o.answer, o.ok
	case <-c.stopped:
	case <-ctx.Done():
	}
	return answer, false
}

// rpc is a request as an event.
type rpc[R any] struct {
	f    func() (R, error)
	then func(answer R, ok bool) // called once, on the event goroutine; ok false: f failed, or the controller is stopped
}

func (r *rpc[R]) process(*Controller) error {
	answer, err := r.f()
	r.then(answer, err == nil)
	return err
}

func (r *rpc[R]) refuse() {
	var none R
	r.then(none, false)
}
