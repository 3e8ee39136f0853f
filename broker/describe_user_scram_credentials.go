package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeUserScramCredentials (50), version 0.
//
// Differences from Apache: there is no SCRAM yet: every request is answered UNSUPPORTED_VERSION.

func init() { handle(describeUserSCRAMCredentials) }

func describeUserSCRAMCredentials(_ *Broker, _ *request, r *kmsg.DescribeUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeUserSCRAMCredentialsResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
