package broker

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/protocol"
)

// DescribeConfigs (32), versions 0-4: configuration of topics, of this broker (by id), of the cluster-wide defaults of brokers (empty name) and levels of this
// broker's loggers.
//
// Differences from Apache: the documentation of a key is gregor's own text.

func init() { handle(describeConfigs) }

// sourceBrokerLogger is DYNAMIC_BROKER_LOGGER_CONFIG.
const sourceBrokerLogger = 6

func describeConfigs(b *Broker, _ *request, r *kmsg.DescribeConfigsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeConfigsResponse](r)
	for i := range r.Resources {
		asked := &r.Resources[i]
		answer := kmsg.NewDescribeConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = asked.ResourceType, asked.ResourceName
		entries, err := b.describeResource(asked)
		answer.ErrorCode, answer.ErrorMessage = codeAndMessage(err)
		if answer.ErrorMessage == nil {
			answer.ErrorMessage = new(string) // Kafka leaves it empty, not null
		}
		for _, e := range entries {
			if len(asked.ConfigNames) == 0 || slices.Contains(asked.ConfigNames, e.Name) {
				answer.Configs = append(answer.Configs, configAnswer(&e, r))
			}
		}
		resp.Resources = append(resp.Resources, answer)
	}
	return resp, nil
}

func (b *Broker) describeResource(asked *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		return b.describeTopicConfig(asked.ResourceName)
	case kmsg.ConfigResourceTypeBroker:
		if asked.ResourceName == "" {
			return b.config.DescribeBrokerDefault(), nil
		}
		if err := b.checkBrokerResource(asked.ResourceName); err != nil {
			return nil, err
		}
		return b.config.DescribeBroker(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		if asked.ResourceName == "" {
			return nil, newAPIError(protocol.InvalidRequest, "The broker id may not be empty.")
		}
		if err := b.checkBrokerResource(asked.ResourceName); err != nil {
			return nil, err
		}
		return b.describeLoggers(), nil
	}
	return nil, newAPIError(protocol.InvalidRequest, "Configurations of resource type %d are not known to a broker with ZooKeeper.", int8(asked.ResourceType))
}

func (b *Broker) describeTopicConfig(topic string) ([]config.Entry, error) {
	if err := checkTopicName(topic); err != nil {
		return nil, err
	}
	if !b.metadata.HasTopic(topic) {
		return nil, protocol.UnknownTopicOrPartition
	}
	overrides, err := b.zk.EntityConfig(topicConfigs, topic)
	if err != nil {
		return nil, err
	}
	return b.config.DescribeTopic(overrides), nil
}

// checkBrokerResource refuses a broker id that is not this broker's: the settings of another one cannot be checked or shown here.
func (b *Broker) checkBrokerResource(name string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return newAPIError(protocol.InvalidRequest, "A broker id must be an integer, but it is: %s", name)
	}
	if int32(id) != b.id {
		return newAPIError(protocol.InvalidRequest, "The request for broker %s came to broker %d.", name, b.id)
	}
	return nil
}

func (b *Broker) describeLoggers() []config.Entry {
	levels := b.logging.Levels()
	entries := make([]config.Entry, 0, len(levels))
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		level := levels[name]
		entries = append(entries, config.Entry{Name: name, Value: &level, Source: sourceBrokerLogger})
	}
	return entries
}

// configAnswer shows as much of an entry as the request asks for. IsDefault is only sent in version 0, where Kafka answers false for every entry.
func configAnswer(e *config.Entry, r *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, kmsg.ConfigSource(e.Source), e.Sensitive
	c.ConfigType = kmsg.ConfigType(e.Type)
	if r.IncludeDocumentation || e.Source == sourceBrokerLogger { // loggers have the empty text, asked for or not
		c.Documentation = &e.Doc
	}
	if r.IncludeSynonyms {
		for _, s := range e.Synonyms {
			synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			synonym.Name, synonym.Value, synonym.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym)
		}
	}
	return c
}
