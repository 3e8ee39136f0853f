package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ExpireDelegationToken (40), versions 0-2: refused on a connection without authentication.
//
// Differences from Apache: authentication is not there yet; the answer is Apache's on a PLAINTEXT listener.

func init() { handle(expireDelegationToken) }

func expireDelegationToken(_ *Broker, _ *request, r *kmsg.ExpireDelegationTokenRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.ExpireDelegationTokenResponse](r)
	resp.ErrorCode = int16(protocol.DelegationTokenRequestNotAllowed)
	resp.ExpiryTimestamp = -1
	return resp, nil
}
