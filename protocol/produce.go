package protocol

// maxElements bounds the topics, the partitions and the forgotten partitions that a hand-decoded request may hold. A cluster is
// limited to about 200,000 partitions; what is above a million is no honest request.
const maxElements = 1 << 20

// keepElements is the capacity up to which a reused request keeps its slices. One huge request is not to be paid for by
// the connection's whole life.
const keepElements = 4096

// ProduceRequest is a Produce request of versions 0 to 11 that is decoded without allocations: its slices are reused by the next
// Decode, and every string and record set aliases the frame. Clone what has to outlive the frame.
type ProduceRequest struct {
	TransactionalID    string // "" and HasTransactionalID false: null, always so below version 3
	HasTransactionalID bool
	Acks               int16
	TimeoutMs          int32
	Topics             []ProduceTopic // as sent: a topic may be named twice

	partitions []ProducePartition // backs Topics[i].Partitions
}

// ProduceTopic is the data for one topic.
type ProduceTopic struct {
	Name       string
	Partitions []ProducePartition
}

// ProducePartition is the data for one partition.
type ProducePartition struct {
	Index   int32
	Records []byte // nil is null
}

// Decode reads the body of a request, as strict and as lenient as Kafka. Errors wrap ErrMalformed. After an error the request is empty.
func (p *ProduceRequest) Decode(version int16, body []byte) error {
	p.Reset()
	rq := lookupRequest(keyProduce)
	r := reader{buf: body, flexible: rq.api.Flexible(version)}
	if version >= 3 {
		p.TransactionalID, p.HasTransactionalID = r.nullableString()
	}
	p.Acks = r.int16()
	p.TimeoutMs = r.int32()
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		if len(p.Topics) == maxElements {
			r.fail(errTooManyData)
			break
		}
		p.Topics = append(p.Topics, ProduceTopic{Name: r.string(), Partitions: p.decodePartitions(&r)})
		r.skipTags()
	}
	r.skipTags()
	if r.err != nil {
		p.Reset()
		return malformed(rq, version, nil, r.err)
	}
	return nil
}

// decodePartitions reads into the shared backing. When that grows, the earlier topics keep the old one, which holds theirs unchanged.
func (p *ProduceRequest) decodePartitions(r *reader) []ProducePartition {
	start := len(p.partitions)
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		if len(p.partitions) == maxElements {
			r.fail(errTooManyData)
			break
		}
		p.partitions = append(p.partitions, ProducePartition{Index: r.int32(), Records: r.nullableBytes()})
		r.skipTags()
	}
	return p.partitions[start:len(p.partitions):len(p.partitions)]
}

// Reset empties the request and lets go of the frame it aliased.
func (p *ProduceRequest) Reset() {
	clear(p.Topics)
	clear(p.partitions)
	*p = ProduceRequest{Topics: reuse(p.Topics), partitions: reuse(p.partitions)}
}

// reuse empties a slice and keeps its memory, unless that is too large to keep.
func reuse[E any](s []E) []E {
	if cap(s) > keepElements {
		return nil
	}
	return s[:0]
}

// ProduceResponse is the answer to a Produce request of versions 0 to 11.
type ProduceResponse struct {
	Topics         []ProduceTopicResponse
	ThrottleTimeMs int32
	NodeEndpoints  []NodeEndpoint // v10+: the brokers that CurrentLeader names
}

// ProduceTopicResponse is the answer for one topic.
type ProduceTopicResponse struct {
	Name       string
	Partitions []ProducePartitionResponse
}

// ProducePartitionResponse is the answer for one partition. On an error, offsets and time are -1.
type ProducePartitionResponse struct {
	Index           int32
	ErrorCode       ErrorCode
	BaseOffset      int64
	LogAppendTimeMs int64                   // v2+; -1 on a CreateTime topic
	LogStartOffset  int64                   // v5+
	RecordErrors    []BatchIndexAndErrorMsg // v8+
	ErrorMessage    string                  // v8+; "" is null
	CurrentLeader   *LeaderIDAndEpoch       // v10+; nil: unknown
}

// BatchIndexAndErrorMsg names a record that made its batch fail.
type BatchIndexAndErrorMsg struct {
	BatchIndex int32
	Message    string // "" is null
}

// LeaderIDAndEpoch tells a client that asked the wrong broker who the leader is (KIP-951).
type LeaderIDAndEpoch struct {
	LeaderID, LeaderEpoch int32
}

// NodeEndpoint is where to reach a broker that a response names (KIP-951).
type NodeEndpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // "" is null
}

// AppendProduceResponse appends a whole response frame (size, header, body) in the request's version to dst.
func AppendProduceResponse(dst []byte, h RequestHeader, resp *ProduceResponse) []byte {
	start := len(dst)
	w := writer{version: h.Version, flexible: responseHeaderFlexible(keyProduce, h.Version)}
	w.out = appendFrameHeader(dst, h.CorrelationID, w.flexible)
	w.arrayLen(len(resp.Topics))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		w.string(t.Name)
		w.arrayLen(len(t.Partitions))
		for j := range t.Partitions {
			w.producePartition(&t.Partitions[j])
		}
		w.noTags()
	}
	if h.Version >= 1 {
		w.int32(resp.ThrottleTimeMs)
	}
	w.nodeEndpointsTag(resp.NodeEndpoints, h.Version >= 10)
	patchFrameSize(w.out[start:], 0)
	return w.out
}

func (w *writer) producePartition(p *ProducePartitionResponse) {
	w.int32(p.Index)
	w.int16(int16(p.ErrorCode))
	w.int64(p.BaseOffset)
	if w.version >= 2 {
		w.int64(p.LogAppendTimeMs)
	}
	if w.version >= 5 {
		w.int64(p.LogStartOffset)
	}
	if w.version >= 8 {
		w.arrayLen(len(p.RecordErrors))
		for _, e := range p.RecordErrors {
			w.int32(e.BatchIndex)
			w.nullableString(e.Message, e.Message != "")
			w.noTags()
		}
		w.nullableString(p.ErrorMessage, p.ErrorMessage != "")
	}
	if w.version >= 10 && p.CurrentLeader != nil {
		w.uvarint(1)
		w.leaderTag(0, p.CurrentLeader)
	} else {
		w.noTags()
	}
}
