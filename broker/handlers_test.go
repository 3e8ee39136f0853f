package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Every API of the table that ApiVersions answers has a handler; a handler without a row could never be called.
func TestEveryAPIHasAHandler(t *testing.T) {
	for _, api := range protocol.APIs() {
		if handlers[api.Key] == nil && api.Key != 0 && api.Key != 1 && api.Key != 18 { // Produce, Fetch and ApiVersions have paths of their own
			t.Errorf("no handler for %s (%d)", api.Name, api.Key)
		}
	}
	for key := range handlers {
		if _, ok := protocol.LookupAPI(key); !ok {
			t.Errorf("a handler for key %d, which is not in the table", key)
		}
	}
}

// What is off answers the code of a Kafka where it is off, or UNSUPPORTED_VERSION, in every version; never success.
func TestWhatIsOffNeverSucceeds(t *testing.T) {
	acl := kmsg.NewPtrDescribeACLsRequest()
	acl.ResourceType, acl.Operation, acl.PermissionType, acl.ResourcePatternType = 1, 1, 1, 1
	for _, tc := range []struct {
		request kmsg.Request
		want    protocol.ErrorCode
	}{
		{kmsg.NewPtrSASLHandshakeRequest(), protocol.IllegalSaslState},
		{kmsg.NewPtrSASLAuthenticateRequest(), protocol.IllegalSaslState},
		{acl, protocol.SecurityDisabled},
		{kmsg.NewPtrCreateDelegationTokenRequest(), protocol.DelegationTokenRequestNotAllowed},
		{kmsg.NewPtrRenewDelegationTokenRequest(), protocol.DelegationTokenRequestNotAllowed},
		{kmsg.NewPtrExpireDelegationTokenRequest(), protocol.DelegationTokenRequestNotAllowed},
		{kmsg.NewPtrDescribeDelegationTokenRequest(), protocol.DelegationTokenRequestNotAllowed},
		{kmsg.NewPtrDescribeClientQuotasRequest(), protocol.UnsupportedVersion},
		{kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), protocol.UnsupportedVersion},
		{kmsg.NewPtrAddOffsetsToTxnRequest(), protocol.UnsupportedVersion},
		{kmsg.NewPtrEndTxnRequest(), protocol.UnsupportedVersion},
		{kmsg.NewPtrListTransactionsRequest(), protocol.UnsupportedVersion},
		{kmsg.NewPtrConsumerGroupHeartbeatRequest(), protocol.UnsupportedVersion},
	} {
		api, _ := protocol.LookupAPI(tc.request.Key())
		for v := api.MinVersion; v <= api.MaxVersion; v++ {
			tc.request.SetVersion(v)
			resp, err := handlers[tc.request.Key()](nil, nil, tc.request)
			if err != nil || topLevelCode(t, resp) != tc.want || resp.GetVersion() != v {
				t.Errorf("%s v%d: %+v, %v", api.Name, v, resp, err)
			}
		}
	}
}

func topLevelCode(t *testing.T, resp kmsg.Response) protocol.ErrorCode {
	t.Helper()
	switch r := resp.(type) {
	case *kmsg.SASLHandshakeResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.SASLAuthenticateResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.DescribeACLsResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.CreateDelegationTokenResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.RenewDelegationTokenResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.ExpireDelegationTokenResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.DescribeDelegationTokenResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.DescribeClientQuotasResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.DescribeUserSCRAMCredentialsResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.AddOffsetsToTxnResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.EndTxnResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.ListTransactionsResponse:
		return protocol.ErrorCode(r.ErrorCode)
	case *kmsg.ConsumerGroupHeartbeatResponse:
		return protocol.ErrorCode(r.ErrorCode)
	}
	t.Fatalf("no code known in %T", resp)
	return protocol.None
}

func TestCheckInitProducerID(t *testing.T) {
	empty, id := "", "tx"
	for _, tc := range []struct {
		name string
		r    kmsg.InitProducerIDRequest
		want protocol.ErrorCode
	}{
		{"idempotent", kmsg.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1}, protocol.None},
		{"idempotent, before the fields", kmsg.InitProducerIDRequest{Version: 0}, protocol.None},
		{"id without epoch", kmsg.InitProducerIDRequest{Version: 4, ProducerID: 5, ProducerEpoch: -1}, protocol.InvalidRequest},
		{"epoch without id", kmsg.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: 5}, protocol.InvalidRequest},
		{"empty transactional id", kmsg.InitProducerIDRequest{TransactionalID: &empty}, protocol.InvalidRequest},
		{"transactional id", kmsg.InitProducerIDRequest{TransactionalID: &id}, protocol.UnsupportedVersion},
	} {
		if got := checkInitProducerID(&tc.r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
