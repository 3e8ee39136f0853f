package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// SaslAuthenticate (36), versions 0-2: not expected on a listener without SASL, and there are no others yet.
//
// Differences from Apache: none known.

func init() { handle(saslAuthenticate) }

func saslAuthenticate(_ *Broker, _ *request, r *kmsg.SASLAuthenticateRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.SASLAuthenticateResponse](r)
	resp.ErrorCode = int16(protocol.IllegalSaslState)
	message := "Authentication was not asked for on this connection."
	resp.ErrorMessage = &message
	return resp, nil
}
