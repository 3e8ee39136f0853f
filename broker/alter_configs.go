package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AlterConfigs (33), versions 0-2: replaces the whole configuration of topics, of this broker, or of the cluster-wide defaults of brokers.
//
// Differences from Apache: error messages are worded differently.

func init() { handle(alterConfigs) }

func alterConfigs(b *Broker, _ *request, r *kmsg.AlterConfigsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AlterConfigsResponse](r)
	seen := make(map[configResource]bool, len(r.Resources))
	for _, asked := range r.Resources {
		resource := configResource{asked.ResourceType, asked.ResourceName}
		if seen[resource] {
			return nil, errSilent // Kafka fails while it merges the answers of a resource named twice
		}
		seen[resource] = true
	}
	for i := range r.Resources {
		asked := &r.Resources[i]
		answer := kmsg.NewAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = asked.ResourceType, asked.ResourceName
		answer.ErrorCode, answer.ErrorMessage = codeAndMessage(b.replaceConfig(asked, r.ValidateOnly))
		resp.Resources = append(resp.Resources, answer)
	}
	return resp, nil
}

func (b *Broker) replaceConfig(asked *kmsg.AlterConfigsRequestResource, validateOnly bool) error {
	changes := make([]configChange, len(asked.Configs))
	for i, c := range asked.Configs {
		changes[i] = configChange{name: c.Name, op: kmsg.IncrementalAlterConfigOpSet, value: c.Value}
	}
	if err := checkConfigChanges(changes); err != nil {
		return err
	}
	if asked.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
		return newAPIError(protocol.InvalidRequest, "Levels of loggers can only be changed by IncrementalAlterConfigs.")
	}
	entity, err := b.configEntity(configResource{asked.ResourceType, asked.ResourceName})
	if err != nil {
		return err
	}
	values := make(map[string]string, len(changes))
	for _, c := range changes {
		values[c.name] = *c.value
	}
	return b.writeConfig(entity, values, validateOnly)
}
