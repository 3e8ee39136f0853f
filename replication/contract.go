// Package replication holds this broker's replicas: leader or follower, ISR, high watermark.
package replication

// CONTRACT (being filled in by the owner of broker's core).

import (
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// Config of the manager.
type Config struct {
	BrokerID    int32
	BrokerEpoch func() int64
	Logs        *storage.Manager
	Logger      func(name string) *slog.Logger

	// OnLeader and OnFollower are told, in order and without a lock held, when this broker becomes leader of a partition (also in a new leader epoch) or stops being it.
	OnLeader   func(tp protocol.TopicPartition, leaderEpoch int32)
	OnFollower func(tp protocol.TopicPartition, leaderEpoch int32)
}

// Manager owns all partitions of this broker.
type Manager struct{}

// LeaderAndISR and StopReplica apply a controller's request (§3.12).
func (m *Manager) LeaderAndISR(r *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRResponse { panic("stub") }
func (m *Manager) StopReplica(r *kmsg.StopReplicaRequest) *kmsg.StopReplicaResponse    { panic("stub") }

// Partition returns the partition, or the code to answer: KAFKA_STORAGE_ERROR when it is on an offline directory, UNKNOWN_TOPIC_OR_PARTITION when this broker has no replica of it
// (the caller answers NOT_LEADER_OR_FOLLOWER instead when the metadata cache knows the partition).
func (m *Manager) Partition(tp protocol.TopicPartition) (*Partition, protocol.ErrorCode) {
	panic("stub")
}

// Partitions lists all online partitions.
func (m *Manager) Partitions() []*Partition { panic("stub") }

// Partition is one replica that lives here.
type Partition struct{}

func (p *Partition) TopicPartition() protocol.TopicPartition { panic("stub") }
func (p *Partition) Log() *storage.Log                       { panic("stub") }
func (p *Partition) TopicID() protocol.TopicID               { panic("stub") }
func (p *Partition) IsLeader() bool                          { panic("stub") }
func (p *Partition) LeaderEpoch() int32                      { panic("stub") }
func (p *Partition) ISR() []int32                            { panic("stub") }
func (p *Partition) Replicas() []int32                       { panic("stub") }

// CheckLeader fences: None, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH (KIP-320). epoch -1 is not checked.
func (p *Partition) CheckLeader(epoch int32) protocol.ErrorCode { panic("stub") }
