package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ListTransactions (66), versions 0-1.
//
// Differences from Apache: there are no transactions yet: every request is answered UNSUPPORTED_VERSION.

func init() { handle(listTransactions) }

func listTransactions(_ *Broker, _ *request, r *kmsg.ListTransactionsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.ListTransactionsResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
