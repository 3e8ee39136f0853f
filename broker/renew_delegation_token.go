package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// RenewDelegationToken (39), versions 0-2: refused on a connection without authentication.
//
// Differences from Apache: authentication is not there yet; the answer is Apache's on a PLAINTEXT listener.

func init() { handle(renewDelegationToken) }

func renewDelegationToken(_ *Broker, _ *request, r *kmsg.RenewDelegationTokenRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.RenewDelegationTokenResponse](r)
	resp.ErrorCode = int16(protocol.DelegationTokenRequestNotAllowed)
	resp.ExpiryTimestamp = -1
	return resp, nil
}
