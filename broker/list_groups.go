package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ListGroups 0–5: groups this broker coordinates.

func init() { handle(listGroups) }

func listGroups(b *Broker, rq *request, r *kmsg.ListGroupsRequest) (kmsg.Response, error) {
	return b.groups.ListGroups(rq.ctx, r), nil
}
