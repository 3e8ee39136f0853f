package replication

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// session is a follower's side of an incremental fetch session (KIP-227): the leader knows what was asked before, so that a request names only what has
// changed, and an answer only what there is to say.
type session struct {
	id    int32 // 0: none yet
	epoch int32 // of the next request; 0 asks for a new session in place of id
	byID  bool  // topics go by id (Fetch 13 and later)

	topics map[topicKey]*sessionTopic
	size   int               // partitions
	req    kmsg.FetchRequest // reused
}

// topicKey is how an answer names a topic: by id, or by name.
type topicKey struct {
	name string
	id   protocol.TopicID
}

type sessionTopic struct {
	name       string
	id         protocol.TopicID
	partitions map[int32]*fetchAsk
}

// fetchAsk is what the leader was last asked of a partition.
type fetchAsk struct {
	tp                     protocol.TopicPartition
	offset, logStart       int64
	leaderEpoch, lastEpoch int32
}

func (s *session) clear() {
	s.topics = make(map[topicKey]*sessionTopic)
	s.size = 0
}

func (s *session) key(name string, id protocol.TopicID) topicKey {
	if s.byID {
		return topicKey{id: id}
	}
	return topicKey{name: name}
}

// restart makes the next request name everything, and close the session there was.
func (s *session) restart() { s.epoch = 0 }

// forgotten is restart after the leader has said that it knows no such session.
func (s *session) forgotten() { s.id, s.epoch = 0, 0 }

// continued counts an answer that was understood; the leader goes on with session id, 0 being none.
func (s *session) continued(id int32) {
	switch {
	case id == 0:
		s.forgotten()
	case s.epoch == 0:
		s.id, s.epoch = id, 1
	case s.epoch == math.MaxInt32:
		s.epoch = 1
	default:
		s.epoch++
	}
}

// find returns what was asked of a partition that an answer names, nil when nothing was.
func (s *session) find(p *protocol.FetchedPartition) *fetchAsk {
	return s.get(topicKey{p.Topic, p.TopicID}, p.Partition)
}

func (s *session) get(key topicKey, partition int32) *fetchAsk {
	if t := s.topics[key]; t != nil {
		return t.partitions[partition]
	}
	return nil
}

// put files what is asked of a partition.
func (s *session) put(id protocol.TopicID, ask fetchAsk) {
	key := s.key(ask.tp.Topic, id)
	t := s.topics[key]
	if t == nil {
		t = &sessionTopic{name: ask.tp.Topic, id: id, partitions: make(map[int32]*fetchAsk)}
		s.topics[key] = t
	}
	if known := t.partitions[ask.tp.Partition]; known != nil {
		*known = ask
		return
	}
	t.partitions[ask.tp.Partition] = &ask
	s.size++
}

func (s *session) forget(key topicKey, partition int32) {
	t := s.topics[key]
	delete(t.partitions, partition)
	s.size--
	forgotten := &s.req.ForgottenTopics
	if n := len(*forgotten); n == 0 || (*forgotten)[n-1].Topic != t.name || (*forgotten)[n-1].TopicID != t.id {
		*forgotten = append(*forgotten, kmsg.FetchRequestForgottenTopic{Topic: t.name, TopicID: t.id})
	}
	last := &(*forgotten)[len(*forgotten)-1]
	last.Partitions = append(last.Partitions, partition)
	if len(t.partitions) == 0 {
		delete(s.topics, key)
	}
}

// send adds a partition to the request.
func (s *session) send(id protocol.TopicID, ask *fetchAsk, maxBytes int32) {
	topics := &s.req.Topics
	if n := len(*topics); n == 0 || (*topics)[n-1].Topic != ask.tp.Topic || (*topics)[n-1].TopicID != id {
		if cap(*topics) > n {
			*topics = (*topics)[:n+1] // with the partitions' memory of an earlier request
		} else {
			*topics = append(*topics, kmsg.FetchRequestTopic{})
		}
		t := &(*topics)[n]
		t.Topic, t.TopicID, t.Partitions = ask.tp.Topic, id, t.Partitions[:0]
	}
	t := &(*topics)[len(*topics)-1]
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = ask.tp.Partition, ask.leaderEpoch, ask.offset
	p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = ask.lastEpoch, ask.logStart, maxBytes
	t.Partitions = append(t.Partitions, p)
}

// buildFetch makes the next fetch request; nil when there is nothing to fetch.
func (f *Fetcher) buildFetch() *kmsg.FetchRequest {
	s := &f.mu.session
	byID := f.cfg.FetchVersion >= 13 && f.mu.nameless == 0
	if byID != s.byID {
		s.restart()
	}
	s.req.Topics, s.req.ForgottenTopics = s.req.Topics[:0], s.req.ForgottenTopics[:0]
	if s.epoch == 0 {
		s.byID = byID
		f.buildFull()
	} else {
		f.buildIncremental()
	}
	f.mu.touched = f.mu.touched[:0]
	if s.size == 0 && len(s.req.ForgottenTopics) == 0 {
		return nil
	}
	r := &s.req
	r.Version = f.cfg.FetchVersion
	if r.Version > 12 && !s.byID {
		r.Version = 12
	}
	r.ReplicaID, r.ReplicaState = f.me, kmsg.NewFetchRequestReplicaState()
	if r.Version >= 15 {
		// The leader tells a broker that was started anew by its epoch (KIP-903).
		r.ReplicaID, r.ReplicaState.ID, r.ReplicaState.Epoch = -1, f.me, f.epoch()
	}
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes = int32(f.cfg.MaxWait.Milliseconds()), f.cfg.MinBytes, f.cfg.ResponseMaxBytes
	r.SessionID, r.SessionEpoch = s.id, s.epoch
	return r
}

// ask is what to ask of a partition; false when nothing can be fetched of it now.
func (f *Fetcher) ask(e *following) (fetchAsk, bool) {
	if e == nil || e.phase != fetching || !e.retryAt.IsZero() {
		return fetchAsk{}, false
	}
	a := fetchAsk{tp: e.tp, offset: e.offset, logStart: e.p.Log().LogStartOffset(), leaderEpoch: e.leaderEpoch, lastEpoch: -1}
	if f.truncatesOnFetch() {
		a.lastEpoch = e.lastEpoch
	}
	return a, true
}

// buildFull names all partitions.
func (f *Fetcher) buildFull() {
	s := &f.mu.session
	s.clear()
	for _, e := range f.mu.list {
		if a, ok := f.ask(e); ok {
			s.put(e.id, a)
			s.send(e.id, &a, f.cfg.MaxBytes)
		}
	}
}

// buildIncremental names what has changed since the last request.
func (f *Fetcher) buildIncremental() {
	s := &f.mu.session
	for _, t := range f.mu.touched {
		key := s.key(t.tp.Topic, t.id)
		known := s.get(key, t.tp.Partition)
		e := f.mu.entries[t.tp]
		if e != nil && s.key(t.tp.Topic, e.id) != key {
			e = nil // of a topic that was made anew under the name
		}
		switch a, ok := f.ask(e); {
		case ok && (known == nil || *known != a):
			s.put(e.id, a)
			s.send(e.id, &a, f.cfg.MaxBytes)
		case !ok && known != nil:
			s.forget(key, t.tp.Partition)
		}
	}
}
