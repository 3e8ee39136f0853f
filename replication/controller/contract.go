// Package controller is the elected controller of a ZooKeeper-mode cluster.
package controller

// CONTRACT (stub; the owner splits this into files, replaces the panics and deletes this line).

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// Config of a broker's controller.
type Config struct {
	BrokerID              int32
	BrokerEpoch           func() int64 // czxid of our registration in force
	InterBrokerListener   string       // listener name on which brokers are reached (or the control plane's)
	DeleteTopicEnable     func() bool
	AutoLeaderRebalance   bool
	ImbalancePercent      int
	ImbalanceCheckSeconds int
	SocketTimeoutMs       int
	UncleanLeaderElection func(topic string) bool // effective unclean.leader.election.enable
	Logger                func(name string) *slog.Logger
}

// Controller competes for /controller, and while elected reacts to watches and RPCs on one goroutine, speaking to every broker over the wire.
type Controller struct{}

func New(c Config, z *zk.Client) *Controller { panic("stub") }

// Start runs the first election and returns when its outcome is known. Reregister is called by the broker after it has re-created its registration in a new session.
func (c *Controller) Start() error  { panic("stub") }
func (c *Controller) Reregistered() { panic("stub") }
func (c *Controller) Stop()         { panic("stub") } // resigns

// Active reports whether this broker is the controller. ID is the controller's broker id, -1 unknown. Epoch is the last epoch seen.
func (c *Controller) Active() bool { panic("stub") }
func (c *Controller) ID() int32    { panic("stub") }
func (c *Controller) Epoch() int32 { panic("stub") }

// RPCs. Every one answers NOT_CONTROLLER where the API has a place for it, when this broker is not the controller.
func (c *Controller) ElectLeaders(ctx context.Context, r *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	panic("stub")
}
func (c *Controller) AlterPartitionAssignments(ctx context.Context, r *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	panic("stub")
}
func (c *Controller) ListPartitionReassignments(ctx context.Context, r *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	panic("stub")
}
func (c *Controller) ControlledShutdown(ctx context.Context, r *kmsg.ControlledShutdownRequest) *kmsg.ControlledShutdownResponse {
	panic("stub")
}
func (c *Controller) AlterPartition(ctx context.Context, r *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	panic("stub")
}
func (c *Controller) AllocateProducerIDs(ctx context.Context, r *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse {
	panic("stub")
}
func (c *Controller) UpdateFeatures(ctx context.Context, r *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	panic("stub")
}

// BrokerPlace is a broker as replica placement sees it.
type BrokerPlace struct {
	ID   int32
	Rack string // "" none
}

// AssignReplicas places partitions first..first+n-1 as AdminUtils does (start index and shift random when < 0; racks included). Errors: INVALID_PARTITIONS,
// INVALID_REPLICATION_FACTOR.
func AssignReplicas(brokers []BrokerPlace, n, replicationFactor, start, first int) (map[int32][]int32, error) {
	panic("stub")
}

var _ protocol.ErrorCode
