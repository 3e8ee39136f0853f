package sim

import (
	"slices"

	"gregor/protocol"
	"gregor/replication/controller"
	"gregor/zk"
)

// zkClient is a broker's ZooKeeper client: the side of zk.Client that the controller sees. An operation that the controller's coroutine calls gives
// way to the schedule until its answer is there; so everything else can happen between any two of them.
type zkClient struct {
	node    *node
	session *session
	cut     bool // no connection: operations wait
	waiting []*operation

	expired []func()
	watches []*watch
	// lateUntil is when this client hears of brokers that come and go, at the earliest: its process has other things to do.
	lateUntil int64
}

type watchKey struct {
	path string
	kind zk.WatchKind
}

type watch struct {
	key     watchKey
	fn      func()
	pending bool // on its way
	gone    bool
}

// operation is one request to ZooKeeper. do runs at the servers, in one step.
type operation struct {
	do    func() error
	write bool // of a session: it fails when that has expired
	err   error
	made  *session
}

var _ controller.ZooKeeper = (*zkClient)(nil)

// call runs do at the servers.
func (z *zkClient) call(write bool, do func() error) error {
	op := &operation{do: do, write: write, made: z.session}
	if !z.node.control.wait(op) {
		return zk.ErrClosed
	}
	return op.err
}

func (z *zkClient) read(do func()) error { return z.call(false, func() error { do(); return nil }) }

// fenced runs do at the servers if f holds there.
func (z *zkClient) fenced(f zk.Fence, do func() error) error {
	return z.call(true, func() error {
		if err := z.tree().fence(f); err != nil {
			return err
		}
		return do()
	})
}

// alive reports whether the process that this client is part of still is.
func (z *zkClient) alive() bool { return z.node.running && z.node.zk == z }

func (z *zkClient) tree() *tree { return z.node.world.tree }

// perform executes an operation that has reached the servers.
func (z *zkClient) perform(op *operation) {
	if op.write && op.made.expired && z.node.world.options.mutant != staleControllerAccepted {
		op.err = zk.ErrSessionExpired
	} else {
		op.err = op.do()
	}
	if z.alive() {
		z.node.control.answered()
	}
}

// arrive is an operation at the servers, or in the queue of a client without a connection.
func (z *zkClient) arrive(op *operation) {
	if z.cut || z.session.expired {
		z.waiting = append(z.waiting, op)
		return
	}
	z.perform(op)
}

// reconnected: the connection is back, in a session that may have expired meanwhile.
func (z *zkClient) reconnected() {
	if z.session.expired {
		z.renew()
		return
	}
	for _, w := range z.watches {
		if w.pending {
			z.deliver(w)
		}
	}
	z.flush()
}

func (z *zkClient) flush() {
	waiting := z.waiting
	z.waiting = nil
	for _, op := range waiting {
		z.perform(op)
	}
}

// renew replaces the expired session: OnExpired, new session, the broker registers, all watches fire.
func (z *zkClient) renew() {
	for _, fn := range z.expired {
		fn()
	}
	z.node.newSession()
	z.node.control.kick()
	z.flush()
	z.node.register()
}

// fireAll tells all watches: nobody knows what changed between two sessions.
func (z *zkClient) fireAll() {
	for _, w := range z.watches {
		w.pending = true
		z.deliver(w)
	}
}

// noticed starts a watch event on its way to the client, unless one is under way.
func (z *zkClient) noticed(key watchKey) {
	for _, w := range z.watches {
		if w.key == key && !w.pending {
			w.pending = true
			if !z.cut {
				z.deliver(w)
			}
		}
	}
}

func (z *zkClient) deliver(w *watch) {
	s, delay := z.session, z.node.world.latency()
	if w.key.path == zk.BrokerIDsPath {
		delay = max(delay, z.lateUntil-z.node.world.now)
	}
	z.node.world.plan(delay, z.node, func() {
		if !w.pending || w.gone || z.cut || s != z.session || s.expired {
			return // what a dead session had to tell comes with the next
		}
		w.pending = false
		w.fn()
		z.node.control.kick()
	})
}

func (z *zkClient) OnExpired(fn func()) { z.expired = append(z.expired, fn) }

func (z *zkClient) Watch(path string, kind zk.WatchKind, fn func()) (cancel func(), err error) {
	w := &watch{key: watchKey{path, kind}, fn: fn}
	err = z.read(func() { z.watches = append(z.watches, w) })
	return func() {
		w.gone = true
		z.watches = slices.DeleteFunc(z.watches, func(o *watch) bool { return o == w })
	}, err
}

func (z *zkClient) WatchMany(names []string, path func(string) string, kind zk.WatchKind, fn func(string)) (map[string]func(), error) {
	cancels := map[string]func(){}
	for _, name := range names {
		cancel, err := z.Watch(path(name), kind, func() { fn(name) })
		if err != nil {
			return nil, err
		}
		cancels[name] = cancel
	}
	return cancels, nil
}

func (z *zkClient) Controller() (id int32, err error) {
	err = z.read(func() {
		id = -1
		if c := z.tree().controller; c != nil {
			id = c.id
		}
	})
	return id, err
}

func (z *zkClient) ControllerEpoch() (epoch int32, err error) {
	err = z.read(func() { epoch = z.tree().controllerEpoch })
	return epoch, err
}

func (z *zkClient) ElectController(int32) (f zk.Fence, err error) {
	err = z.call(true, func() (err error) {
		f, err = z.tree().elect(z.session)
		if err == nil {
			z.node.world.say("zk: broker %d is elected controller, epoch %d", z.node.id, f.Epoch)
			z.node.control.firstLook = true
		}
		return err
	})
	return f, err
}

