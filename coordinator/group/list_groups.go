package group

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// classicType is the type of all groups here (KIP-848).
const classicType = "classic"

// ListGroups serves versions 0 to 5, with the filters by state (v4+, KIP-518) and by type (v5+), neither of them
// case-sensitive. While partitions are being loaded the list is not complete and says so.
func (c *Coordinator) ListGroups(_ context.Context, r *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	resp := kmsg.NewPtrListGroupsResponse()
	resp.Version = r.Version
	if !c.active.Load() {
		resp.ErrorCode = int16(protocol.CoordinatorNotAvailable)
		return resp
	}
	shards, loading := c.allShards()
	if loading {
		resp.ErrorCode = int16(protocol.CoordinatorLoadInProgress)
	}
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	if !wanted(r.TypesFilter, classicType) {
		return resp
	}
	for _, sh := range shards {
		for _, s := range sh.all() {
			s.mu.Lock()
			state, protocolType, unloaded := s.mu.g.state, s.mu.g.protocolType, s.mu.g.unloaded
			s.mu.Unlock()
			if unloaded || !wanted(r.StatesFilter, string(state)) {
				continue
			}
			rg := kmsg.NewListGroupsResponseGroup()
			rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = s.id, protocolType, string(state), classicType
			resp.Groups = append(resp.Groups, rg)
		}
	}
	slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return cmp.Compare(a.Group, b.Group) })
	return resp
}
