package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Error codes of the group protocol that a member lives with.
const (
	coordinatorLoading     = 14
	coordinatorUnavailable = 15
	notCoordinator         = 16
	rebalanceInProgress    = 27
)

// heartbeatEvery is short, so that what a rebalance takes is the coordinator's doing and not the time until the members hear of it.
const heartbeatEvery = 50 * time.Millisecond

// Group is a consumer group whose members do nothing but belong to it: each on a connection of its own, with heartbeats, JoinGroup and SyncGroup.
type Group struct {
	addr        string
	name        string
	partitions  int
	cooperative bool // after members have joined, the partitions move in a second rebalance (KIP-429)

	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	changed chan struct{} // has an element after a member has synced or failed

	mu struct {
		sync.Mutex
		members []*member
		sizes   map[int32]int // members of a generation, as its leader learned
		err     error
	}
}

// member is one of them.
type member struct {
	group      *Group
	ask        *Asker
	id         string
	leave      chan struct{} // closed: it is to go
	left       chan struct{} // closed: it has gone
	again      chan struct{} // has an element: it is to rejoin
	generation int32         // synced; guarded by the group's mutex
}

// NewGroup is a group without members, once the broker coordinates it. Its leader assigns so many partitions.
func NewGroup(ctx context.Context, addr, name string, partitions int, cooperative bool) (*Group, error) {
	r := kmsg.NewPtrFindCoordinatorRequest()
	r.Version, r.CoordinatorKey = 1, name
	for {
		resp, err := Ask(ctx, addr, r, 20*time.Second)
		if err == nil && resp.(*kmsg.FindCoordinatorResponse).ErrorCode == 0 {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(errors.New("there is no coordinator"), err)
		}
	}
	g := &Group{addr: addr, name: name, partitions: partitions, cooperative: cooperative, changed: make(chan struct{}, 1)}
	g.ctx, g.cancel = context.WithCancel(ctx)
	g.mu.sizes = map[int32]int{}
	return g, nil
}

// Close ends all members without a word.
func (g *Group) Close() {
	g.cancel()
	g.wg.Wait()
}

// Add starts members and waits until all have their assignment; it returns how long that took.
func (g *Group) Add(ctx context.Context, n int) (time.Duration, error) {
	begun := time.Now()
	for range n {
		c, err := Dial(g.ctx, g.addr)
		if err != nil {
			return 0, err
		}
		m := &member{group: g, ask: NewAsker(c), leave: make(chan struct{}), left: make(chan struct{}), again: make(chan struct{}, 1)}
		g.mu.Lock()
		g.mu.members = append(g.mu.members, m)
		g.mu.Unlock()
		g.wg.Go(m.run)
	}
	generation, err := g.settled(ctx, -1)
	if err == nil && g.cooperative {
		// The partitions for the new members have been given up; those who gave some up join again, and then they are assigned.
		g.mu.Lock()
		for _, m := range g.mu.members[:max(len(g.mu.members)/10, 1)] {
			m.again <- struct{}{}
		}
		g.mu.Unlock()
		_, err = g.settled(ctx, generation)
	}
	return time.Since(begun), err
}

// Leave has the last member leave and waits until the others have a new assignment.
func (g *Group) Leave(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	last := len(g.mu.members) - 1
	m := g.mu.members[last]
	g.mu.members = g.mu.members[:last]
	before := m.generation
	g.mu.Unlock()
	begun := time.Now()
	close(m.leave)
	<-m.left
	_, err := g.settled(ctx, before)
	return time.Since(begun), err
}

// settled waits until all members have synced a generation after one, in which nobody is missing, and returns it.
func (g *Group) settled(ctx context.Context, after int32) (int32, error) {
	for {
		generation, ok, err := g.agreed(after)
		if ok || err != nil {
			return generation, err
		}
		select {
		case <-g.changed:
		case <-ctx.Done():
			return 0, fmt.Errorf("the group does not settle: %w", ctx.Err())
		}
	}
}

func (g *Group) agreed(after int32) (generation int32, ok bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.err != nil {
		return 0, false, g.mu.err
	}
	generation = g.mu.members[0].generation
	for _, m := range g.mu.members {
		if m.generation != generation {
			return 0, false, nil
		}
	}
	return generation, generation > after && g.mu.sizes[generation] == len(g.mu.members), nil
}

// note tells who waits that something has changed.
func (g *Group) note(f func()) {
	g.mu.Lock()
	f()
	g.mu.Unlock()
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// run is a member's life: join, sync, and heartbeats until a rebalance begins.
func (m *member) run() {
	defer m.ask.Close()
	defer close(m.left)
	err := m.live()
	if err != nil && m.group.ctx.Err() == nil {
		m.group.note(func() { m.group.mu.err = errors.Join(m.group.mu.err, err) })
	}
}

func (m *member) live() error {
	for {
		generation, err := m.join()
		if err != nil {
			return err
		}
		if generation >= 0 {
			m.group.note(func() { m.generation = generation })
			if left, err := m.beat(generation); left || err != nil {
				return err
			}
		}
	}
}

// beat sends heartbeats until the member has to join again or has left.
func (m *member) beat(generation int32) (left bool, err error) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.leave:
			r := kmsg.NewPtrLeaveGroupRequest()
			r.Version, r.Group, r.MemberID = 2, m.group.name, m.id
			_, err := m.ask.Ask(r)
			return true, err
		case <-m.again:
			return false, nil
		case <-m.group.ctx.Done():
			return true, nil
		case <-tick.C:
		}
		r := kmsg.NewPtrHeartbeatRequest()
		r.Version, r.Group, r.Generation, r.MemberID = 2, m.group.name, generation, m.id
		resp, err := m.ask.Ask(r)
		if err != nil {
			return false, err
		}
		switch code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code {
		case 0:
		case rebalanceInProgress:
			return false, nil
		default:
			return false, fmt.Errorf("heartbeat answered error %d", code)
		}
	}
}

// join sends JoinGroup and SyncGroup; the generation is -1 when they are to be sent again.
func (m *member) join() (int32, error) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.MemberID, r.ProtocolType = 3, m.group.name, 30_000, 60_000, m.id, "consumer"
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "bench", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // a subscription to nothing
	r.Protocols = append(r.Protocols, protocol)
	resp, err := m.ask.Ask(r)
	if err != nil {
		return -1, err
	}
	joined := resp.(*kmsg.JoinGroupResponse)
	switch joined.ErrorCode {
	case 0:
	case coordinatorLoading, coordinatorUnavailable, notCoordinator, rebalanceInProgress:
		time.Sleep(heartbeatEvery)
		return -1, nil
	default:
		return -1, fmt.Errorf("JoinGroup answered error %d", joined.ErrorCode)
	}
	m.id = joined.MemberID
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 2, m.group.name, joined.Generation, m.id
	if joined.LeaderID == m.id {
		generation, n := joined.Generation, len(joined.Members)
		m.group.note(func() { m.group.mu.sizes[generation] = n })
		for _, other := range joined.Members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = other.MemberID, make([]byte, 4*m.group.partitions/n)
			sync.GroupAssignment = append(sync.GroupAssignment, a)
		}
	}
	generation := joined.Generation
	resp, err = m.ask.Ask(sync)
	if err != nil {
		return -1, err
	}
	switch code := resp.(*kmsg.SyncGroupResponse).ErrorCode; code {
	case 0:
		return generation, nil
	case rebalanceInProgress:
		return -1, nil
	default:
		return -1, fmt.Errorf("SyncGroup answered error %d", code)
	}
}
