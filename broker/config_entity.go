package broker

import (
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/protocol"
)

// configResource is a resource as requests name it.
type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

// configChange is one change of one config. value is null only where the operation takes none.
type configChange struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// checkConfigChanges refuses what is wrong whatever the resource is: a config named twice, and a missing value.
func checkConfigChanges(changes []configChange) error {
	seen := make(map[string]bool, len(changes))
	var nulls []string
	for _, c := range changes {
		if seen[c.name] {
			return newAPIError(protocol.InvalidRequest, "The config %s is named more than once.", c.name)
		}
		seen[c.name] = true
		if c.value == nil && c.op != kmsg.IncrementalAlterConfigOpDelete {
			nulls = append(nulls, c.name)
		}
	}
	if nulls != nil {
		return newAPIError(protocol.InvalidRequest, "These configs may not be null: %s.", strings.Join(nulls, ", "))
	}
	return nil
}

// configKey is what changing a list needs to know of a definition.
type configKey struct {
	list     bool
	fallback string // the default
}

// configEntity is a configuration that lives in ZooKeeper, under /config/<kind>/<name>.
type configEntity struct {
	kind, name string
	key        func(name string) (configKey, bool)
	validate   func(values map[string]string) error
}

// configEntity finds where a resource's configuration is kept and what it must satisfy, or says why it cannot be changed here.
func (b *Broker) configEntity(r configResource) (*configEntity, error) {
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		if r.name == "" {
			return nil, newAPIError(protocol.InvalidRequest, "There is no configuration of all topics: name one.")
		}
		return &configEntity{kind: topicConfigs, name: r.name, key: keyIn(config.TopicKey), validate: func(values map[string]string) error {
			if !b.metadata.HasTopic(r.name) {
				return newAPIError(protocol.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.name)
			}
			if err := config.ValidateTopic(values); err != nil {
				return newAPIError(protocol.InvalidConfig, "Invalid configuration of topic '%s': %s", r.name, err)
			}
			return nil
		}}, nil
	case kmsg.ConfigResourceTypeBroker:
		name := defaultEntity
		if r.name != "" {
			if err := b.checkBrokerResource(r.name); err != nil {
				return nil, err
			}
			name = r.name
		}
		return &configEntity{kind: brokerConfigs, name: name, key: keyIn(config.BrokerKey), validate: func(values map[string]string) error {
			err := b.config.ValidateDynamic(r.name == "", values)
			switch {
			case errors.Is(err, config.ErrNoPasswordEncoder):
				return newAPIError(protocol.InvalidConfig, "Invalid configuration of broker '%s': %s", r.name, err)
			case err != nil:
				return newAPIError(protocol.InvalidRequest, "%s", err)
			}
			return nil
		}}, nil
	}
	return nil, newAPIError(protocol.InvalidRequest, "Only configurations of topics and brokers can be altered, not those of resource type %d.", int8(r.kind))
}

func keyIn(lookup func(string) (config.Key, bool)) func(string) (configKey, bool) {
	return func(name string) (configKey, bool) {
		k, ok := lookup(name)
		if !ok {
			return configKey{}, false
		}
		key := configKey{list: k.Type == config.List}
		if k.Default != nil {
			key.fallback = *k.Default
		}
		return key, true
	}
}

// writeConfig checks the whole new configuration of an entity and, unless it is only to be validated, writes it and tells all brokers.
func (b *Broker) writeConfig(e *configEntity, values map[string]string, validateOnly bool) error {
	if err := e.validate(values); err != nil || validateOnly {
		return err
	}
	return b.zk.SetEntityConfig(e.kind, e.name, values)
}

// logLevels are the levels a logger can be set to (LogLevelConfig).
var logLevels = []string{"FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"}

// changeLoggers checks all changes of levels before it makes the first (ConfigAdminManager.validateLogLevelConfigs).
func (b *Broker) changeLoggers(broker string, changes []configChange, validateOnly bool) error {
	if err := b.checkBrokerResource(broker); err != nil {
		return err
	}
	levels := b.logging.Levels()
	for _, c := range changes {
		_, known := levels[c.name]
		switch {
		case !known:
			return newAPIError(protocol.InvalidConfig, "Logger %s does not exist.", c.name)
		case c.op == kmsg.IncrementalAlterConfigOpSet && !slices.Contains(logLevels, *c.value):
			return newAPIError(protocol.InvalidConfig, "The level of logger %s may be one of %s, not %s.", c.name, strings.Join(logLevels, ", "), *c.value)
		case c.op == kmsg.IncrementalAlterConfigOpDelete && c.name == "root":
			return newAPIError(protocol.InvalidRequest, "The level of the root logger cannot be removed.")
		case c.op == kmsg.IncrementalAlterConfigOpAppend || c.op == kmsg.IncrementalAlterConfigOpSubtract:
			return newAPIError(protocol.InvalidRequest, "The level of a logger can be set and deleted, nothing else.")
		case c.op != kmsg.IncrementalAlterConfigOpSet && c.op != kmsg.IncrementalAlterConfigOpDelete:
			return protocol.UnknownServerError
		}
	}
	if validateOnly {
		return nil
	}
	for _, c := range changes {
		var err error
		if c.op == kmsg.IncrementalAlterConfigOpSet {
			err = b.logging.SetLevel(c.name, *c.value)
		} else {
			err = b.logging.UnsetLevel(c.name)
		}
		if err != nil {
			return newAPIError(protocol.InvalidConfig, "%s", err)
		}
	}
	return nil
}
