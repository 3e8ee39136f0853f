package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gregor/integration/harness"
)

// plans is every fault, by its number in the project's fault matrix.
var plans = []plan{
	{name: "F1", fault: killLeader},
	{name: "F2", fault: isolateLeader},
	{name: "F3", fault: dropOneWay},
	{name: "F4", fault: pauseLeader},
	{name: "F5", fault: rollingRestart},
	{name: "F6", fault: killController},
	{name: "F7", fault: loseZooKeeper},
	{name: "F8", fault: powerFailure(1)},
	{name: "F8x2", fault: powerFailure(2)},
	{name: "F8reborn", fault: rebornController},
	{name: "F11", fault: staleFirst},
	{name: "F13", fault: killCoordinator},
	{name: "F16", fault: reassign, replicas: [][]int32{{1, 2, 3}, {2, 3, 1}}, after: reassignBack},
}

// killLeader (F1) kills a partition's leader, once or as long as the seed says, each time the new one.
func killLeader(r *round) error {
	for range 1 + r.rng.IntN(2) {
		p := r.any()
		n, err := r.leader(p)
		if err != nil {
			return err
		}
		r.rec.Faultf("kill -9 %v, leader of %d", n, p)
		n.Kill()
		if r.rng.IntN(4) > 0 { // otherwise it is back before anybody knows
			if err := r.awaitLeader(p, n); err != nil {
				return err
			}
			r.pause(0, time.Second)
		}
		r.rec.Faultf("start %v", n)
		if err := n.start(); err != nil {
			return err
		}
		r.pause(0, time.Second)
	}
	return nil
}

// isolateLeader (F2) cuts a leader off from the other brokers and from ZooKeeper; clients still reach it. Sometimes it dies before it is back.
func isolateLeader(r *round) error {
	p := r.any()
	n, err := r.leader(p)
	if err != nil {
		return err
	}
	r.rec.Faultf("isolate %v, leader of %d", n, p)
	if err := n.isolate(r.others(n)...); err != nil {
		return err
	}
	if err := r.awaitLeader(p, n); err != nil {
		return err
	}
	r.pause(500*time.Millisecond, 3*time.Second)
	if r.rng.IntN(2) == 0 {
		r.rec.Faultf("kill -9 %v", n)
		n.Kill()
	}
	return nil
}

// dropOneWay (F3) has what goes one way between a leader and others vanish.
func dropOneWay(r *round) error {
	n, err := r.leader(r.any())
	if err != nil {
		return err
	}
	switch way := r.rng.IntN(4); way {
	case 0:
		r.rec.Faultf("drop from leader %v to the brokers", n)
		err = n.drop(r.peers(n)...)
	case 1:
		r.rec.Faultf("drop from the brokers to leader %v", n)
		err = dropTo(n, r.peers(n))
	case 2:
		r.rec.Faultf("drop from %v to ZooKeeper", n)
		err = n.drop(r.ensemble()...)
	case 3:
		r.rec.Faultf("drop from ZooKeeper to %v", n)
		err = dropTo(n, r.ensemble())
	}
	r.pause(replicaLag, sessionTimeout+replicaLag)
	return err
}

func dropTo(n *node, from []host) error {
	var failures []error
	for _, h := range from {
		failures = append(failures, h.drop(n.host))
	}
	return errors.Join(failures...)
}

// pauseLeader (F4) stops a leader's process for less or more than its session lasts; then it goes on as if nothing had been.
func pauseLeader(r *round) error {
	n, err := r.leader(r.any())
	if err != nil {
		return err
	}
	length := time.Second
	if r.rng.IntN(4) > 0 {
		length = sessionTimeout + time.Duration(r.rng.Int64N(int64(4*time.Second)))
	}
	r.rec.Faultf("SIGSTOP %v for %v", n, length)
	n.pause()
	time.Sleep(length)
	r.rec.Faultf("SIGCONT %v", n)
	n.resume()
	return nil
}

