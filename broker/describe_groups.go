package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeGroups 0–5: state and members of groups.

func init() { handle(describeGroups) }

func describeGroups(b *Broker, rq *request, r *kmsg.DescribeGroupsRequest) (kmsg.Response, error) {
	return b.groups.DescribeGroups(rq.ctx, r), nil
}
