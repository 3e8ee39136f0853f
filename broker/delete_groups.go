package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DeleteGroups 0–2: empty groups and their offsets go.

func init() { handle(deleteGroups) }

func deleteGroups(b *Broker, rq *request, r *kmsg.DeleteGroupsRequest) (kmsg.Response, error) {
	return b.groups.DeleteGroups(rq.ctx, r), nil
}
