package group

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DeleteGroups serves versions 0 to 2. It waits until the tombstones are in the log; should they fail to get there, the group
// comes back with the next load, as in Kafka. A group that is named twice is answered once.
func (c *Coordinator) DeleteGroups(ctx context.Context, r *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Version = r.Version
	answered := make(map[string]struct{}, len(r.Groups))
	for _, id := range r.Groups {
		if _, twice := answered[id]; twice {
			continue
		}
		answered[id] = struct{}{}
		rg := kmsg.NewDeleteGroupsResponseGroup()
		rg.Group, rg.ErrorCode = id, int16(c.deleteGroup(ctx, id))
		resp.Groups = append(resp.Groups, rg)
	}
	return resp
}

func (c *Coordinator) deleteGroup(ctx context.Context, id string) protocol.ErrorCode {
	s, code := c.find(id, true)
	switch {
	case code != protocol.None:
		return code
	case s == nil:
		return protocol.GroupIDNotFound
	}
	s.do(c, func(g *group, _ int64, out *effects) {
		var removed int
		if removed, code = g.delete(out); code == protocol.None {
			out.infof("Deleted group %s with %d offsets", g.id, removed)
		}
	})
	if code == protocol.None {
		s.flush(ctx, c)
	}
	return code
}
