package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AlterUserScramCredentials (51), version 0.
//
// Differences from Apache: there is no SCRAM yet: every user is answered UNSUPPORTED_VERSION.

func init() { handle(alterUserSCRAMCredentials) }

func alterUserSCRAMCredentials(_ *Broker, _ *request, r *kmsg.AlterUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.AlterUserSCRAMCredentialsResponse](r)
	seen := make(map[string]bool)
	refuse := func(user string) {
		if seen[user] {
			return
		}
		seen[user] = true
		result := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		result.User, result.ErrorCode = user, int16(protocol.UnsupportedVersion)
		resp.Results = append(resp.Results, result)
	}
	for _, d := range r.Deletions {
		refuse(d.Name)
	}
	for _, u := range r.Upsertions {
		refuse(u.Name)
	}
	return resp, nil
}
