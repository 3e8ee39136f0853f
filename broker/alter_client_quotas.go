package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AlterClientQuotas (49), versions 0-1.
//
// Differences from Apache: there are no quotas yet: every entry is answered UNSUPPORTED_VERSION.

func init() { handle(alterClientQuotas) }

func alterClientQuotas(_ *Broker, _ *request, r *kmsg.AlterClientQuotasRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AlterClientQuotasResponse](r)
	for _, asked := range r.Entries {
		answer := kmsg.NewAlterClientQuotasResponseEntry()
		answer.ErrorCode = int16(protocol.UnsupportedVersion)
		for _, e := range asked.Entity {
			entity := kmsg.NewAlterClientQuotasResponseEntryEntity()
			entity.Type, entity.Name = e.Type, e.Name
			answer.Entity = append(answer.Entity, entity)
		}
		resp.Entries = append(resp.Entries, answer)
	}
	return resp, nil
}
