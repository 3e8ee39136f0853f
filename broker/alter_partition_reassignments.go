package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AlterPartitionReassignments (45), version 0: the active controller changes or cancels the replicas of partitions (KIP-455).
//
// Differences from Apache: error messages are worded differently.

func init() { handle(alterPartitionReassignments) }

func alterPartitionReassignments(b *Broker, rq *request, r *kmsg.AlterPartitionAssignmentsRequest) (kmsg.Response, error) {
	return b.controller.AlterPartitionAssignments(rq.ctx, r), nil
}
