package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// reassign (F16) moves every partition of the topic from a broker to the spare one, and harms the source, the target or the controller meanwhile.
func reassign(r *round) error {
	spare := r.nodes[brokerCount]
	spare.wanted = true
	if err := spare.start(); err != nil {
		return err
	}
	source := r.nodes[r.rng.IntN(brokerCount)]
	to := slices.Clone([]int32{1, 2, 3})
	to[source.id-1] = spare.id
	held := r.rng.IntN(2) == 0 // the target sleeps while the reassignment begins, so that it is certainly under way
	if held {
		spare.pause()
	}
	r.rec.Faultf("reassign from %v to %v: %v", source, spare, to)
	if err := r.alterReassignments(to); err != nil {
		return err
	}
	r.pause(0, 300*time.Millisecond)
	victim := []*node{source, spare, nil}[r.rng.IntN(3)]
	if victim == nil {
		id, err := r.tree.controller()
		if err != nil {
			return err
		}
		victim = r.nodes[id-1]
	}
	r.rec.Faultf("kill -9 %v", victim)
	victim.Kill()
	victim.paused = false
	if spare.paused {
		r.pause(0, 2*time.Second)
		spare.resume()
	}
	r.pause(0, sessionTimeout+2*time.Second)
	return errors.Join(r.heal(), r.reassigned(to))
}

func (r *round) alterReassignments(to []int32) error {
	var req kadm.AlterPartitionAssignmentsReq
	for p := range r.partitions {
		req.Assign(r.topic, p, to)
	}
	return eventually(limit, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		answer, err := r.admin.AlterPartitionAssignments(ctx, req)
		return errors.Join(err, answer.Error())
	})
}

// reassigned waits until every partition of the topic is on these brokers, all in sync.
func (r *round) reassigned(on []int32) error {
	return eventually(limit, func() error {
		for p := range r.partitions {
			s, err := r.tree.state(r.topic, p)
			if err != nil {
				return err
			}
			slices.Sort(s.ISR)
			if !slices.Equal(s.Replicas, on) || !slices.Equal(s.ISR, slices.Sorted(slices.Values(on))) {
				return fmt.Errorf("%s-%d is on %v, ISR %v, not on %v", r.topic, p, s.Replicas, s.ISR, on)
			}
		}
		if there, err := r.tree.exists("/admin/reassign_partitions"); err != nil || there {
			return fmt.Errorf("/admin/reassign_partitions is there: %v %v", there, err)
		}
		return nil
	})
}

// reassignBack moves everything back and stops the spare broker, which must hold nothing any more.
func reassignBack(r *round) error {
	spare := r.nodes[brokerCount]
	home := []int32{1, 2, 3}
	if err := errors.Join(r.alterReassignments(home), r.reassigned(home)); err != nil {
		return err
	}
	spare.wanted = false
	return spare.stop()
}
