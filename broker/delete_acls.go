package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteAcls (31), versions 0-3: there is no authorizer.
//
// Differences from Apache: authorizers are not there yet; the answer is Apache's when none is configured.

func init() { handle(deleteACLs) }

func deleteACLs(_ *Broker, _ *request, r *kmsg.DeleteACLsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DeleteACLsResponse](r)
	for _, f := range r.Filters {
		if aclFilterUnknown(r.Version, int8(f.ResourceType), int8(f.ResourcePatternType), int8(f.Operation), int8(f.PermissionType)) {
			return nil, errClose
		}
		result := kmsg.NewDeleteACLsResponseResult()
		result.ErrorCode, result.ErrorMessage = codeAndMessage(errNoAuthorizer)
		resp.Results = append(resp.Results, result)
	}
	return resp, nil
}
