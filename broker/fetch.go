package broker

import (
	"net"
	"strings"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/replication"
	"gregor/storage"
)

// Fetch 4–17, with sessions (KIP-227), long poll, topic ids (KIP-516) and leader epoch fencing (KIP-320). Record bytes go from the segment's file to the
// socket with sendfile.
//
// Versions 0–3 would need batches converted to message formats 0 and 1: a partition that has records to send answers UNSUPPORTED_VERSION with null
// records, as a topic with message.downconversion.enable=false does; an empty one is answered.

const (
	consumerReplicaID  = -1
	debuggingReplicaID = -2

	readUncommitted = 0
	readCommitted   = 1
)

// fetchState is what a connection reuses from one fetch request to the next.
type fetchState struct{ req protocol.FetchRequest }

// fetchOp is one fetch on its way: what is asked, and what was found so far. Pooled.
type fetchOp struct {
	b        *Broker
	c        *conn
	header   protocol.RequestHeader
	replica  int32
	iso      int8
	minBytes int
	maxBytes int
	deadline time.Time
	session  *fetchSession // nil: sessionless
	failed   bool          // the isolation level does not exist: Apache Kafka fails on it, in versions 7–12 for the request and each partition
	full     bool          // every partition is in the answer, also an unchanged one
	looked   bool          // collect has run: what followers' fetches say is recorded
	missed   bool          // the reader has looked and found too little
	listener string
	rack     string // of a consumer, "" when it does not tell (KIP-392)
	parts    []fetchPart
	read     replication.Read
	follower replication.FollowerFetch // of a replica >= 0: of the partition that is being read
	wakes    replication.Wakes         // whom its positions wake, together
	limited  bool                      // of a replica >= 0: the leader's quota counts at all (KIP-73), as of now
	now      time.Time                 // of the last look, if limited

	endpoints []protocol.NodeEndpoint // of the leaders that the answer names
}

// fetchPart is one partition of a fetch.
type fetchPart struct {
	tp      protocol.TopicPartition
	id      protocol.TopicID
	q       protocol.FetchPartition
	cached  *cachedPartition // its place in the session
	p       *replication.Partition
	watched *replication.Partition // whom the parked fetch watches

	resp  protocol.FetchPartitionResponse
	slice storage.FileSlice
	null  bool // records are null instead of empty
}

var fetchOps = sync.Pool{New: func() any { return new(fetchOp) }}

func (op *fetchOp) release() {
	op.dropRecords()
	clear(op.parts)
	*op = fetchOp{parts: op.parts[:0], wakes: op.wakes}
	if cap(op.parts) <= 4096 {
		fetchOps.Put(op)
	}
}

// dropRecords gives back the slices of what was found.
func (op *fetchOp) dropRecords() {
	for i := range op.parts {
		if s := &op.parts[i].slice; s.Size > 0 {
			s.Release()
			*s = storage.FileSlice{}
		}
	}
}

