package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// IncrementalAlterConfigs (44), versions 0-1: sets, deletes, appends to and subtracts from single configs of topics, of this broker, of the cluster-wide
// defaults of brokers (KIP-339), and changes levels of this broker's loggers (KIP-412).
//
// Differences from Apache: error messages are worded differently.

func init() { handle(incrementalAlterConfigs) }

func incrementalAlterConfigs(b *Broker, _ *request, r *kmsg.IncrementalAlterConfigsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.IncrementalAlterConfigsResponse](r)
	occurrences := make(map[configResource]int, len(r.Resources))
	for _, asked := range r.Resources {
		occurrences[configResource{asked.ResourceType, asked.ResourceName}]++
	}
	for i := range r.Resources {
		asked := &r.Resources[i]
		answer := kmsg.NewIncrementalAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = asked.ResourceType, asked.ResourceName
		var err error
		if occurrences[configResource{asked.ResourceType, asked.ResourceName}] > 1 {
			err = newAPIError(protocol.InvalidRequest, "Each resource may be named only once.")
		} else {
			err = b.changeConfig(asked, r.ValidateOnly)
		}
		answer.ErrorCode, answer.ErrorMessage = codeAndMessage(err)
		resp.Resources = append(resp.Resources, answer)
	}
	return resp, nil
}

func (b *Broker) changeConfig(asked *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	changes := make([]configChange, len(asked.Configs))
	for i, c := range asked.Configs {
		changes[i] = configChange{name: c.Name, op: c.Op, value: c.Value}
	}
	if err := checkConfigChanges(changes); err != nil {
		return err
	}
	resource := configResource{asked.ResourceType, asked.ResourceName}
	if resource.kind == kmsg.ConfigResourceTypeBrokerLogger {
		return b.changeLoggers(resource.name, changes, validateOnly)
	}
	entity, err := b.configEntity(resource)
	if err != nil {
		return err
	}
	values, err := b.zk.EntityConfig(entity.kind, entity.name)
	if err != nil {
		return err
	}
	values = cloneMap(values)
	for _, c := range changes {
		if err := c.apply(values, entity.key); err != nil {
			return err
		}
	}
	return b.writeConfig(entity, values, validateOnly)
}

// apply changes values as ConfigAdminManager.prepareIncrementalConfigs does. keyOf looks the definition of a name up.
func (c *configChange) apply(values map[string]string, keyOf func(string) (configKey, bool)) error {
	switch c.op {
	case kmsg.IncrementalAlterConfigOpSet:
		values[c.name] = *c.value
		return nil
	case kmsg.IncrementalAlterConfigOpDelete:
		delete(values, c.name)
		return nil
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
	default:
		return protocol.UnknownServerError // what Kafka's failing lookup of the operation comes to
	}
	key, known := keyOf(c.name)
	switch {
	case !known:
		return protocol.UnknownServerError // Kafka stumbles over the missing definition
	case !key.list:
		return newAPIError(protocol.InvalidConfig, "The config %s is no list that could be appended to or subtracted from.", c.name)
	}
	old, set := values[c.name]
	if !set {
		old = key.fallback
	}
	values[c.name] = strings.Join(changeList(splitList(old), splitList(*c.value), c.op), ",")
	return nil
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// changeList appends the elements that are not there yet, or takes each element out once.
func changeList(old, change []string, op kmsg.IncrementalAlterConfigOp) []string {
	list := slices.Clone(old)
	for _, element := range change {
		i := slices.Index(list, element)
		switch {
		case op == kmsg.IncrementalAlterConfigOpAppend && i < 0:
			list = append(list, element)
		case op == kmsg.IncrementalAlterConfigOpSubtract && i >= 0:
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}
