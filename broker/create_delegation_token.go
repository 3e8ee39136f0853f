package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// CreateDelegationToken (38), versions 0-3: refused on a connection without authentication.
//
// Differences from Apache: authentication is not there yet; the answer is Apache's on a PLAINTEXT listener.

func init() { handle(createDelegationToken) }

// Everybody's name on a connection without authentication (KafkaPrincipal.ANONYMOUS).
const (
	anonymousType = "User"
	anonymousName = "ANONYMOUS"
)

func createDelegationToken(_ *Broker, _ *request, r *kmsg.CreateDelegationTokenRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.CreateDelegationTokenResponse](r)
	resp.ErrorCode = int16(protocol.DelegationTokenRequestNotAllowed)
	resp.PrincipalType, resp.PrincipalName = anonymousType, anonymousName
	if r.OwnerPrincipalType != nil && r.OwnerPrincipalName != nil && *r.OwnerPrincipalName != "" {
		resp.PrincipalType, resp.PrincipalName = *r.OwnerPrincipalType, *r.OwnerPrincipalName
	}
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = anonymousType, anonymousName
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = -1, -1, -1
	return resp, nil
}
