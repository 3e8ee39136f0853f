package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ListPartitionReassignments (46), version 0: the active controller lists the reassignments that are under way (KIP-455).
//
// Differences from Apache: error messages are worded differently.

func init() { handle(listPartitionReassignments) }

func listPartitionReassignments(b *Broker, rq *request, r *kmsg.ListPartitionReassignmentsRequest) (kmsg.Response, error) {
	return b.controller.ListPartitionReassignments(rq.ctx, r), nil
}
