package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// SaslHandshake (17), versions 0-1: not expected on a listener without SASL, and there are no others yet.
//
// Differences from Apache: none known.

func init() { handle(saslHandshake) }

func saslHandshake(_ *Broker, _ *request, r *kmsg.SASLHandshakeRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.SASLHandshakeResponse](r)
	resp.ErrorCode = int16(protocol.IllegalSaslState)
	return resp, nil
}