// rollingRestart (F5) restarts every broker with a controlled shutdown, the next one when the last is in sync.
func rollingRestart(r *round) error {
	for _, i := range r.rng.Perm(brokerCount) {
		n := r.nodes[i]
		r.rec.Faultf("SIGTERM %v", n)
		if err := n.stop(); err != nil {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
		r.rec.Faultf("%v is back", n)
		if err := eventually(limit, func() error { return r.converged(context.Background()) }); err != nil {
			return err
		}
	}
	return nil
}

// loseZooKeeper (F7) ends a broker's session from outside, kills the ensemble's leader, takes one server away, or takes the quorum away.
func loseZooKeeper(r *round) error {
	switch r.rng.IntN(4) {
	case 0:
		return r.expireSession()
	case 1:
		n := r.nodes[r.rng.IntN(brokerCount)]
		r.rec.Faultf("cut %v off from ZooKeeper until its session is over", n)
		err := n.isolate(r.ensemble()...)
		r.pause(sessionTimeout+time.Second, sessionTimeout+3*time.Second)
		return err
	case 2:
		for _, k := range r.keepers {
			if k.leads() {
				r.rec.Faultf("kill -9 %s, the leader of the ensemble", k.name)
				k.kill()
				break
			}
		}
		r.pause(time.Second, 3*time.Second)
		return nil
	}
	return r.loseQuorum()
}

func (r *round) expireSession() error {
	n := r.nodes[r.rng.IntN(brokerCount)]
	if id, err := r.tree.controller(); err == nil && r.rng.IntN(2) == 0 {
		n = r.nodes[id-1]
	}
	session, err := r.registration(n)
	if err != nil {
		return err
	}
	r.rec.Faultf("the session %#x of %v ends", session, n)
	harness.ExpireSession(r.t, n.Connect, session)
	r.pause(time.Second, 3*time.Second)
	return nil
}

// loseQuorum kills two of three servers. Whoever leads goes on serving: no ISR needs to change.
func (r *round) loseQuorum() error {
	alone := r.rng.IntN(len(r.keepers))
	for i, k := range r.keepers {
		if i != alone {
			r.rec.Faultf("kill -9 %s", k.name)
			k.kill()
		}
	}
	time.Sleep(time.Second)
	before := r.acks.Load()
	err := eventually(limit, func() error {
		if now := r.acks.Load(); now < before+100 {
			return fmt.Errorf("without ZooKeeper %d records were acknowledged", now-before)
		}
		return nil
	})
	r.pause(time.Second, 2*sessionTimeout)
	return err
}

// powerFailure (F8) is the loss of power of so many brokers at once, a leader among them: what they had not synced is gone. Of what was acknowledged somebody
// else must have a copy, so that the others must be in sync.
func powerFailure(brokers int) func(*round) error {
	return func(r *round) error {
		leader, err := r.leader(r.any())
		if err != nil {
			return err
		}
		victims := []*node{leader}
		for _, i := range r.rng.Perm(brokerCount) {
			if n := r.nodes[i]; n != leader && len(victims) < brokers {
				victims = append(victims, n)
			}
		}
		for _, n := range victims {
			r.rec.Faultf("power failure of %v", n)
			if err := n.powerFails(); err != nil {
				return err
			}
		}
		if brokers > 1 && !r.coveredBut(victims) {
			return errVoid
		}
		if r.rng.IntN(2) == 0 { // otherwise they are back before their sessions end
			r.pause(sessionTimeout, sessionTimeout+2*time.Second)
		}
		for _, n := range victims {
			r.rec.Faultf("start %v", n)
			if err := n.start(); err != nil {
				return err
			}
		}
		return nil
	}
}

// rebornController (F8) takes the power from the controller, a leader, and keeps the others from noticing: it is back, with a registration of its new life, and controller
// again, before anybody has seen that it was gone. What it had not synced is gone, and yet every znode says that it is in sync.
func rebornController(r *round) error {
	id, err := r.tree.controller()
	if err != nil {
		return err
	}
	n := r.nodes[id-1]
	if _, err := r.ledBy(n); err != nil {
		return err
	}
	r.rec.Faultf("power failure of %v, the controller", n)
	before, err := r.registration(n)
	if err != nil {
		return err
	}
	if err := n.powerFails(); err != nil {
		return err
	}
	r.rec.Faultf("start %v", n)
	began := time.Now()
	if err := n.saveLog(); err != nil {
		return err
	}
	n.launch()
	time.Sleep(time.Until(began.Add(sessionTimeout / 2))) // its former session lasts a heartbeat less than its timeout, at least
	for _, other := range r.nodes[:brokerCount] {
		if other != n {
			r.rec.Faultf("SIGSTOP %v", other)
			other.pause()
		}
	}
	err = eventually(sessionTimeout*5/8, func() error { // shorter than the others' sessions
		if now, err := r.registration(n); err != nil || now == before || now == 0 {
			return fmt.Errorf("%v is not registered anew: %v", n, err)
		}
		if now, err := r.tree.controller(); err != nil || now != id {
			return fmt.Errorf("%v is not the controller: %v", n, err)
		}
		return nil
	})
	r.rec.Faultf("SIGCONT the others; %v is the controller again: %v", n, err == nil)
	for _, other := range r.nodes[:brokerCount] {
		if other != n {
			other.resume()
		}
	}
	return n.awaitStarted()
}

// registration is the id of the session that a broker is registered in, 0 when it is not.
func (r *round) registration(n *node) (session int64, err error) {
	stat, err := r.tree.stat(fmt.Sprintf("/brokers/ids/%d", n.id))
	if err != nil || stat == nil {
		return 0, err
	}
	return stat.EphemeralOwner, nil
}

// coveredBut says whether every partition has a replica in sync on a broker that is not among these.
func (r *round) coveredBut(victims []*node) bool {
	states, err := r.truth()
	if err != nil {
		return false
	}
	for _, s := range states {
		if !slices.ContainsFunc(s.ISR, func(id int32) bool { return !slices.Contains(victims, r.nodes[id-1]) }) {
			return false
		}
	}
	return true
}

// staleFirst (F11) kills a follower, lets the others go on without it, kills them too, and starts the follower first: it must not lead.
func staleFirst(r *round) error {
	p := r.any()
	leader, err := r.leader(p)
	if err != nil {
		return err
	}
	stale := r.nodes[r.rng.IntN(brokerCount)]
	for stale == leader {
		stale = r.nodes[r.rng.IntN(brokerCount)]
	}
	r.rec.Faultf("kill -9 %v", stale)
	stale.Kill()
	err = eventually(limit, func() error {
		for p := range r.partitions {
			if s, err := r.tree.state(r.topic, p); err != nil || slices.Contains(s.ISR, stale.id) {
				return fmt.Errorf("%v is still in the ISR: %v", stale, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.pause(500*time.Millisecond, time.Second) // records that it does not have
	for _, n := range r.nodes[:brokerCount] {
		if n != stale {
			r.rec.Faultf("kill -9 %v", n)
			n.Kill()
		}
	}
	r.rec.Faultf("start %v", stale)
	if err := stale.start(); err != nil {
		return err
	}
	r.pause(sessionTimeout+time.Second, sessionTimeout+2*time.Second) // it becomes the controller, and sees that the others are gone
	return nil
}
