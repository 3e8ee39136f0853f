package broker

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"gregor/protocol"
)

// Incremental fetch sessions (KIP-227): the broker remembers what a client fetches, the client sends only what changed, and the broker answers only
// what has news.

// Session epochs with a meaning of their own.
const (
	finalEpoch   = -1 // no session, and an end to the one named
	initialEpoch = 0  // a full fetch that asks for a session
)

// sessionEvictionAge is how long a session must have been unused, or have lived, before another may take its slot.
const sessionEvictionAge = 2 * time.Minute

// fetchSessions is the cache of sessions, max.incremental.fetch.session.cache.slots of them.
type fetchSessions struct {
	slots int
	mu    struct {
		sync.Mutex
		byID map[int32]*fetchSession
	}
}

// fetchSession is one client's session.
type fetchSession struct {
	id         int32
	byTopicID  bool
	privileged bool // a follower's
	created    time.Time

	mu struct {
		sync.Mutex
		epoch    int32 // the epoch the next request must have
		lastUsed time.Time
		parts    map[partitionKey]*cachedPartition
		order    []*cachedPartition // in which partitions are read; those that had records go to the end, so that each has its turn
	}
}

// partitionKey names a partition as the session's client does: by topic id or by name.
type partitionKey struct {
	id        protocol.TopicID
	name      string
	partition int32
}

// cachedPartition is a partition of a session: what the client asked for last, and what it was told last.
type cachedPartition struct {
	key            partitionKey
	q              protocol.FetchPartition
	highWatermark  int64 // -1: tell again
	logStartOffset int64
	gone           bool // forgotten, or its session's slot was taken
}

func newFetchSessions(slots int) *fetchSessions {
	s := &fetchSessions{slots: slots}
	s.mu.byID = make(map[int32]*fetchSession)
	return s
}

// begin fills op with the partitions to read. A code other than None answers the whole request.
func (f *fetchSessions) begin(op *fetchOp, req *protocol.FetchRequest) (code protocol.ErrorCode, sessionID int32) {
	byID := op.header.Version >= 13
	if req.SessionEpoch == finalEpoch || req.SessionEpoch == initialEpoch {
		if req.SessionID != 0 {
			f.remove(req.SessionID)
		}
		op.full = true
		addRequested(op, req)
		if req.SessionEpoch == initialEpoch {
			op.session = f.create(req, byID)
		}
		if op.session != nil {
			op.session.attach(op)
		}
		return protocol.None, 0
	}
	s := f.get(req.SessionID)
	if s == nil {
		return protocol.FetchSessionIDNotFound, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.epoch != req.SessionEpoch:
		return protocol.InvalidFetchSessionEpoch, 0
	case s.byTopicID != byID:
		return protocol.FetchSessionTopicIDError, 0
	}
	s.updateLocked(req)
	if len(s.mu.parts) == 0 {
		f.remove(s.id)
		op.full = true
		addRequested(op, req)
		return protocol.None, 0
	}
	s.mu.lastUsed = time.Now()
	s.mu.epoch = nextSessionEpoch(s.mu.epoch)
	op.session = s
	for _, c := range s.mu.order {
		op.parts = append(op.parts, fetchPart{tp: protocol.TopicPartition{Topic: c.key.name, Partition: c.key.partition}, id: c.key.id, q: c.q, cached: c})
	}
	return protocol.None, s.id
}

func nextSessionEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// addRequested takes the partitions as the request names them. One that is named twice is read once, as it is named last.
func addRequested(op *fetchOp, req *protocol.FetchRequest) {
	total := 0
	for i := range req.Topics {
		total += len(req.Topics[i].Partitions)
	}
	var at map[partitionKey]int
	if total > 1 {
		at = make(map[partitionKey]int, total)
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, q := range t.Partitions {
			if at != nil {
				key := partitionKey{id: t.ID, name: t.Name, partition: q.Partition}
				if j, twice := at[key]; twice {
					op.parts[j].q = q
					continue
				}
				at[key] = len(op.parts)
			}
			op.parts = append(op.parts, fetchPart{tp: protocol.TopicPartition{Topic: t.Name, Partition: q.Partition}, id: t.ID, q: q})
		}
	}
}

// attach links the parts of a full fetch with the new session's partitions.
func (s *fetchSession) attach(op *fetchOp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range op.parts {
		part := &op.parts[i]
		part.cached = s.mu.parts[partitionKey{id: part.id, name: part.tp.Topic, partition: part.tp.Partition}]
	}
}

// updateLocked takes over what the request adds, changes and forgets.
func (s *fetchSession) updateLocked(req *protocol.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, q := range t.Partitions {
			s.putLocked(partitionKey{id: t.ID, name: t.Name, partition: q.Partition}, q)
		}
	}
	forgotten := false
	for _, t := range req.Forgotten {
		for _, index := range t.Partitions {
			key := partitionKey{id: t.ID, name: t.Name, partition: index}
			if c := s.mu.parts[key]; c != nil {
				c.gone, forgotten = true, true
				delete(s.mu.parts, key)
			}
		}
	}
	if !forgotten {
		return
	}
	kept := s.mu.order[:0]
	for _, c := range s.mu.order {
		if !c.gone {
			kept = append(kept, c)
		}
	}
	clear(s.mu.order[len(kept):])
	s.mu.order = kept
}

