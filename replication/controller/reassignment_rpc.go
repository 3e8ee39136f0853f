package controller

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// AlterPartitionAssignments answers AlterPartitionReassignments (45). Differences from Apache: v1's
// AllowReplicationFactorChange is not in 3.9 and is refused by version, not here.
func (c *Controller) AlterPartitionAssignments(ctx context.Context, r *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp := r.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	topics, ok := call(ctx, c, func() ([]kmsg.AlterPartitionAssignmentsResponseTopic, error) {
		if !c.elected {
			return nil, nil
		}
		return c.alterAssignments(r)
	})
	if !ok || topics == nil && !c.Active() {
		resp.ErrorCode = int16(protocol.NotController)
		resp.ErrorMessage = kmsg.StringPtr(notController)
		return resp
	}
	resp.Topics = topics
	return resp
}

func (c *Controller) alterAssignments(r *kmsg.AlterPartitionAssignmentsRequest) ([]kmsg.AlterPartitionAssignmentsResponseTopic, error) {
	topics := []kmsg.AlterPartitionAssignmentsResponseTopic{}
	accepted := map[protocol.TopicPartition]assignment{}
	results := map[protocol.TopicPartition]*refusal{}
	for _, t := range r.Topics {
		for _, rp := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: rp.Partition}
			next, refused := c.planReassignment(tp, rp.Replicas)
			if results[tp] = refused; refused == nil {
				accepted[tp] = next
			}
		}
	}
	// The newest request wins, whichever way it came.
	err := c.dropFromZNode(func(e zk.Reassignment) bool { _, ok := accepted[e.TopicPartition]; return ok })
	if err != nil {
		return nil, err
	}
	for _, t := range r.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		for _, rp := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: rp.Partition}
			out := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			out.Partition = rp.Partition
			refused := results[tp]
			if next, ok := accepted[tp]; ok {
				delete(accepted, tp) // a partition named twice is moved once
				if refused, err = c.startReassignment(tp, next); err != nil {
					return nil, err
				}
				results[tp] = refused
			}
			if refused != nil {
				out.ErrorCode, out.ErrorMessage = int16(refused.code), kmsg.StringPtr(refused.message)
			}
			rt.Partitions = append(rt.Partitions, out)
		}
		topics = append(topics, rt)
	}
	return topics, nil
}

// planReassignment checks a requested target; nil replicas cancel a running reassignment.
func (c *Controller) planReassignment(tp protocol.TopicPartition, target []int32) (assignment, *refusal) {
	current := assignment{}
	if p := c.cluster.partition(tp); p != nil {
		current = p.assignment
	}
	if target == nil {
		if !current.isBeingReassigned() {
			return assignment{}, &refusal{protocol.NoReassignmentInProgress, "No partition reassignment is in progress."}
		}
		return current.reassignTo(current.origin()), nil
	}
	invalid := func(format string, args ...any) (assignment, *refusal) {
		return assignment{}, &refusal{protocol.InvalidReplicaAssignment, fmt.Sprintf(format, args...)}
	}
	next := current.reassignTo(target)
	sorted := slices.Sorted(slices.Values(target))
	switch {
	case len(target) == 0:
		return invalid("Empty replica list specified in partition reassignment.")
	case len(slices.Compact(sorted)) != len(target):
		return invalid("Duplicate replica ids in partition reassignment replica list: %v", target)
	case slices.Min(target) < 0:
		return invalid("Invalid broker id in replica list: %v", target)
	case slices.ContainsFunc(next.adding, func(b int32) bool { return !c.cluster.isLive(b) }):
		return invalid("Replica assignment has brokers that are not alive. Replica list: %v, live broker list: %v", next.adding, c.cluster.liveBrokers())
	}
	return next, nil
}

func (c *Controller) startReassignment(tp protocol.TopicPartition, next assignment) (*refusal, error) {
	p := c.cluster.partition(tp)
	if p == nil || c.cluster.toBeDeleted[tp.Topic] || len(p.assignment.replicas) == 0 {
		return &refusal{protocol.UnknownTopicOrPartition, "The partition does not exist."}, nil
	}
	if err := c.reassignTo(p, next); err != nil {
		if transient(err) != nil {
			return nil, err
		}
		c.log.Error(c.prefix()+"Error while reassigning "+tp.String(), "error", err)
		return &refusal{protocol.UnknownServerError, err.Error()}, nil
	}
	return nil, nil
}

// ListPartitionReassignments answers ListPartitionReassignments (46): what is in progress, of all topics (null) or of
// those named.
func (c *Controller) ListPartitionReassignments(ctx context.Context, r *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := r.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	topics, ok := call(ctx, c, func() ([]kmsg.ListPartitionReassignmentsResponseTopic, error) {
		if !c.elected {
			return nil, nil
		}
		return c.listReassignments(r), nil
	})
	if !ok || topics == nil && !c.Active() {
		resp.ErrorCode = int16(protocol.NotController)
		resp.ErrorMessage = kmsg.StringPtr(notController)
		return resp
	}
	resp.Topics = topics
	return resp
}

func (c *Controller) listReassignments(r *kmsg.ListPartitionReassignmentsRequest) []kmsg.ListPartitionReassignmentsResponseTopic {
	wanted := func(*partition) bool { return true }
	if r.Topics != nil {
		named := map[protocol.TopicPartition]bool{}
		for _, t := range r.Topics {
			for _, n := range t.Partitions {
				named[protocol.TopicPartition{Topic: t.Topic, Partition: n}] = true
			}
		}
		wanted = func(p *partition) bool { return named[p.tp] }
	}
	topics := []kmsg.ListPartitionReassignmentsResponseTopic{}
	for _, p := range c.cluster.partitionsWhere(func(p *partition) bool { return p.assignment.isBeingReassigned() && wanted(p) }) {
		if len(topics) == 0 || topics[len(topics)-1].Topic != p.tp.Topic {
			t := kmsg.NewListPartitionReassignmentsResponseTopic()
			t.Topic = p.tp.Topic
			topics = append(topics, t)
		}
		out := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		out.Partition, out.Replicas = p.tp.Partition, slices.Clone(p.assignment.replicas)
		out.AddingReplicas, out.RemovingReplicas = slices.Clone(p.assignment.adding), slices.Clone(p.assignment.removing)
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, out)
	}
	return topics
}
