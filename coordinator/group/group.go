package group

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"gregor/protocol"
)

// State is the state of a group, spelled as in DescribeGroups.
type State string

// The states of a classic group.
//
//	Empty               → PreparingRebalance (a member joins), Dead
//	PreparingRebalance  → CompletingRebalance (all have joined or time is up), Empty (nobody is left), Dead
//	CompletingRebalance → Stable (the leader's assignment is in the log), PreparingRebalance, Dead
//	Stable              → PreparingRebalance (a member comes, goes or changes), Dead
const (
	Empty               State = "Empty"
	PreparingRebalance  State = "PreparingRebalance"
	CompletingRebalance State = "CompletingRebalance"
	Stable              State = "Stable"
	Dead                State = "Dead"
)

const (
	noGeneration = -1
	noTime       = -1            // a timestamp that is not known
	never        = math.MaxInt64 // a deadline that does not exist

	// newMemberJoinTimeoutMs bounds how long a new member may wait in its first rebalance without a sign of life: it has no
	// member id yet and can send no heartbeats.
	newMemberJoinTimeoutMs = 5 * 60 * 1000

	// consumerProtocolType is the protocol type of Kafka consumers, the only one whose subscriptions the broker reads.
	consumerProtocolType = "consumer"
)

// rules are the settings that the state machine obeys.
type rules struct {
	initialRebalanceDelayMs int64
	maxSize                 int
	offsetMetadataMax       int // UTF-16 units
	offsetsRetentionMs      int64
	offsetValueVersion      int16 // of the records that are written
	groupValueVersion       int16
}

// group is the state machine of one group: pure, single-threaded, without clock, I/O or lock. Every method that changes it
// takes the time in milliseconds and adds what the world must do to the effects. The caller ends every event with settle.
type group struct {
	id        string
	partition int32 // of __consumer_offsets, for the log lines
	rules     *rules

	state State
	// stateTimestamp is when state was entered, noTime when the group comes from a log that did not know.
	stateTimestamp int64
	unloaded       bool // Dead because its partition moved away, not because it was deleted

	protocolType string  // "" while the group never had a member
	protocol     *string // nil unless a generation with members is agreed on
	generation   int32
	leader       string // member id, "" without one

	members map[string]*member
	static  map[string]string // group.instance.id → member id. Invariant: every value is a key of members
	joined  uint64            // members ever added: gives them an order
	// supported counts how many members support a protocol; it is a candidate when all do.
	supported    map[string]int
	awaitingJoin int // Invariant: the number of members with a joinWaiter
	// pending holds the ids that were given out with MEMBER_ID_REQUIRED (KIP-394) and when they lapse.
	pending map[string]int64
	// pendingSync holds the members of this generation that have not sent SyncGroup yet.
	pendingSync map[string]struct{}
	// subscribed are the topics of a consumer group; nil when they are not known.
	subscribed map[string]struct{}

	rebalance    rebalanceTimer
	syncDeadline int64 // when members in pendingSync are thrown out; never when there are none

	offsets        map[protocol.TopicPartition]offsetEntry
	pendingCommits map[protocol.TopicPartition]*pendingCommit
	// pendingTxn holds offsets of open transactions by producer id, as found in the log.
	pendingTxn map[int64]map[protocol.TopicPartition]offsetEntry

	// wake is not after the first deadline of the group (never when there is none): settle looks only when it has passed.
	wake int64
}

// rebalanceTimer ends the PreparingRebalance state.
type rebalanceTimer struct {
	deadline int64 // never when no rebalance is being prepared
	// initial is the rebalance of an empty group: it waits its whole time for more members, and longer (up to remainingMs)
	// when new ones came meanwhile (KIP-134).
	initial        bool
	delayMs        int64
	remainingMs    int64
	newMemberAdded bool
}

func newGroup(id string, partition int32, r *rules, now int64) *group {
	return &group{
		id: id, partition: partition, rules: r, state: Empty, stateTimestamp: now,
		rebalance: rebalanceTimer{deadline: never}, syncDeadline: never, wake: never,
	}
}

// member is one member of a group.
type member struct {
	order                uint64 // of joining
	id                   string
	instanceID           *string // nil for a dynamic member
	clientID, clientHost string
	rebalanceTimeoutMs   int32
	sessionTimeoutMs     int32
	protocols            []memberProtocol // by preference; names are distinct
	assignment           []byte
	isNew                bool  // has not completed its first rebalance
	deadline             int64 // when its session lapses; never when nothing is expected of it
	joinWaiter           waiter[joinAnswer]
	syncWaiter           waiter[syncAnswer]
}

// memberProtocol is one assignment strategy that a member supports, with what it tells the leader.
type memberProtocol struct {
	name     string
	metadata []byte
}

// metadata is what the member sent for a protocol, nil when it does not support it.
func (m *member) metadata(protocol *string) []byte {
	if protocol == nil {
		return nil
	}
	for _, p := range m.protocols {
		if p.name == *protocol {
			return p.metadata
		}
	}
	return nil
}

// matches tells whether the member would join again with exactly these protocols.
func (m *member) matches(protocols []memberProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b memberProtocol) bool {
		return a.name == b.name && bytes.Equal(a.metadata, b.metadata)
	})
}

// satisfied tells whether a passed deadline is excused: members in a rebalance are waiting for us, not we for them. New
// members are not excused, or abandoned first joins would pile up.
func (m *member) satisfied() bool {
	return !m.isNew && (m.joinWaiter != nil || m.syncWaiter != nil)
}