// putLocked adds or changes one partition. key may alias the request's frame.
func (s *fetchSession) putLocked(key partitionKey, q protocol.FetchPartition) {
	if c := s.mu.parts[key]; c != nil {
		c.q = q
		return
	}
	key.name = strings.Clone(key.name)
	c := &cachedPartition{key: key, q: q, highWatermark: -1, logStartOffset: -1}
	s.mu.parts[key] = c
	s.mu.order = append(s.mu.order, c)
}

// finish drops from op what an incremental answer does not need to say, remembers what it says, and returns the session id to answer (0: none).
func (f *fetchSessions) finish(op *fetchOp) int32 {
	s := op.session
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, moved := op.parts[:0], false
	for i := range op.parts {
		part := op.parts[i]
		if part.cached == nil {
			kept = append(kept, part)
			continue
		}
		if part.cached.news(&part) || op.full {
			kept = append(kept, part)
		}
		if part.slice.Size > 0 && !op.full {
			moved = true
		}
	}
	if moved {
		s.rotateLocked(kept)
	}
	clear(op.parts[len(kept):])
	op.parts = kept
	return s.id
}

// news updates the cached partition and reports whether the client has to be told about it.
func (c *cachedPartition) news(part *fetchPart) bool {
	tell := part.slice.Size > 0
	if c.highWatermark != part.resp.HighWatermark {
		c.highWatermark, tell = part.resp.HighWatermark, true
	}
	if c.logStartOffset != part.resp.LogStartOffset {
		c.logStartOffset, tell = part.resp.LogStartOffset, true
	}
	if part.resp.ErrorCode != protocol.None {
		tell = true // and as its watermark is -1, the end of the error is news, too
	}
	if part.resp.DivergingEpoch != nil || part.resp.PreferredReadReplica >= 0 {
		tell = true
	}
	return tell
}

// rotateLocked moves partitions that had records to the end of the order.
func (s *fetchSession) rotateLocked(answered []fetchPart) {
	served := make(map[*cachedPartition]struct{})
	for i := range answered {
		if answered[i].cached != nil && answered[i].slice.Size > 0 {
			served[answered[i].cached] = struct{}{}
		}
	}
	if len(served) == len(s.mu.order) {
		return
	}
	order := make([]*cachedPartition, 0, len(s.mu.order))
	var last []*cachedPartition
	for _, c := range s.mu.order {
		if _, ok := served[c]; ok {
			last = append(last, c)
			continue
		}
		order = append(order, c)
	}
	s.mu.order = append(order, last...)
}

func (f *fetchSessions) get(id int32) *fetchSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.byID[id]
}

func (f *fetchSessions) remove(id int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mu.byID, id)
}

// create makes a session for a full fetch, or returns nil when there is no slot for it or nothing to remember.
func (f *fetchSessions) create(req *protocol.FetchRequest, byTopicID bool) *fetchSession {
	now := time.Now()
	s := &fetchSession{byTopicID: byTopicID, privileged: req.ReplicaID >= 0, created: now}
	s.mu.epoch = nextSessionEpoch(initialEpoch)
	s.mu.lastUsed = now
	s.mu.parts = make(map[partitionKey]*cachedPartition)
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, q := range t.Partitions {
			s.putLocked(partitionKey{id: t.ID, name: t.Name, partition: q.Partition}, q)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(s.mu.parts) == 0 || len(f.mu.byID) >= f.slots && !f.evictLocked(s, now) {
		return nil
	}
	for s.id == 0 || f.mu.byID[s.id] != nil {
		s.id = rand.Int32N(1<<31-1) + 1
	}
	f.mu.byID[s.id] = s
	return s
}

// evictLocked frees a slot for a new session: the one unused longest if that is long enough, otherwise the least valuable one (a consumer's before a
// follower's, a small one before a large one) that has lived long enough and is worth less than the new one.
func (f *fetchSessions) evictLocked(next *fetchSession, now time.Time) bool {
	var stale, cheapest *fetchSession
	var staleSince time.Time
	for _, s := range f.mu.byID {
		s.mu.Lock()
		used := s.mu.lastUsed
		s.mu.Unlock()
		if stale == nil || used.Before(staleSince) {
			stale, staleSince = s, used
		}
		if (next.privileged && !s.privileged || now.Sub(s.created) > sessionEvictionAge) && (cheapest == nil || s.worthLess(cheapest)) {
			cheapest = s
		}
	}
	switch {
	case stale != nil && now.Sub(staleSince) > sessionEvictionAge:
		delete(f.mu.byID, stale.id)
		return true
	case cheapest != nil && cheapest.worthLess(next):
		delete(f.mu.byID, cheapest.id)
		return true
	}
	return false
}

func (s *fetchSession) worthLess(t *fetchSession) bool {
	if s.privileged != t.privileged {
		return !s.privileged
	}
	return s.size() < t.size()
}

func (s *fetchSession) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.parts)
}
