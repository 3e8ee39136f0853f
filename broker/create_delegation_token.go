package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// CreateDelegationToken (38), versions 0-3: refused on a connection without authentication.
//
// Differences from Apache: authentication is not there yet; the answer is Apache's on a PLAINTEXT listener.

func init() { handle(createDelegationToken) }

func createDelegationToken(_ *Broker, _ *request, r *kmsg.CreateDelegationTokenRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.CreateDelegationTokenResponse](r)
	resp.ErrorCode = int16(protocol.DelegationTokenRequestNotAllowed)
	return resp, nil
}