// is tells whether the group is in one of the states.
func (g *group) is(states ...State) bool { return slices.Contains(states, g.state) }

func (g *group) transition(to State, now int64) {
	g.state, g.stateTimestamp = to, now
}

// ordered lists the members in the order of their joining.
func (g *group) ordered() []*member {
	list := make([]*member, 0, len(g.members))
	for _, m := range g.members {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *member) int { return cmp.Compare(a.order, b.order) })
	return list
}

// first is the member for which ok holds that joined first, nil without one.
func (g *group) first(ok func(*member) bool) *member {
	var found *member
	for _, m := range g.members {
		if ok(m) && (found == nil || m.order < found.order) {
			found = m
		}
	}
	return found
}

// add makes m a member; its joinWaiter may be set already.
func (g *group) add(m *member) {
	if g.members == nil {
		g.members, g.supported = map[string]*member{}, map[string]int{}
	}
	g.joined++
	m.order = g.joined
	if m.instanceID != nil {
		if g.static == nil {
			g.static = map[string]string{}
		}
		g.static[*m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members[m.id] = m
	g.count(m.protocols, 1)
	if m.joinWaiter != nil {
		g.awaitingJoin++
	}
	delete(g.pending, m.id)
}

// remove forgets a member. A SyncGroup that waits is told that the member is unknown; a waiting JoinGroup is the caller's
// business.
func (g *group) remove(id string, out *effects) {
	if m := g.members[id]; m != nil {
		delete(g.members, id)
		g.count(m.protocols, -1)
		if m.joinWaiter != nil {
			g.awaitingJoin--
		}
		if m.instanceID != nil {
			delete(g.static, *m.instanceID)
		}
		g.answerSync(m, syncAnswer{code: protocol.UnknownMemberID}, out)
	}
	if g.leader == id {
		g.leader = ""
		if m := g.first(func(*member) bool { return true }); m != nil {
			g.leader = m.id
		}
	}
	delete(g.pending, id)
	delete(g.pendingSync, id)
}

func (g *group) count(protocols []memberProtocol, by int) {
	for _, p := range protocols {
		if g.supported[p.name] += by; g.supported[p.name] == 0 {
			delete(g.supported, p.name)
		}
	}
}

// update gives a member new protocols, timeouts and a waiting JoinGroup (nil for none). A JoinGroup that it had waiting
// before is never answered: the client has sent it again.
func (g *group) update(m *member, protocols []memberProtocol, rebalanceTimeoutMs, sessionTimeoutMs int32, to waiter[joinAnswer]) {
	g.count(m.protocols, -1)
	g.count(protocols, 1)
	m.protocols, m.rebalanceTimeoutMs, m.sessionTimeoutMs = protocols, rebalanceTimeoutMs, sessionTimeoutMs
	switch {
	case to != nil && m.joinWaiter == nil:
		g.awaitingJoin++
	case to == nil && m.joinWaiter != nil:
		g.awaitingJoin--
	}
	m.joinWaiter = to
}

func (g *group) answerJoin(m *member, a joinAnswer, out *effects) {
	if m.joinWaiter != nil {
		out.join(m.joinWaiter, a)
		m.joinWaiter = nil
		g.awaitingJoin--
	}
}

// answerSync tells whether anybody waited.
func (g *group) answerSync(m *member, a syncAnswer, out *effects) bool {
	if m.syncWaiter == nil {
		return false
	}
	out.sync(m.syncWaiter, a)
	m.syncWaiter = nil
	return true
}

// supports tells whether a member with these protocols can be in the group: one of them must be known to all members.
func (g *group) supports(protocolType string, protocols []memberProtocol) bool {
	if g.is(Empty) {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType && slices.ContainsFunc(protocols, func(p memberProtocol) bool {
		return g.supported[p.name] == len(g.members)
	})
}

// selectProtocol lets every member vote for the first protocol of its list that all support. Of two with as many votes the
// one that the earlier member wants wins.
func (g *group) selectProtocol() *string {
	votes := map[string]int{}
	var best *string
	for _, m := range g.ordered() {
		for _, p := range m.protocols {
			if g.supported[p.name] == len(g.members) {
				votes[p.name]++
				break
			}
		}
	}
	for _, m := range g.ordered() {
		for _, p := range m.protocols {
			if n := votes[p.name]; n > 0 && (best == nil || n > votes[*best]) {
				best = &p.name
			}
		}
	}
	return best
}

// rebalanceTimeoutMs is the longest of the members'.
func (g *group) rebalanceTimeoutMs() int64 {
	longest := int32(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeoutMs)
	}
	return int64(longest)
}

// validateMember checks who sends: the member id must be known, and be the one that the instance id (nil for a dynamic
// member) stands for. None means that it is a member.
func (g *group) validateMember(memberID string, instanceID *string, operation string, out *effects) protocol.ErrorCode {
	if instanceID != nil {
		current, known := g.static[*instanceID]
		if !known {
			return protocol.UnknownMemberID
		}
		if current != memberID {
			out.infof("Fenced %s with memberId=%s: groupInstanceId=%s of group %s belongs to memberId=%s now",
				operation, memberID, *instanceID, g.id, current)
			return protocol.FencedInstanceID
		}
	}
	if g.members[memberID] == nil {
		return protocol.UnknownMemberID
	}
	return protocol.None
}

// protocolTypeOrNil is the protocol type for the wire, where a group that never had one says null.
func (g *group) protocolTypeOrNil() *string {
	if g.protocolType == "" {
		return nil
	}
	return &g.protocolType
}
