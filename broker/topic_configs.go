package broker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"gregor/broker/config"
	"gregor/protocol"
	"gregor/storage"
	"gregor/zk"
)

// Kinds of entities under /config.
const (
	topicConfigs  = "topics"
	brokerConfigs = "brokers"
	defaultEntity = "<default>"
)

// uncleanElection is the one config that the controller follows: partitions without a leader may get one when it becomes true.
const uncleanElection = "unclean.leader.election.enable"

// TopicConfigs keeps the overrides of every topic this broker was asked for, as they stand in /config/topics, and says what a topic's log is to do.
// An override that Kafka would refuse (an old tool may write any text into ZooKeeper) is left out, with a warning.
type TopicConfigs struct {
	store  *config.Store
	read   func(topic string) (map[string]string, error) // /config/topics/T; nil when absent
	logger *slog.Logger

	plain atomic.Pointer[plainConfig]

	mu        sync.Mutex
	overrides map[string]map[string]string // by topic; the inner maps are never written to
}

// plainConfig is what topics without overrides do, under one version of the broker's configuration.
type plainConfig struct {
	version config.Version
	config  storage.LogConfig
}

func newTopicConfigs(store *config.Store, z *zk.Client, logger *slog.Logger) *TopicConfigs {
	return &TopicConfigs{
		store: store, logger: logger, overrides: make(map[string]map[string]string),
		read: func(topic string) (map[string]string, error) { return z.EntityConfig(topicConfigs, topic) },
	}
}

// LogConfig is the effective configuration of a topic's logs. A topic not heard of before is read from ZooKeeper: topics are created without a change
// notification (AdminZkClient). When that fails the broker's defaults serve until the next change.
func (c *TopicConfigs) LogConfig(topic string) storage.LogConfig {
	c.mu.Lock()
	overrides, known := c.overrides[topic]
	c.mu.Unlock()
	if !known {
		var err error
		if overrides, err = c.refresh(topic); err != nil {
			c.logger.Warn(fmt.Sprintf("Could not read the configuration of topic %s, taking the defaults: %v", topic, err))
		}
	}
	if len(overrides) > 0 {
		return logConfig(c.store, overrides)
	}
	version := c.store.Version()
	plain := c.plain.Load()
	if plain == nil || plain.version != version {
		plain = &plainConfig{version, logConfig(c.store, nil)}
		c.plain.Store(plain)
	}
	return plain.config
}

// refresh reads a topic's overrides anew and returns the ones that are in force.
func (c *TopicConfigs) refresh(topic string) (map[string]string, error) {
	overrides, err := c.read(topic)
	if err != nil {
		return nil, err
	}
	return c.set(topic, overrides), nil
}

func (c *TopicConfigs) set(topic string, overrides map[string]string) map[string]string {
	sound := c.soundOverrides(topic, overrides)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overrides[topic] = sound
	return sound
}

// forget drops a deleted topic, so that a new one of the same name starts from its own configuration.
func (c *TopicConfigs) forget(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.overrides, topic)
}

// override is what a topic's configuration sets a key to; "" when it does not.
func (c *TopicConfigs) override(topic, key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.overrides[topic][key]
}

func (c *TopicConfigs) topics() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.overrides))
}

func (c *TopicConfigs) soundOverrides(topic string, overrides map[string]string) map[string]string {
	if config.ValidateTopic(overrides) == nil {
		return overrides
	}
	sound := make(map[string]string, len(overrides))
	for name, value := range overrides {
		if err := config.ValidateTopic(map[string]string{name: value}); err != nil {
			c.logger.Warn(fmt.Sprintf("Ignoring %s=%s in the configuration of topic %s: %v", name, value, topic, err))
			continue
		}
		sound[name] = value
	}
	return sound
}

