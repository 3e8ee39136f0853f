package broker

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// autoCreateTopic makes a topic that a client mentioned (AutoTopicCreationManager). It does not wait: success is LEADER_NOT_AVAILABLE, and clients ask again.
// Any broker does this, not only the controller. Internal topics get their own settings.
func (b *Broker) autoCreateTopic(name string) protocol.ErrorCode {
	asked := b.autoCreatedTopic(name)
	answer := kmsg.NewCreateTopicsResponseTopic()
	topic, err := b.newTopic(&asked, &answer, nil)
	if err == nil {
		err = b.zk.CreateTopics([]zk.NewTopic{topic})[0]
	}
	switch code := errorCode(err); code {
	case protocol.None, protocol.TopicAlreadyExists:
		return protocol.LeaderNotAvailable
	default:
		b.logging.Logger("kafka.server.DefaultAutoTopicCreationManager").Info(fmt.Sprintf("Could not create topic %s at its first use: %v", name, err))
		return code
	}
}

// autoCreatedTopic says with how many partitions and replicas, and with which configs, a topic comes into being when nobody says so.
func (b *Broker) autoCreatedTopic(name string) kmsg.CreateTopicsRequestTopic {
	asked := kmsg.NewCreateTopicsRequestTopic()
	asked.Topic = name
	switch name {
	case groupMetadataTopic:
		asked.NumPartitions = int32(b.config.Int("offsets.topic.num.partitions"))
		asked.ReplicationFactor = int16(b.config.Int("offsets.topic.replication.factor"))
		asked.Configs = topicConfigList("cleanup.policy", "compact", "segment.bytes", strconv.Itoa(b.config.Int("offsets.topic.segment.bytes")), "compression.type", "producer")
	case transactionStateTopic:
		asked.NumPartitions = int32(b.config.Int("transaction.state.log.num.partitions"))
		asked.ReplicationFactor = int16(b.config.Int("transaction.state.log.replication.factor"))
		asked.Configs = topicConfigList("cleanup.policy", "compact", "segment.bytes", strconv.Itoa(b.config.Int("transaction.state.log.segment.bytes")),
			"compression.type", "uncompressed", "min.insync.replicas", strconv.Itoa(b.config.Int("transaction.state.log.min.isr")), "unclean.leader.election.enable", "false")
	default:
		asked.NumPartitions = int32(b.config.Int("num.partitions"))
		asked.ReplicationFactor = int16(b.config.Int("default.replication.factor"))
	}
	return asked
}

// topicConfigList turns name, value, name, value, … into configs of a request.
func topicConfigList(pairs ...string) []kmsg.CreateTopicsRequestTopicConfig {
	var configs []kmsg.CreateTopicsRequestTopicConfig
	for i := 0; i < len(pairs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = pairs[i], &pairs[i+1]
		configs = append(configs, c)
	}
	return configs
}