func (c *conn) serveFetch(body []byte) error {
	req := &c.fetch.req
	h := c.rq.header
	if err := req.Decode(h.Version, body); err != nil {
		return err
	}
	op := fetchOps.Get().(*fetchOp)
	op.b, op.c, op.header, op.replica, op.iso, op.listener = c.b, c, h, req.ReplicaID, req.Isolation, c.ln.name
	op.rack = req.RackID
	op.follower.ID, op.follower.BrokerEpoch, op.follower.Wakes = req.ReplicaID, req.ReplicaEpoch, &op.wakes
	limit := int(c.b.fetchMaxBytes)
	op.maxBytes, op.minBytes = min(int(req.MaxBytes), limit), min(int(req.MinBytes), limit)
	code, sessionID := c.b.sessions.begin(op, req)
	if code == protocol.None && !op.knownIsolation() {
		op.failed, op.session = true, nil
		if h.Version >= 13 {
			code, sessionID = protocol.UnknownServerError, req.SessionID
		}
	}
	if code != protocol.None {
		op.release()
		return c.answer(func(o *output) error {
			o.grab()
			start := len(o.buf)
			o.buf = protocol.AppendFetchResponseHeader(o.buf, h, 0, code, sessionID, 0)
			o.buf = protocol.AppendFetchResponseEnd(o.buf, h.Version, nil)
			protocol.PatchFetchFrameSize(o.buf[start:], 0)
			return nil
		})
	}
	if c.writing.Load() {
		// Requests before this one are not answered yet; what this one sees must not be older than what they saw.
		op.keep()
		op.deadline = time.Now().Add(time.Duration(req.MaxWaitMs) * time.Millisecond)
		return c.enqueue(pending{late: op})
	}
	if op.collect() || req.MaxWaitMs <= 0 || len(op.parts) == 0 {
		c.out.grab()
		err := op.encode(&c.out)
		op.release()
		return err
	}
	op.dropRecords()
	op.keep()
	op.missed = true
	op.deadline = time.Now().Add(time.Duration(req.MaxWaitMs) * time.Millisecond)
	if op.replica >= 0 && c.r == c.w {
		return c.waitHere(op)
	}
	return c.enqueue(pending{late: op})
}

// waitHere answers a follower's fetch in the reader itself, without a writer: a follower sends nothing while it waits for an answer, and on the way of an acks=all record a hand-over less counts. That the follower has
// gone away is noticed when the time of the fetch is up.
func (c *conn) waitHere(op *fetchOp) error {
	c.deliverWakes()
	if err := c.flushIdle(); err != nil {
		op.release()
		return err
	}
	// Nothing of the frame is needed any more.
	c.b.memory.release(c.charged)
	c.charged = 0
	c.in.release()
	c.in, c.r, c.w = nil, 0, 0
	if err := op.finish(&c.out); err != nil {
		if c.ctx.Err() != nil {
			return net.ErrClosed
		}
		return err
	}
	return nil
}

// keep makes the operation independent of the frame it came in.
func (op *fetchOp) keep() {
	op.rack = strings.Clone(op.rack)
	for i := range op.parts {
		part := &op.parts[i]
		switch {
		case part.p != nil:
			part.tp = part.p.TopicPartition()
		case part.cached != nil && part.cached.key.name != "":
			part.tp.Topic = part.cached.key.name
		default:
			part.tp.Topic = strings.Clone(part.tp.Topic)
		}
	}
}

// due is false: what there is to read is found out when the answer's turn comes.
func (op *fetchOp) due() bool { return false }

// finish waits until enough bytes are there, something went wrong, or the time is up, and answers.
func (op *fetchOp) finish(o *output) error {
	defer op.release()
	if op.missed || !op.collect() && time.Now().Before(op.deadline) && len(op.parts) > 0 {
		if err := op.wait(); err != nil {
			return err
		}
	}
	o.grab()
	return op.encode(o)
}

// wait parks until collect is satisfied or the deadline has passed. A collect that was not has come before.
func (op *fetchOp) wait() error {
	c := op.c
	if c.waiter == nil {
		c.waiter = replication.NewWaiter()
	}
	w := c.waiter
	defer op.unwatch(w)
	for {
		op.dropRecords()
		if !op.rewatch(w) {
			if !w.Wait(c.ctx, op.deadline) {
				op.collect()
				return c.ctx.Err()
			}
		}
		// What was appended before w watched has woken nobody: so look again, too, after it began to.
		if op.collect() {
			return nil
		}
	}
}

// rewatch makes w watch the replicas that the last collect found, and reports whether any of them is new: a topic may be deleted and made anew
// while the fetch waits.
func (op *fetchOp) rewatch(w *replication.Waiter) (changed bool) {
	for i := range op.parts {
		part := &op.parts[i]
		if part.p == part.watched {
			continue
		}
		if part.watched != nil {
			part.watched.Unwatch(w)
		}
		part.p.Watch(w, op.isolation())
		part.watched, changed = part.p, true
	}
	return changed
}

