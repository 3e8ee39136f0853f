package group

import (
	"context"
	"log/slog"
	"time"

	"gregor/protocol/record"
)

// Config holds the group.* and offsets.* settings; the fields bear Kafka's names and their units.
type Config struct {
	BrokerID                                 int32 // for the log lines only
	MinSessionTimeoutMs, MaxSessionTimeoutMs int32 // group.{min,max}.session.timeout.ms
	InitialRebalanceDelayMs                  int32 // group.initial.rebalance.delay.ms
	MaxSize                                  int32 // group.max.size: members of one group
	OffsetMetadataMaxBytes                   int32 // offset.metadata.max.bytes, counted as Java does: UTF-16 units
	OffsetsRetentionMs                       int64 // offsets.retention.minutes in milliseconds
	OffsetsRetentionCheckIntervalMs          int64 // offsets.retention.check.interval.ms
	OffsetCommitTimeoutMs                    int32 // offsets.commit.timeout.ms: how long an append may wait for its replicas
	OffsetsTopicCodec                        record.Codec
	// Versions of the records, 1 to 3, that every broker of the cluster can read; 0 is 3. Below group version 3 there are no
	// static members: they could not be kept.
	OffsetValueVersion, GroupValueVersion int16
	Clock                                 func() time.Time               // nil: time.Now
	Logger                                func(name string) *slog.Logger // by log4j logger name; nil: slog.Default
}

// Log is what the coordinator needs of the __consumer_offsets partitions; the broker implements it over replication.
type Log interface {
	// Partitions is the number of partitions of __consumer_offsets (the configured number while the topic does not exist).
	Partitions() int32
	// Append writes one batch (record.Builder; base offset and epoch are set by the log) with acks=-1 and returns when it is
	// committed. The error is a protocol.ErrorCode of the produce path (NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS,
	// REQUEST_TIMED_OUT, MESSAGE_TOO_LARGE, …), which the coordinator translates as GroupMetadataManager does. It returns
	// REQUEST_TIMED_OUT soon after ctx has ended.
	Append(ctx context.Context, partition int32, b record.Batch) error
	// Load calls fn for every batch from the log start to the log end, and stops at the first error of fn.
	Load(ctx context.Context, partition int32, fn func(b record.Batch) error) error
}

// Client is who sent a request.
type Client struct {
	ID   string // client.id
	Host string // "/127.0.0.1", as Kafka prints it
}

// offsetsTopic is the topic that holds all state of this package.
const offsetsTopic = "__consumer_offsets"

// withDefaults fills in what a test may leave out.
func (c Config) withDefaults() Config {
	if c.OffsetValueVersion == 0 {
		c.OffsetValueVersion = offsetValueVersion
	}
	if c.GroupValueVersion == 0 {
		c.GroupValueVersion = groupValueVersion
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = func(name string) *slog.Logger { return slog.Default().With("logger", name) }
	}
	return c
}
