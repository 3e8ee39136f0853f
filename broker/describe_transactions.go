package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeTransactions (65), version 0.
//
// Differences from Apache: there are no transactions yet: every id is answered UNSUPPORTED_VERSION.

func init() { handle(describeTransactions) }

func describeTransactions(_ *Broker, _ *request, r *kmsg.DescribeTransactionsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeTransactionsResponse](r)
	for _, id := range r.TransactionalIDs {
		state := kmsg.NewDescribeTransactionsResponseTransactionState()
		state.TransactionalID, state.ErrorCode = id, int16(protocol.UnsupportedVersion)
		resp.TransactionStates = append(resp.TransactionStates, state)
	}
	return resp, nil
}
