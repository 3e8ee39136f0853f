package protocol

import "math"

// FetchRequest is a Fetch request of versions 0 to 17 that is decoded without allocations: its slices are reused by the next Decode,
// and every string aliases the frame. Clone what has to outlive the frame.
type FetchRequest struct {
	ClusterID     string // "" when null, and below version 12
	ReplicaID     int32  // -1: a consumer
	ReplicaEpoch  int64  // v15+; -1 otherwise
	MaxWaitMs     int32
	MinBytes      int32
	MaxBytes      int32 // v3+; 2147483647 below
	Isolation     int8  // v4+: 0 read_uncommitted, 1 read_committed; as sent, so it may be anything
	SessionID     int32 // v7+; 0 below
	SessionEpoch  int32 // v7+; -1 below
	Topics        []FetchTopic
	Forgotten     []ForgottenTopic // v7+
	RackID        string           // v11+
	partitions    []FetchPartition // backs Topics[i].Partitions
	forgottenList []int32          // backs Forgotten[i].Partitions
}

// FetchTopic is what is asked of one topic.
type FetchTopic struct {
	Name       string  // v0-12
	ID         TopicID // v13+
	Partitions []FetchPartition
}

// FetchPartition is what is asked of one partition.
type FetchPartition struct {
	Partition          int32
	CurrentLeaderEpoch int32 // v9+; -1: not known
	FetchOffset        int64
	LastFetchedEpoch   int32 // v12+; -1: not known
	LogStartOffset     int64 // v5+, of a follower; -1 of a consumer
	MaxBytes           int32
	ReplicaDirectoryID TopicID // v17+
}

// ForgottenTopic lists partitions to drop from the fetch session.
type ForgottenTopic struct {
	Name       string  // v7-12
	ID         TopicID // v13+
	Partitions []int32
}

// Decode reads the body of a request, as strict and as lenient as Kafka. Errors wrap ErrMalformed. After an error the request is empty.
func (f *FetchRequest) Decode(version int16, body []byte) error {
	f.Reset()
	rq := lookupRequest(keyFetch)
	r := reader{buf: body, flexible: rq.api.Flexible(version)}
	if version <= 14 {
		f.ReplicaID = r.int32()
	}
	f.MaxWaitMs = r.int32()
	f.MinBytes = r.int32()
	if version >= 3 {
		f.MaxBytes = r.int32()
	}
	if version >= 4 {
		f.Isolation = r.int8()
	}
	if version >= 7 {
		f.SessionID = r.int32()
		f.SessionEpoch = r.int32()
	}
	f.decodeTopics(&r, version)
	if version >= 7 {
		f.decodeForgotten(&r, version)
	}
	if version >= 11 {
		f.RackID = r.string()
	}
	f.decodeTags(&r, version)
	if r.err != nil {
		f.Reset()
		return malformed(rq, version, nil, r.err)
	}
	return nil
}

func (f *FetchRequest) decodeTopics(r *reader, version int16) {
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		if len(f.Topics) == maxElements {
			r.fail(errTooManyData)
			return
		}
		var t FetchTopic
		if version <= 12 {
			t.Name = r.string()
		} else {
			t.ID = r.uuid()
		}
		start := len(f.partitions)
		for m := r.arrayLen(); m > 0 && r.err == nil; m-- {
			if len(f.partitions) == maxElements {
				r.fail(errTooManyData)
				return
			}
			f.partitions = append(f.partitions, decodeFetchPartition(r, version))
		}
		// When the backing grows, earlier topics keep the old one, which holds theirs unchanged.
		t.Partitions = f.partitions[start:len(f.partitions):len(f.partitions)]
		r.skipTags()
		f.Topics = append(f.Topics, t)
	}
}

func decodeFetchPartition(r *reader, version int16) FetchPartition {
	p := FetchPartition{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1}
	p.Partition = r.int32()
	if version >= 9 {
		p.CurrentLeaderEpoch = r.int32()
	}
	p.FetchOffset = r.int64()
	if version >= 12 {
		p.LastFetchedEpoch = r.int32()
	}
	if version >= 5 {
		p.LogStartOffset = r.int64()
	}
	p.MaxBytes = r.int32()
	for n := r.tagCount(); n > 0 && r.err == nil; n-- {
		tag, size := r.uvarint(), int(int32(r.uvarint()))
		switch {
		case tag != 0:
			r.span(size)
		case version >= 17:
			p.ReplicaDirectoryID = r.uuid()
		default:
			r.fail(errUnknownTag)
		}
	}
	return p
}

func (f *FetchRequest) decodeForgotten(r *reader, version int16) {
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		if len(f.Forgotten) == maxElements {
			r.fail(errTooManyData)
			return
		}
		var t ForgottenTopic
		if version <= 12 {
			t.Name = r.string()
		} else {
			t.ID = r.uuid()
		}
		start := len(f.forgottenList)
		for m := r.arrayLen(); m > 0 && r.err == nil; m-- {
			if len(f.forgottenList) == maxElements {
				r.fail(errTooManyData)
				return
			}
			f.forgottenList = append(f.forgottenList, r.int32())
		}
		t.Partitions = f.forgottenList[start:len(f.forgottenList):len(f.forgottenList)]
		r.skipTags()
		f.Forgotten = append(f.Forgotten, t)
	}
}

// decodeTags reads the tags of the request itself: the cluster id (0) and, from version 15 on, the replica's state (1).
func (f *FetchRequest) decodeTags(r *reader, version int16) {
	for n := r.tagCount(); n > 0 && r.err == nil; n-- {
		tag, size := r.uvarint(), int(int32(r.uvarint()))
		switch {
		case tag == 0:
			f.ClusterID, _ = r.nullableString()
		case tag == 1 && version >= 15:
			f.ReplicaID = r.int32()
			f.ReplicaEpoch = r.int64()
			r.skipTags()
		case tag == 1:
			r.fail(errUnknownTag)
		default:
			r.span(size)
		}
	}
}

// Reset sets Kafka's defaults and lets go of the frame the request aliased.
func (f *FetchRequest) Reset() {
	clear(f.Topics)
	clear(f.Forgotten)
	*f = FetchRequest{
		ReplicaID: -1, ReplicaEpoch: -1, MaxBytes: math.MaxInt32, SessionEpoch: -1,
		Topics: reuse(f.Topics), partitions: reuse(f.partitions),
		Forgotten: reuse(f.Forgotten), forgottenList: reuse(f.forgottenList),
	}
}
