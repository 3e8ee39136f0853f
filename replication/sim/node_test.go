package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
	"gregor/replication/controller"
	"gregor/storage"
	"gregor/zk"
)

// node is a machine with a broker: a disk that stays, and a process that comes and goes.
type node struct {
	world *world
	id    int32
	disk  disk

	running bool
	paused  bool
	serving bool     // it is registered: connections are served
	backlog []func() // of connections that are not served yet
	life    int      // counts starts and ends of the process: what one life planned does not happen in the next
	heldUp  []event  // while paused

	zk         *zkClient
	manager    *replication.Manager
	mover      *replication.Mover
	controller *controller.Controller
	control    *coroutine
	epoch      int64 // of the registration that it knows of
	fetches    []*driver
	parked     []*parkedFetch
	waiting    []*pendingAck

	controllerID int32 // as the last UpdateMetadata said, -1 unknown
	live         map[int32]bool
	asking       bool // an AlterPartition request is under way

	maxControllerEpoch int32 // seen by a broker without fencing (mutants only)
	lost               bool  // a power failure took records, and who decides about the ISR may not know yet
	lostSeen           bool  // the controller knows of the life after it

	small smallISR // for rules.held
}

func newNode(w *world, id int32) *node {
	n := &node{world: w, id: id}
	n.disk = disk{node: n, logs: map[protocol.TopicPartition]*simLog{}, futures: map[protocol.TopicPartition]*simLog{}}
	return n
}

// start begins a life: session, replicas, registration, controller, as broker/start.go does.
func (n *node) start() {
	n.world.say("broker %d starts", n.id)
	n.running, n.life = true, n.life+1
	n.controllerID, n.live, n.asking, n.epoch, n.small = -1, nil, false, -1, smallISR{epoch: notLeading}
	n.zk = &zkClient{node: n}
	n.newSession()
	n.manager = replication.NewManager(n.replicationConfig())
	n.mover = n.manager.NewMover()
	n.moveLogs()
	n.controller = controller.New(controller.Config{
		BrokerID: n.id, BrokerEpoch: func() int64 { return n.epoch }, InterBrokerListener: listener,
		DeleteTopicEnable: func() bool { return true }, UncleanLeaderElection: func(string) bool { return false },
		Logger: n.world.logger(n), Connect: n.connect,
	}, n.zk)
	n.control = &coroutine{node: n}
	n.register()
	n.checkISRs()
}

func (n *node) replicationConfig() replication.Config {
	return replication.Config{
		BrokerID: n.id, BrokerEpoch: func() int64 { return n.epoch }, Logs: simLogs{&n.disk}, Logger: n.world.logger(n),
		Clock: n.world.time, ReplicaLagTimeMax: replicaLagMax, Alive: func(broker int32) bool { return n.live[broker] },
		Follow: replication.FollowConfig{
			Fetchers: 1, FetchVersion: n.world.options.fetchVersion, ListOffsetsVersion: 8, EpochVersion: 4,
			MaxWait: fetchMaxWait, MinBytes: 1, MaxBytes: maxFetchBytes, ResponseMaxBytes: maxFetchBytes, Backoff: 40 * time.Millisecond,
		},
		RunFetcher: n.runFetcher,
		OnLeader:   func(tp protocol.TopicPartition, epoch int32) { n.world.rules.leads(n, n.disk.get(tp), epoch) },
		OnFollower: func(tp protocol.TopicPartition, _ int32) { n.world.rules.follows(n.disk.get(tp)) },
	}
}

// The times of a broker. All are much shorter than by default, so that much happens in a schedule.
const (
	replicaLagMax  = 300 * time.Millisecond
	sessionTimeout = 250 // milliseconds
)

// newSession opens a session; the one before is not closed, ZooKeeper ends it in its time.
func (n *node) newSession() {
	n.world.sessions++
	n.zk.session = &session{node: n, number: n.world.sessions}
}

// register creates the registration as soon as the one of a former life or session is gone.
func (n *node) register() {
	s, w := n.zk.session, n.world
	var try func()
	try = func() {
		if s != n.zk.session {
			return // the next session's own attempt counts
		}
		epoch, ok := int64(0), false
		if !n.zk.cut && !s.expired {
			epoch, ok = w.tree.register(s)
		}
		if !ok {
			w.plan(w.between(5, 30), n, try)
			return
		}
		w.say("zk: broker %d is registered, epoch %d", n.id, epoch)
		w.plan(w.latency(), n, func() {
			if s == n.zk.session {
				n.registered(epoch)
			}
		})
	}
	w.plan(w.latency(), n, try)
}

