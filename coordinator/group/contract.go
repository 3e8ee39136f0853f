// Package group is the classic consumer group coordinator of Kafka 3.9 (ZooKeeper mode).
package group

// CONTRACT (stub; the owner splits this into files, replaces the panics and deletes this line).

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
)

// Config holds the group.* and offsets.* settings (units in the names as in Kafka).
type Config struct {
	MinSessionTimeoutMs, MaxSessionTimeoutMs int32
	InitialRebalanceDelayMs                  int32
	MaxSize                                  int32
	OffsetMetadataMaxBytes                   int32
	OffsetsRetentionMs                       int64
	OffsetsRetentionCheckIntervalMs          int64
	OffsetCommitTimeoutMs                    int32
	OffsetsTopicCodec                        record.Codec
	Clock                                    func() time.Time
	Logger                                   func(name string) *slog.Logger
}

// Log is what the coordinator needs of the __consumer_offsets partitions; the broker implements it over replication.
type Log interface {
	// Partitions is the number of partitions of __consumer_offsets (the configured number while the topic does not exist).
	Partitions() int32
	// Append writes one batch (record.Builder; base offset and epoch are set by the log) with acks=-1 and returns when it is committed. The error is a protocol.ErrorCode of the produce
	// path (NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT, MESSAGE_TOO_LARGE, …), which the coordinator translates as GroupMetadataManager does.
	Append(ctx context.Context, partition int32, b record.Batch) error
	// Load calls fn for every batch from the log start to the log end.
	Load(ctx context.Context, partition int32, fn func(b record.Batch) error) error
}

// Client is who sent a request.
type Client struct {
	ID   string // client.id
	Host string // "/127.0.0.1", as Kafka prints it
}

// Coordinator serves all groups whose __consumer_offsets partition this broker leads. Every method may block until its answer is due; ctx ends when the client's connection
// closes. Methods answer COORDINATOR_NOT_AVAILABLE / NOT_COORDINATOR / COORDINATOR_LOAD_IN_PROGRESS themselves.
type Coordinator struct{}

func New(c Config, l Log) *Coordinator { panic("stub") }
func (c *Coordinator) Start()          { panic("stub") }
func (c *Coordinator) Stop()           { panic("stub") }

// Elected and Resigned are told by the broker when leadership of a partition of __consumer_offsets changes; loading runs in the background, newest epoch wins.
func (c *Coordinator) Elected(partition, leaderEpoch int32)  { panic("stub") }
func (c *Coordinator) Resigned(partition, leaderEpoch int32) { panic("stub") }

// PartitionFor is the __consumer_offsets partition of a group.
func (c *Coordinator) PartitionFor(group string) int32 { panic("stub") }

func (c *Coordinator) JoinGroup(ctx context.Context, cl Client, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	panic("stub")
}
func (c *Coordinator) SyncGroup(ctx context.Context, cl Client, r *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	panic("stub")
}
func (c *Coordinator) Heartbeat(ctx context.Context, r *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	panic("stub")
}
func (c *Coordinator) LeaveGroup(ctx context.Context, r *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	panic("stub")
}

// OffsetCommit gets only partitions that exist (the broker answers the others); topics may be empty.
func (c *Coordinator) OffsetCommit(ctx context.Context, r *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	panic("stub")
}
func (c *Coordinator) OffsetFetch(ctx context.Context, r *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	panic("stub")
}
func (c *Coordinator) OffsetDelete(ctx context.Context, r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	panic("stub")
}
func (c *Coordinator) DescribeGroups(ctx context.Context, r *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	panic("stub")
}
func (c *Coordinator) ListGroups(ctx context.Context, r *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	panic("stub")
}
func (c *Coordinator) DeleteGroups(ctx context.Context, r *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	panic("stub")
}

// TopicsDeleted drops the offsets of deleted partitions (with tombstones), as the broker learns of them by UpdateMetadata.
func (c *Coordinator) TopicsDeleted(tps []protocol.TopicPartition) { panic("stub") }
