package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AddOffsetsToTxn (25), versions 0-4.
//
// Differences from Apache: there are no transactions yet: every request is answered UNSUPPORTED_VERSION.

func init() { handle(addOffsetsToTxn) }

func addOffsetsToTxn(_ *Broker, _ *request, r *kmsg.AddOffsetsToTxnRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AddOffsetsToTxnResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
