package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// EndTxn (26), versions 0-4.
//
// Differences from Apache: there are no transactions yet: every request is answered UNSUPPORTED_VERSION.

func init() { handle(endTxn) }

func endTxn(_ *Broker, _ *request, r *kmsg.EndTxnRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.EndTxnResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
