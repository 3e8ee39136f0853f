package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeAcls (29), versions 0-3: there is no authorizer.
//
// Differences from Apache: authorizers are not there yet; the answer is Apache's when none is configured.

func init() { handle(describeACLs) }

var errNoAuthorizer = newAPIError(protocol.SecurityDisabled, "No authorizer is configured on the broker.")

func describeACLs(_ *Broker, _ *request, r *kmsg.DescribeACLsRequest) (kmsg.Response, error) {
	if aclFilterUnknown(r.Version, int8(r.ResourceType), int8(r.ResourcePatternType), int8(r.Operation), int8(r.PermissionType)) {
		return nil, errClose
	}
	resp := responseTo[*kmsg.DescribeACLsResponse](r)
	resp.ErrorCode, resp.ErrorMessage = codeAndMessage(errNoAuthorizer)
	return resp, nil
}

// aclFilterUnknown reports whether any part of an ACL or a filter is UNKNOWN (0): Kafka cannot parse such a request and closes the connection. Version 0
// carries no pattern type.
func aclFilterUnknown(version int16, resource, pattern, operation, permission int8) bool {
	return resource == 0 || version >= 1 && pattern == 0 || operation == 0 || permission == 0
}
