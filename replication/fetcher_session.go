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

	topics map[string]*sessionTopic
	names  map[protocol.TopicID]*sessionTopic // the same, where byID
	size   int                                // partitions
	req    kmsg.FetchRequest                  // reused
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

func (s *session) init() { s.clear() }

func (s *session) clear() {
	s.topics = make(map[string]*sessionTopic)
	s.names = make(map[protocol.TopicID]*sessionTopic)
	s.size = 0
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
	var t *sessionTopic
	if s.byID {
		t = s.names[p.TopicID]
	} else {
		t = s.topics[p.Topic]
	}
	if t == nil {
		return nil
	}
	return t.partitions[p.Partition]
}

func (s *session) get(tp protocol.TopicPartition) *fetchAsk {
	if t := s.topics[tp.Topic]; t != nil {
		return t.partitions[tp.Partition]
	}
	return nil
}

// put files what is asked of a partition, and reports false when the session knows another topic of that name.
func (s *session) put(id protocol.TopicID, ask fetchAsk) bool {
	t := s.topics[ask.tp.Topic]
	if t == nil {
		t = &sessionTopic{name: ask.tp.Topic, id: id, partitions: make(map[int32]*fetchAsk)}
		s.topics[t.name], s.names[id] = t, t
	}
	if t.id != id {
		return false
	}
	if known := t.partitions[ask.tp.Partition]; known != nil {
		*known = ask
		return true
	}
	t.partitions[ask.tp.Partition] = &ask
	s.size++
	return true
}

func (s *session) forget(tp protocol.TopicPartition) {
	t := s.topics[tp.Topic]
	id := t.id
	delete(t.partitions, tp.Partition)
	s.size--
	forgotten := &s.req.ForgottenTopics
	if n := len(*forgotten); n == 0 || (*forgotten)[n-1].Topic != tp.Topic {
		*forgotten = append(*forgotten, kmsg.FetchRequestForgottenTopic{Topic: t.name, TopicID: id})
	}
	last := &(*forgotten)[len(*forgotten)-1]
	last.Partitions = append(last.Partitions, tp.Partition)
	if len(t.partitions) == 0 {
		delete(s.topics, t.name)
		delete(s.names, id)
	}
}

// send adds a partition to the request.
func (s *session) send(id protocol.TopicID, ask *fetchAsk, maxBytes int32) {
	topics := &s.req.Topics
	if n := len(*topics); n == 0 || (*topics)[n-1].Topic != ask.tp.Topic {
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
	if s.epoch != 0 && !f.buildIncremental() {
		s.restart() // a topic was made anew, or has or lacks an id where the others do not
	}
	if s.epoch == 0 {
		f.buildFull()
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
	a := fetchAsk{tp: e.tp, offset: e.offset, logStart: e.p.log.LogStartOffset(), leaderEpoch: e.leaderEpoch, lastEpoch: -1}
	if f.truncatesOnFetch() {
		a.lastEpoch = e.lastEpoch
	}
	return a, true
}

// buildFull names all partitions.
func (f *Fetcher) buildFull() {
	s := &f.mu.session
	s.clear()
	s.req.Topics, s.req.ForgottenTopics = s.req.Topics[:0], s.req.ForgottenTopics[:0]
	s.byID = f.cfg.FetchVersion >= 13
	for _, e := range f.mu.list {
		if _, ok := f.ask(e); ok && e.id.IsZero() {
			s.byID = false
		}
	}
	for _, e := range f.mu.list {
		if a, ok := f.ask(e); ok {
			s.put(e.id, a)
			s.send(e.id, &a, f.cfg.MaxBytes)
		}
	}
}

// buildIncremental names what has changed since the last request. It reports false when the session cannot go on.
func (f *Fetcher) buildIncremental() bool {
	s := &f.mu.session
	s.req.Topics, s.req.ForgottenTopics = s.req.Topics[:0], s.req.ForgottenTopics[:0]
	for _, tp := range f.mu.touched {
		e, known := f.mu.entries[tp], s.get(tp)
		a, ok := f.ask(e)
		switch {
		case !ok && known != nil:
			s.forget(tp)
		case !ok || known != nil && *known == a && s.topics[tp.Topic].id == e.id:
		case e.id.IsZero() == s.byID && f.cfg.FetchVersion >= 13, !s.put(e.id, a):
			return false
		default:
			s.send(e.id, &a, f.cfg.MaxBytes)
		}
	}
	return true
}