// logConfig brings a topic's effective values into the types of storage. The values were validated, so that parsing cannot fail.
func logConfig(store *config.Store, overrides map[string]string) storage.LogConfig {
	text := func(key string) string { return store.TopicValue(overrides, key) }
	number := func(key string) int64 {
		n, _ := strconv.ParseInt(strings.TrimSpace(text(key)), 10, 64)
		return n
	}
	flag := func(key string) bool { return strings.EqualFold(strings.TrimSpace(text(key)), "true") }
	policies := strings.FieldsFunc(text("cleanup.policy"), func(r rune) bool { return r == ',' || r == ' ' })
	return storage.LogConfig{
		SegmentBytes:                int32(number("segment.bytes")),
		SegmentMs:                   number("segment.ms"),
		SegmentJitterMs:             number("segment.jitter.ms"),
		SegmentIndexBytes:           int32(number("segment.index.bytes")),
		IndexIntervalBytes:          int32(number("index.interval.bytes")),
		FlushMessages:               number("flush.messages"),
		FlushMs:                     number("flush.ms"),
		RetentionBytes:              number("retention.bytes"),
		RetentionMs:                 number("retention.ms"),
		FileDeleteDelayMs:           number("file.delete.delay.ms"),
		MaxMessageBytes:             int32(number("max.message.bytes")),
		Compact:                     slices.Contains(policies, "compact"),
		Delete:                      slices.Contains(policies, "delete"),
		CompressionType:             text("compression.type"),
		GzipLevel:                   int(number("compression.gzip.level")),
		LZ4Level:                    int(number("compression.lz4.level")),
		ZstdLevel:                   int(number("compression.zstd.level")),
		LogAppendTime:               text("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs:        timestampLimit(number, "message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:         timestampLimit(number, "message.timestamp.after.max.ms"),
		MinInsyncReplicas:           int32(number("min.insync.replicas")),
		UncleanLeaderElectionEnable: flag(uncleanElection),
		Preallocate:                 flag("preallocate"),
	}
}

// timestampLimit reads one of the two limits of KIP-937; while it stands at its default, the deprecated message.timestamp.difference.max.ms decides for both
// (LogConfig.getMessageTimestampBeforeMaxMs).
func timestampLimit(number func(key string) int64, key string) int64 {
	const unlimited = 1<<63 - 1
	if limit := number(key); limit != unlimited {
		return limit
	}
	return number("message.timestamp.difference.max.ms")
}

// LogConfig is what storage.ManagerConfig.TopicConfig asks for.
func (b *Broker) LogConfig(topic string) storage.LogConfig { return b.topicConfigs.LogConfig(topic) }

// startConfigs reads the dynamic configuration of brokers and the overrides of all topics before the logs are loaded. The broker's id, config, logging and zk
// must be set.
func (b *Broker) startConfigs() error {
	b.topicConfigs = newTopicConfigs(b.config, b.zk, b.logging.Logger("kafka.server.ZkConfigManager"))
	for _, name := range []string{defaultEntity, strconv.Itoa(int(b.id))} {
		if err := b.refreshBrokerConfig(name); err != nil {
			return fmt.Errorf("reading /config/brokers/%s: %w", name, err)
		}
	}
	topics, err := b.zk.EntityConfigs(topicConfigs)
	if err != nil {
		return fmt.Errorf("reading /config/topics: %w", err)
	}
	for topic, overrides := range topics {
		b.topicConfigs.set(topic, overrides)
	}
	return nil
}

// watchConfigs applies configuration changes to the running broker until ctx ends. The logs must be loaded and the controller made.
func (b *Broker) watchConfigs(ctx context.Context) error {
	b.config.OnChange(func(changed []string) {
		b.updateAllLogConfigs()
		if slices.Contains(changed, uncleanElection) && b.config.Bool(uncleanElection) {
			b.controller.UncleanLeaderElectionEnabled()
		}
	})
	return b.zk.WatchConfigChanges(ctx, b.configChanged)
}

func (b *Broker) configChanged(kind, name string) {
	var err error
	switch kind {
	case topicConfigs:
		if _, err = b.topicConfigs.refresh(name); err == nil {
			changed := b.topicConfigs.LogConfig(name)
			b.logs.UpdateConfig(name, changed)
			if changed.UncleanLeaderElectionEnable {
				b.controller.UncleanLeaderElectionEnabled()
			}
		}
	case brokerConfigs:
		if name == defaultEntity || name == strconv.Itoa(int(b.id)) {
			err = b.refreshBrokerConfig(name)
		}
	}
	if err != nil {
		b.logging.Logger("kafka.server.ZkConfigManager").Error(fmt.Sprintf("Could not apply the change of /config/%s/%s: %v", kind, name, err))
	}
}

// refreshBrokerConfig makes the dynamic layer of /config/brokers/<name> the one in force. Values that do not validate are logged and left out.
func (b *Broker) refreshBrokerConfig(name string) error {
	values, err := b.zk.EntityConfig(brokerConfigs, name)
	if err != nil {
		return err
	}
	for _, err := range b.config.SetDynamic(name == defaultEntity, values) {
		b.logging.Logger("kafka.server.DynamicBrokerConfig").Error(fmt.Sprintf("Ignoring a value of /config/brokers/%s: %v", name, err))
	}
	return nil
}

// updateAllLogConfigs gives every log its effective configuration again: a default of the broker may have changed under it.
func (b *Broker) updateAllLogConfigs() {
	for _, topic := range b.topicConfigs.topics() {
		b.logs.UpdateConfig(topic, b.topicConfigs.LogConfig(topic))
	}
}

// partitionsDeleted tells the rooms that remember a topic that the controller has removed it.
func (b *Broker) partitionsDeleted(deleted []protocol.TopicPartition) {
	if len(deleted) == 0 {
		return
	}
	for _, tp := range deleted {
		if !b.metadata.HasTopic(tp.Topic) {
			b.topicConfigs.forget(tp.Topic)
		}
	}
	go b.groups.TopicsDeleted(deleted) // writes tombstones; ends when the coordinator stops at the latest
}
