package sim

import (
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// fault is something that happens to the cluster.
type fault struct {
	name   string
	weight int
	do     func(w *world, n *node)
}

var faults = []fault{
	{"kill", 6, func(w *world, n *node) { w.kill(n, false) }},
	{"power", 6, (*world).powerFailure},
	{"power, unseen", 3, (*world).unseenPowerFailure},
	{"clean stop", 2, (*world).cleanStop},
	{"pause", 8, (*world).pause},
	{"cut from peers", 8, (*world).cutPeers},
	{"cut from zookeeper", 6, (*world).cutZooKeeper},
	{"session expires", 4, func(w *world, n *node) { w.loseSession(n) }},
	{"connections reset", 6, func(w *world, n *node) {
		w.reset(func(x *exchange) bool { return x.from == n || x.to == n })
	}},
	{"preferred election", 6, func(w *world, _ *node) { w.electPreferred() }},
	{"reassignment", 4, func(w *world, _ *node) { w.reassign() }},
	{"log start", 3, (*world).raiseLogStart},
	{"move", 8, (*world).moveLog},
	{"flush", 8, func(_ *world, n *node) { n.flush() }},
	{"checkpoint", 6, func(_ *world, n *node) { n.checkpoint() }},
}

var faultWeights = func() (sum int) {
	for _, f := range faults {
		sum += f.weight
	}
	return sum
}()

// victim is any broker, but more often one that matters.
func (w *world) victim() *node {
	switch w.rng.IntN(4) {
	case 0:
		if c := w.tree.controller; c != nil {
			return w.node(c.id)
		}
	case 1:
		if leader := w.tree.state().Leader; leader > 0 {
			return w.node(leader)
		}
	}
	return w.nodes[w.rng.IntN(len(w.nodes))]
}

// strike lets one fault happen.
func (w *world) strike() {
	n := w.victim()
	at := w.rng.IntN(faultWeights)
	for _, f := range faults {
		if at -= f.weight; at < 0 {
			w.say("fault: %s, broker %d", f.name, n.id)
			f.do(w, n)
			return
		}
	}
}

// outage is how long something stays broken: mostly shorter than a session or a follower's patience, sometimes longer.
func (w *world) outage() int64 {
	if w.oneIn(3) {
		return w.between(200, 900)
	}
	return w.between(1, 200)
}

// kill ends a broker's process, and has it start again some time later.
func (w *world) kill(n *node, power bool) {
	if !n.running {
		return
	}
	n.stop(power)
	life := n.life
	w.in(w.outage(), func() {
		if n.life == life {
			n.start()
		}
	})
}

// powerFailure takes a machine down with everything that was not flushed. The last replica of the ISR that has everything is spared: what is lost then is
// what Kafka loses, too. So is a cluster whose followers do not tell the life of their broker, below Fetch version 15: a fetch of a former life that arrives
// late puts the next one into the ISR (KAFKA-14617), and nothing in it shows that.
func (w *world) powerFailure(n *node) {
	isr := w.tree.state().ISR
	if !n.running || !slices.ContainsFunc(isr, func(id int32) bool { return id != n.id && !w.node(id).lost }) {
		return
	}
	w.kill(n, w.options.fetchVersion >= 15)
}

// unseenPowerFailure is one whose victim is back before the controller looks, and the controller, busy with something else, dies before it does. So no
// controller has seen the broker go, and what the last one wrote is younger than the registration that it did not know of.
func (w *world) unseenPowerFailure(n *node) {
	if w.tree.controller == nil || w.node(w.tree.controller.id) == n || n.zk == nil || n.zk.cut {
		return
	}
	control := w.node(w.tree.controller.id)
	s, life := n.zk.session, control.life
	control.zk.lateUntil = w.now + w.between(50, 250)
	w.electPreferred()
	w.powerFailure(n)
	if n.running {
		return
	}
	w.tree.expire(s)
	n.start()
	w.in(w.between(5, 150), func() {
		if control.life == life {
			w.kill(control, false)
		}
	})
}

// cleanStop is SIGTERM without the controlled shutdown: everything is flushed, and the session is closed.
func (w *world) cleanStop(n *node) {
	if !n.running || n.paused {
		return
	}
	n.flush()
	n.checkpoint()
	s := n.zk.session
	w.kill(n, false)
	w.tree.expire(s)
}

// pause is SIGSTOP, and later SIGCONT. A session does not outlive a long one.
func (w *world) pause(n *node) {
	if !n.running || n.paused {
		return
	}
	n.paused = true
	for_, life := w.outage(), n.life
	if for_ > sessionTimeout {
		w.in(w.between(sessionTimeout, for_), func() {
			if n.paused {
				w.expireOf(n, life)
			}
		})
	}
	w.in(for_, func() {
		if n.life == life {
			w.say("broker %d goes on", n.id)
			n.resume()
		}
	})
}

// expireOf ends the session of a life.
func (w *world) expireOf(n *node, life int) {
	if n.life == life {
		w.tree.expire(n.zk.session)
		w.noticeExpiry(n)
	}
}

// noticeExpiry lets a client that has a connection know that its session is gone.
func (w *world) noticeExpiry(n *node) {
	z := n.zk
	w.plan(w.latency(), n, func() {
		if z.session.expired && !z.cut {
			z.renew()
		}
	})
}

// loseSession ends the session of a broker that is well, as a server does that it cannot reach for too long.
func (w *world) loseSession(n *node) {
	if n.running {
		w.expireOf(n, n.life)
	}
}

// cutPeers keeps messages between a broker and one other, or all, from arriving; in one direction or both.
func (w *world) cutPeers(n *node) {
	var ways [][2]int32
	all, direction := w.oneIn(2), w.rng.IntN(3)
	for _, o := range w.nodes {
		if o == n || !all && w.oneIn(2) {
			continue
		}
		if direction != 0 {
			ways = append(ways, [2]int32{n.id, o.id})
		}
		if direction != 1 {
			ways = append(ways, [2]int32{o.id, n.id})
		}
	}
	for _, way := range ways {
		w.cut[way] = true
	}
	w.in(w.outage(), func() {
		w.say("peers of broker %d are back", n.id)
		for _, way := range ways {
			delete(w.cut, way)
		}
	})
}

// cutZooKeeper takes a broker's connection to ZooKeeper away, with the session when that lasts.
func (w *world) cutZooKeeper(n *node) {
	if !n.running || n.zk.cut {
		return
	}
	z, for_ := n.zk, w.outage()
	z.cut = true
	if for_ > sessionTimeout {
		s := z.session
		w.in(w.between(sessionTimeout, for_), func() {
			if z.cut {
				w.tree.expire(s)
			}
		})
	}
	w.in(for_, func() {
		if z.cut {
			w.mendZooKeeper(n, z)
		}
	})
}

func (w *world) mendZooKeeper(n *node, z *zkClient) {
	z.cut = false
	if z.alive() {
		w.say("broker %d reaches ZooKeeper again", n.id)
		w.plan(w.latency(), n, z.reconnected)
	}
}

// electPreferred asks for it as the old tool does.
func (w *world) electPreferred() {
	if w.tree.preferred == nil {
		w.tree.preferred = []protocol.TopicPartition{tp0}
		w.tree.changed(zk.PreferredReplicaElectionPath, zk.WatchData)
	}
}

// reassign asks for other replicas as the old tool does: two or three brokers in any order.
func (w *world) reassign() {
	if w.tree.reassignments != nil || w.tree.topic == nil {
		return
	}
	var target []int32
	for _, i := range w.rng.Perm(len(w.nodes))[:w.between(2, 3)] {
		target = append(target, w.nodes[i].id)
	}
	w.say("to be moved to %v", target)
	w.tree.reassignments = []zk.Reassignment{{TopicPartition: tp0, Replicas: target}}
	w.tree.changed(zk.ReassignPartitionsPath, zk.WatchData)
}

// raiseLogStart is retention: each broker's is its own.
func (w *world) raiseLogStart(n *node) {
	if l := n.disk.get(tp0); l != nil && n.running && !n.paused && l.hw > l.start {
		_ = l.IncrementLogStartOffset(w.between(l.start, l.hw))
		w.say("the log of broker %d begins at %d", n.id, l.start)
		n.touched()
	}
}

// flush makes everything so far durable; checkpoint the high watermark.
func (n *node) flush() {
	for _, l := range n.disk.logs {
		l.flushed = l.end()
	}
}

func (n *node) checkpoint() {
	for _, l := range n.disk.logs {
		l.checkpoint = l.hw
	}
}

// heal ends all faults: every broker runs and reaches everything.
func (w *world) heal() {
	w.say("all faults end")
	clear(w.cut)
	for _, n := range w.nodes {
		switch {
		case !n.running:
			n.start()
		case n.paused:
			n.resume()
		}
		if n.zk.cut {
			w.mendZooKeeper(n, n.zk)
		}
	}
}
