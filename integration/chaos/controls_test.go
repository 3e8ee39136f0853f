package chaos

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"gregor/integration/chaos/history"
)

// controls are rounds that must lose records, since the cluster is told to allow it: a rig that cannot see these proves nothing.
var controls = []plan{
	{name: "unclean", fault: staleFirst, configs: map[string]string{"unclean.leader.election.enable": "true"}, rules: history.Rules{Unclean: true}, loses: true},
	{name: "min-isr-1", fault: loneLeaderLosesPower, configs: map[string]string{"min.insync.replicas": "1"}, loses: true},
	{name: "acks-1", fault: cutOffAndKillLeader, acks1: true, loses: true},
}

// TestPositiveControls wants acknowledged records lost (I1), and nothing else wrong but what a loss brings with it.
func TestPositiveControls(t *testing.T) {
	s := sharedSite(t)
	dir := histories(t, s)
	c := s.newCluster(t)
	for _, p := range controls {
		if !selected(p.name) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			anomalies, err := c.play(t, dir, *firstSeed, p)
			if !slices.ContainsFunc(anomalies, func(a history.Anomaly) bool { return a.Invariant == "I1" }) {
				t.Errorf("no acknowledged record is lost, or the rig does not see it (%v)", err)
			}
		})
	}
}

// loneLeaderLosesPower has followers fall out of sync behind a leader that is the controller as well, so that its lone word is enough; then its power fails.
func loneLeaderLosesPower(r *round) error {
	id, err := r.tree.controller()
	if err != nil {
		return err
	}
	n := r.nodes[id-1]
	p, err := r.ledBy(n)
	if err != nil {
		return err
	}
	r.rec.Faultf("isolate %v, controller and leader of %d, from the other brokers", n, p)
	if err := n.isolate(r.peers(n)...); err != nil {
		return err
	}
	err = eventually(limit, func() error {
		if s, err := r.tree.state(r.topic, p); err != nil || len(s.ISR) != 1 {
			return fmt.Errorf("the ISR is %v: %v", s.ISR, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.pause(time.Second, 2*time.Second)
	r.rec.Faultf("power failure of %v", n)
	return n.powerFails()
}

// ledBy is a partition of the topic that the broker leads.
func (r *round) ledBy(n *node) (int32, error) {
	for p := range r.partitions {
		if leader, err := r.leader(p); err == nil && leader == n {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%v leads nothing", n)
}

// cutOffAndKillLeader kills a leader that its followers have not reached for a moment, but not for so long that they are out of sync.
func cutOffAndKillLeader(r *round) error {
	p := r.any()
	n, err := r.leader(p)
	if err != nil {
		return err
	}
	r.rec.Faultf("isolate %v, leader of %d, from the other brokers, and kill -9 it", n, p)
	err = n.isolate(r.peers(n)...)
	time.Sleep(replicaLag / 3)
	n.Kill()
	return errors.Join(err, r.awaitLeader(p, n))
}