func (op *fetchOp) unwatch(w *replication.Waiter) {
	for i := range op.parts {
		if p := op.parts[i].watched; p != nil {
			p.Unwatch(w)
		}
	}
}

// collect reads all partitions within the byte limits and reports whether the answer is due: enough bytes, an error, a log to truncate, or a client to send elsewhere.
func (op *fetchOp) collect() bool {
	op.dropRecords()
	op.askQuota()
	left, minOne := op.maxBytes, op.header.Version >= 3
	total, due := 0, false
	for i := range op.parts {
		part := &op.parts[i]
		code := op.readPart(part, min(int(part.q.MaxBytes), left), minOne)
		if code != protocol.None {
			part.resp.ErrorCode = code
			op.tellLeader(part)
		}
		due = due || code != protocol.None || part.resp.DivergingEpoch != nil || part.resp.PreferredReadReplica >= 0
		n := part.slice.Size
		if n > 0 {
			minOne = false
			total += n
		}
		left = max(0, left-n)
	}
	op.looked = true
	op.wakes.Deliver()
	return due || total >= op.minBytes
}

// readPart reads one partition into its answer, all but the error code, which it returns.
func (op *fetchOp) readPart(part *fetchPart, maxBytes int, minOne bool) protocol.ErrorCode {
	part.resp = protocol.FetchPartitionResponse{Partition: part.tp.Partition, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1}
	part.null = false
	if code := op.locate(part); code != protocol.None {
		return code
	}
	switch {
	case op.failed:
		part.null = true
		return protocol.UnknownServerError
	case maxBytes < 0:
		return protocol.UnknownServerError // as Apache Kafka, which fails on it
	case op.header.Version < 10 && part.p.Log().Config().CompressionType == "zstd":
		part.null = true
		return protocol.UnsupportedCompressionType // KIP-110
	}
	if preferred := op.preferredReadReplica(part); preferred >= 0 {
		return op.sendElsewhere(part, preferred)
	}
	ask := replication.Ask{
		Offset: part.q.FetchOffset, CurrentLeaderEpoch: max(part.q.CurrentLeaderEpoch, -1), LastFetchedEpoch: max(part.q.LastFetchedEpoch, -1),
		Isolation: op.isolation(), MaxBytes: maxBytes, MinOneBatch: minOne, AnyReplica: op.anyReplica(),
	}
	if op.throttle(part) {
		ask.MaxBytes, ask.MinOneBatch = 0, false
	}
	if op.replica >= 0 {
		op.follower.LogStartOffset, op.follower.Recorded = part.q.LogStartOffset, op.looked
		ask.Follower = &op.follower
	}
	if err := part.p.Read(ask, &op.read); err != nil {
		return errorCode(err)
	}
	if op.read.Diverging {
		part.resp.DivergingEpoch = &protocol.EpochEndOffset{Epoch: op.read.DivergingEpoch, EndOffset: op.read.DivergingEnd}
	} else {
		part.slice = op.read.Result.Slice
		op.read.Result.Slice = storage.FileSlice{}
	}
	if part.slice.Size > 0 && (op.header.Version < 4 || op.read.Result.FirstBatchIncomplete) {
		// Half a batch is of no use to anyone: the next fetch has room for it. Before version 4 it would have to be converted.
		part.slice.Release()
		part.slice = storage.FileSlice{}
		if op.header.Version < 4 {
			part.null = true
			return protocol.UnsupportedVersion
		}
	}
	part.resp.HighWatermark, part.resp.LastStableOffset, part.resp.LogStartOffset = op.read.HighWatermark, op.read.LastStableOffset, op.read.LogStartOffset
	if op.iso == readCommitted && op.replica < 0 {
		part.resp.AbortedTransactions = op.abortedTransactions(part)
	}
	return protocol.None
}

func (op *fetchOp) knownIsolation() bool { return op.iso == readUncommitted || op.iso == readCommitted }

