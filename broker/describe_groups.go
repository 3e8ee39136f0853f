package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeGroups 0–5: state and members of groups.

func init() { handle(describeGroups) }

func describeGroups(b *Broker, rq *request, r *kmsg.DescribeGroupsRequest) (kmsg.Response, error) {
	resp := b.groups.DescribeGroups(rq.ctx, r)
	if r.IncludeAuthorizedOperations {
		for i := range resp.Groups {
			if g := &resp.Groups[i]; protocol.ErrorCode(g.ErrorCode) == protocol.None {
				g.AuthorizedOperations = groupOperations
			}
		}
	}
	return resp, nil
}
