package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateAcls (30), versions 0-3: there is no authorizer.
//
// Differences from Apache: authorizers are not there yet; the answer is Apache's when none is configured.

func init() { handle(createACLs) }

func createACLs(_ *Broker, _ *request, r *kmsg.CreateACLsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.CreateACLsResponse](r)
	for _, c := range r.Creations {
		if aclFilterUnknown(r.Version, int8(c.ResourceType), int8(c.ResourcePatternType), int8(c.Operation), int8(c.PermissionType)) {
			return nil, errClose
		}
		result := kmsg.NewCreateACLsResponseResult()
		result.ErrorCode, result.ErrorMessage = codeAndMessage(errNoAuthorizer)
		resp.Results = append(resp.Results, result)
	}
	return resp, nil
}