func (z *zkClient) Lost(f zk.Fence) bool { return z.tree().electedIn[f.Epoch] != z.session }

func (z *zkClient) Resign(f zk.Fence) error {
	return z.fenced(f, func() error {
		z.tree().controller = nil
		z.tree().changed(zk.ControllerPath, zk.WatchData)
		return nil
	})
}

func (z *zkClient) Broker(id int32) (b *zk.Broker, err error) {
	err = z.read(func() {
		if found, ok := z.tree().broker(id); ok {
			b = &found
		}
	})
	return b, err
}

func (z *zkClient) Brokers() (all []zk.Broker, err error) {
	err = z.read(func() {
		all = z.tree().registered()
		if c := z.tree().controller; c != nil && c.session == z.session {
			z.node.world.rules.controllerSees(all, z.node.control.firstLook)
			z.node.control.firstLook = false
		}
	})
	return all, err
}

func (z *zkClient) Topics() (names []string, err error) {
	err = z.read(func() {
		if z.tree().topic != nil {
			names = []string{tp0.Topic}
		}
	})
	return names, err
}

func (z *zkClient) Topic(name string) (*zk.Topic, error) {
	all, err := z.ReadTopics([]string{name})
	return all[name], err
}

func (z *zkClient) ReadTopics(names []string) (map[string]*zk.Topic, error) {
	all := map[string]*zk.Topic{}
	err := z.read(func() {
		if t := z.tree().topic; t != nil && slices.Contains(names, t.Name) {
			copied := *t
			all[t.Name] = &copied
		}
	})
	return all, err
}

func (z *zkClient) PartitionStates(tps []protocol.TopicPartition) (map[protocol.TopicPartition]zk.PartitionState, error) {
	found := map[protocol.TopicPartition]zk.PartitionState{}
	err := z.read(func() {
		for _, tp := range tps {
			if st, ok := z.tree().states[tp]; ok {
				found[tp] = z.node.world.mutateState(st)
			}
		}
	})
	return found, err
}

func (z *zkClient) CreatePartitionStates(f zk.Fence, states map[protocol.TopicPartition]zk.PartitionState) (map[protocol.TopicPartition]error, error) {
	failed := map[protocol.TopicPartition]error{}
	err := z.fenced(f, func() error {
		for tp, st := range states {
			if _, exists := z.tree().states[tp]; exists {
				failed[tp] = zk.ErrNodeExists
				continue
			}
			z.tree().write(tp, st)
		}
		return nil
	})
	return failed, err
}

func (z *zkClient) UpdatePartitionStates(f zk.Fence, states map[protocol.TopicPartition]zk.PartitionState) (map[protocol.TopicPartition]error, error) {
	failed := map[protocol.TopicPartition]error{}
	err := z.fenced(f, func() error {
		for tp, st := range states {
			if now := z.tree().states[tp]; now.Version != st.Version && z.node.world.options.mutant != noVersionCheck {
				failed[tp] = zk.ErrBadVersion
				continue
			}
			st.Version++
			z.tree().write(tp, st)
		}
		return nil
	})
	return failed, err
}

func (z *zkClient) PreferredReplicaElection() (tps []protocol.TopicPartition, ok bool, err error) {
	err = z.read(func() { tps = z.tree().preferred })
	return tps, tps != nil, err
}

func (z *zkClient) DeletePreferredReplicaElection(f zk.Fence) error {
	return z.fenced(f, func() error { z.tree().preferred = nil; return nil })
}

func (z *zkClient) SetTopic(f zk.Fence, t *zk.Topic) (version int32, err error) {
	err = z.fenced(f, func() error {
		now := z.tree().topic
		if t.Version != -1 && t.Version != now.Version {
			return zk.ErrBadVersion
		}
		next := *t
		next.Version = now.Version + 1
		version = next.Version
		z.tree().topic = &next
		z.node.world.say("zk: replicas %v, adding %v, removing %v", next.Partitions, next.Adding, next.Removing)
		z.tree().changed(zk.TopicPath(t.Name), zk.WatchData)
		return nil
	})
	return version, err
}

func (z *zkClient) Reassignments() (all []zk.Reassignment, err error) {
	err = z.read(func() { all = slices.Clone(z.tree().reassignments) })
	return all, err
}

func (z *zkClient) SetReassignments(f zk.Fence, left []zk.Reassignment) error {
	return z.fenced(f, func() error {
		z.tree().reassignments = nil
		if len(left) > 0 {
			z.tree().reassignments = slices.Clone(left)
		}
		z.tree().changed(zk.ReassignPartitionsPath, zk.WatchData)
		return nil
	})
}

func (z *zkClient) TakeISRChanges(f zk.Fence) (tps []protocol.TopicPartition, err error) {
	err = z.fenced(f, func() error {
		tps, z.tree().changedISRs = z.tree().changedISRs, nil
		return nil
	})
	return tps, err
}

// What no schedule uses is empty and stays so.

func (z *zkClient) SetFeatures(zk.Fence, int32) error                   { return nil }
func (z *zkClient) TopicsToBeDeleted() ([]string, error)                { return nil, nil }
func (z *zkClient) DeleteTopicDeletions(zk.Fence, []string) error       { return nil }
func (z *zkClient) DeleteTopic(zk.Fence, string) error                  { return nil }
func (z *zkClient) TakeLogDirEvents(zk.Fence) ([]int32, error)          { return nil, nil }
func (z *zkClient) AllocateProducerIDBlock(int32) (int64, int32, error) { return 0, 0, zk.ErrClosed }
