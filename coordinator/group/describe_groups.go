package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeGroups serves versions 0 to 5. A group that does not exist is Dead, without error. AuthorizedOperations are the
// broker's to fill in.
func (c *Coordinator) DescribeGroups(_ context.Context, r *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Version = r.Version
	for _, id := range r.Groups {
		resp.Groups = append(resp.Groups, c.describeGroup(id))
	}
	return resp
}

func (c *Coordinator) describeGroup(id string) kmsg.DescribeGroupsResponseGroup {
	resp := kmsg.NewDescribeGroupsResponseGroup()
	resp.Group = id
	s, code := c.find(id, true)
	if code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp
	}
	sum := groupSummary{state: Dead}
	if s != nil {
		s.mu.Lock()
		sum = s.mu.g.summary()
		unloaded := s.mu.g.unloaded
		s.mu.Unlock()
		if unloaded {
			resp.ErrorCode = int16(protocol.NotCoordinator)
			return resp
		}
	}
	resp.State, resp.ProtocolType, resp.Protocol = string(sum.state), sum.protocolType, sum.protocol
	for _, m := range sum.members {
		rm := kmsg.NewDescribeGroupsResponseGroupMember()
		rm.MemberID, rm.InstanceID, rm.ClientID, rm.ClientHost = m.id, m.instanceID, m.clientID, m.clientHost
		rm.ProtocolMetadata, rm.MemberAssignment = m.metadata, m.assignment
		resp.Members = append(resp.Members, rm)
	}
	return resp
}
