package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeClientQuotas (48), versions 0-1.
//
// Differences from Apache: there are no quotas yet: every request is answered UNSUPPORTED_VERSION.

func init() { handle(describeClientQuotas) }

func describeClientQuotas(_ *Broker, _ *request, r *kmsg.DescribeClientQuotasRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeClientQuotasResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
