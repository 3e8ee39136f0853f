package group

import (
	"cmp"
	"slices"
)

// due notes that something happens at a time.
func (g *group) due(at int64) int64 {
	g.wake = min(g.wake, at)
	return at
}

// keepAlive starts a member's session anew, of its own session timeout.
func (g *group) keepAlive(m *member, now int64) {
	m.deadline = g.due(now + int64(m.sessionTimeoutMs))
}

// settle ends every event: it lets pass what is due by now and finds the next deadline. It costs nothing while no deadline
// has passed.
func (g *group) settle(now int64, out *effects) {
	for g.wake <= now {
		if g.is(Dead) {
			g.wake = never
			return
		}
		g.expire(now, out)
		g.wake = g.nextDeadline()
	}
}

// nextDeadline looks through all members.
func (g *group) nextDeadline() int64 {
	next := min(g.rebalance.deadline, g.syncDeadline)
	for _, at := range g.pending {
		next = min(next, at)
	}
	for _, m := range g.members {
		next = min(next, m.deadline)
	}
	return next
}

// expire lets pass everything that is due by now, once.
func (g *group) expire(now int64, out *effects) {
	if g.rebalance.deadline <= now {
		g.expireRebalance(now, out)
	}
	if g.syncDeadline <= now {
		g.expireSync(now, out)
	}
	for id, at := range g.pending {
		if at <= now {
			out.infof("Pending member %s in group %s has been removed after session timeout expiration.", id, g.id)
			g.removePending(id, now, out)
		}
	}
	var lapsed []*member
	for _, m := range g.members {
		if m.deadline <= now {
			m.deadline = never
			lapsed = append(lapsed, m)
		}
	}
	slices.SortFunc(lapsed, func(a, b *member) int { return cmp.Compare(a.order, b.order) })
	for _, m := range lapsed {
		// The removal of an earlier one may have completed the rebalance, which renewed this session.
		if g.members[m.id] != m || m.deadline != never || m.satisfied() {
			continue
		}
		out.infof("Member %s in group %s has failed, removing it from the group", m.id, g.id)
		g.removeMember(m, "removing member "+m.id+" on heartbeat expiration", now, out)
	}
}