// tellLeader tells a client of version 16 or later that asked the wrong broker who leads (KIP-951).
func (op *fetchOp) tellLeader(part *fetchPart) {
	if op.header.Version < 16 || part.resp.ErrorCode != protocol.NotLeaderOrFollower && part.resp.ErrorCode != protocol.FencedLeaderEpoch {
		return
	}
	part.resp.CurrentLeader, op.endpoints = op.b.currentLeader(part.tp, op.listener, op.endpoints)
}

// locate finds the replica, by id where the client speaks in ids, and refuses a topic that was made anew under its name.
func (op *fetchOp) locate(part *fetchPart) protocol.ErrorCode {
	byID := op.header.Version >= 13
	if byID && part.tp.Topic == "" {
		name, ok := op.b.metadata.TopicName(part.id)
		if !ok {
			return protocol.UnknownTopicID
		}
		part.tp.Topic = name
	}
	var code protocol.ErrorCode
	if part.p, code = op.b.partition(part.tp); code != protocol.None {
		return code
	}
	if known := part.p.TopicID(); byID && !known.IsZero() && known != part.id {
		return protocol.InconsistentTopicID
	}
	return protocol.None
}

func (op *fetchOp) isolation() replication.Isolation {
	switch {
	case op.replica != consumerReplicaID:
		return replication.LogEnd
	case op.iso == readCommitted:
		return replication.LastStableOffset
	}
	return replication.HighWatermark
}

// abortedTransactions lists what a read_committed consumer has to skip in the records it gets; never nil.
func (op *fetchOp) abortedTransactions(part *fetchPart) []protocol.AbortedTransaction {
	list := []protocol.AbortedTransaction{}
	if part.slice.Size == 0 {
		return list
	}
	for _, a := range part.p.Log().AbortedTxns(part.q.FetchOffset, part.resp.LastStableOffset) {
		list = append(list, protocol.AbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	return list
}

// encode appends the answer. Slices move into o.
func (op *fetchOp) encode(o *output) error {
	version := op.header.Version
	sessionID := op.b.sessions.finish(op)
	topics := 0
	for i := range op.parts {
		if op.startsTopic(i) {
			topics++
		}
	}
	start, splicedBefore := len(o.buf), o.spliced
	code := protocol.None
	if op.failed {
		code = protocol.UnknownServerError
	}
	o.buf = protocol.AppendFetchResponseHeader(o.buf, op.header, 0, code, sessionID, topics)
	for i := range op.parts {
		part := &op.parts[i]
		if op.startsTopic(i) {
			o.buf = protocol.AppendFetchTopic(o.buf, version, part.tp.Topic, part.id, op.topicRun(i))
		}
		size := part.slice.Size
		if part.null {
			size = -1
		}
		o.buf = protocol.AppendFetchPartition(o.buf, version, &part.resp, size)
		op.countThrottled(part, size)
		if size > 0 {
			s := part.slice
			part.slice = storage.FileSlice{}
			if err := o.appendSlice(s); err != nil {
				return err
			}
		}
		o.buf = protocol.AppendFetchPartitionEnd(o.buf, version, &part.resp)
		if i+1 == len(op.parts) || op.startsTopic(i+1) {
			o.buf = protocol.AppendFetchTopicEnd(o.buf, version)
		}
	}
	o.buf = protocol.AppendFetchResponseEnd(o.buf, version, op.endpoints)
	protocol.PatchFetchFrameSize(o.buf[start:], o.spliced-splicedBefore)
	if o.pending() > bufferClasses[1] {
		return o.flush()
	}
	return nil
}

// startsTopic reports whether part i begins a topic of the answer: neighbours of one topic share an entry.
func (op *fetchOp) startsTopic(i int) bool {
	if i == 0 {
		return true
	}
	a, b := &op.parts[i-1], &op.parts[i]
	return a.tp.Topic != b.tp.Topic || a.id != b.id
}

// topicRun is the number of parts from i on that share its topic.
func (op *fetchOp) topicRun(i int) int {
	n := 1
	for i+n < len(op.parts) && !op.startsTopic(i+n) {
		n++
	}
	return n
}