// registered goes on with the start, or after an expired session.
func (n *node) registered(epoch int64) {
	n.epoch = epoch
	if !n.serving {
		n.control.start()
		n.serve()
		return
	}
	n.controller.Reregistered()
	n.zk.fireAll()
	n.control.kick()
}

// stop ends the life. Its session lives on until ZooKeeper notices.
func (n *node) stop(power bool) {
	if n.control.stop != nil {
		n.control.stop()
	}
	for _, d := range n.fetches {
		d.stopped = true
	}
	n.running, n.paused, n.life, n.heldUp = false, false, n.life+1, nil
	n.fetches, n.parked, n.waiting, n.serving, n.backlog = nil, nil, nil, false, nil
	if power && n.disk.mayLose() {
		n.lost, n.lostSeen = true, false
	}
	n.disk.reopen(power)
	if !power {
		n.world.reset(func(x *exchange) bool { return x.to == n })
	}
	s := n.zk.session
	n.world.in(n.world.between(20, sessionTimeout), func() { n.world.tree.expire(s) })
}

// whenServing runs what came over a connection: a broker binds its sockets early, and reads from them when it is registered. So nothing that was meant for a
// former life is obeyed by one that does not know its own epoch yet.
func (n *node) whenServing(do func()) {
	if !n.serving {
		n.backlog = append(n.backlog, do)
		return
	}
	do()
}

func (n *node) serve() {
	n.serving = true
	backlog := n.backlog
	n.backlog = nil
	for _, do := range backlog {
		do()
	}
}

// resume ends a pause: what arrived meanwhile is handled now, in its order.
func (n *node) resume() {
	n.paused = false
	held := n.heldUp
	n.heldUp = nil
	for _, ev := range held {
		n.world.plan(0, n, ev.do)
	}
}

// touched lets those look again who wait for a partition of this broker to move, and sends what it wants of the ISR.
func (n *node) touched() {
	if !n.running {
		return
	}
	n.world.rules.held(n)
	n.answerParked()
	n.answerCommitted()
	n.proposeISRs()
	for _, d := range n.fetches {
		if len(d.f.Changed()) > 0 {
			d.later(0)
		}
	}
}

// simLogs are a node's logs as replication sees them.
type simLogs struct{ disk *disk }

func (s simLogs) Get(tp protocol.TopicPartition) replication.Log {
	if l := s.disk.get(tp); l != nil {
		return l
	}
	return nil
}

func (s simLogs) GetOrCreate(tp protocol.TopicPartition, o storage.CreateOptions) (replication.Log, error) {
	return s.disk.create(tp, o.TopicID), nil
}

func (s simLogs) Delete(tp protocol.TopicPartition) error {
	delete(s.disk.logs, tp)
	return s.DeleteFuture(tp)
}

// link carries the controller's requests to one broker.
type link struct {
	from   *node
	to     *node
	answer func(kmsg.Request, kmsg.Response)
	queue  []kmsg.Request
	busy   bool
	closed bool
}

func (n *node) connect(b zk.Broker, answered func(kmsg.Request, kmsg.Response)) (controller.Link, error) {
	return &link{from: n, to: n.world.node(b.ID), answer: answered}, nil
}

func (l *link) Send(r kmsg.Request) {
	l.queue = append(l.queue, r)
	l.pump()
}

func (l *link) Close() { l.closed = true }

func (l *link) pump() {
	if l.busy || l.closed || len(l.queue) == 0 {
		return
	}
	l.busy = true
	r, w := l.queue[0], l.from.world
	x := w.ask(l.from, l.to, name(r), func(answer func(any)) { answer(l.to.obey(r)) }, func(resp any, ok bool) {
		l.busy = false
		switch {
		case l.closed:
		case !ok:
			w.plan(w.between(5, 20), l.from, l.pump)
		default:
			l.queue = l.queue[1:]
			l.answer(r, resp.(kmsg.Response))
			l.from.control.kick()
			l.pump()
		}
	})
	x.inOrder = true // brokers could not tell an old UpdateMetadata from a new one; Kafka relies on it, too
}

func name(r kmsg.Request) string {
	switch r.(type) {
	case *kmsg.LeaderAndISRRequest:
		return "LeaderAndIsr"
	case *kmsg.UpdateMetadataRequest:
		return "UpdateMetadata"
	}
	return "StopReplica"
}
