package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeDelegationToken (41), versions 0-3: refused on a connection without authentication.
//
// Differences from Apache: authentication is not there yet; the answer is Apache's on a PLAINTEXT listener.

func init() { handle(describeDelegationToken) }

func describeDelegationToken(_ *Broker, _ *request, r *kmsg.DescribeDelegationTokenRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeDelegationTokenResponse](r)
	resp.ErrorCode = int16(protocol.DelegationTokenRequestNotAllowed)
	return resp, nil
}
