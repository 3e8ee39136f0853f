package broker

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/replication"
	"gregor/storage"
)

// Produce 3–11. The append runs in the connection's reader, straight from the bytes of the frame; with acks=-1 the answer waits in the
// connection's writer until the high watermark passes, while further requests are already appended.
//
// Versions 0–2, which carry message formats 0 and 1, are refused with UNSUPPORTED_VERSION per partition (produce_old.go). Transactional batches are refused as those of a partition
// that was not added to its transaction, because there are no transactions yet.

const (
	keyProduce     = 0
	keyFetch       = 1
	keyApiVersions = 18
)

// adminClientID is the client id that may write to internal topics.
const adminClientID = "__admin_client"

// produceState is what a connection reuses from one produce request to the next.
type produceState struct {
	req        protocol.ProduceRequest
	resp       protocol.ProduceResponse
	partitions []protocol.ProducePartitionResponse // backs resp.Topics[i].Partitions
	waits      []commitWait
	result     storage.AppendResult
}

// commitWait is an append that is answered when it is committed.
type commitWait struct {
	topic, index int // place in resp
	p            *replication.Partition
	lastOffset   int64
	leaderEpoch  int32
}

func (c *conn) serveProduce(body []byte) error {
	s := &c.produce
	if err := s.req.Decode(c.rq.header.Version, body); err != nil {
		return err
	}
	s.req.Topics = mergeProduce(s.req.Topics)
	failed, err := c.appendAll(s)
	if err != nil {
		return err
	}
	switch {
	case s.req.Acks == 0 && failed:
		return errClose // the only way to tell a producer that wants no answers
	case s.req.Acks == 0:
		return nil
	case len(s.waits) > 0:
		return c.enqueue(pending{finish: c.deferProduce(s)})
	case !c.writing.Load():
		c.out.grab()
		c.out.buf = protocol.AppendProduceResponse(c.out.buf, c.rq.header, &s.resp)
		return nil
	}
	return c.enqueue(pending{ready: protocol.AppendProduceResponse(nil, c.rq.header, &s.resp)})
}

// appendAll appends every partition's batch and fills in the response; failed says whether any was refused.
func (c *conn) appendAll(s *produceState) (failed bool, err error) {
	s.resp.Topics, s.resp.NodeEndpoints, s.waits = s.resp.Topics[:0], nil, s.waits[:0]
	total := 0
	for i := range s.req.Topics {
		total += len(s.req.Topics[i].Partitions)
	}
	if cap(s.partitions) < total {
		s.partitions = make([]protocol.ProducePartitionResponse, total)
	}
	all := c.refuseAll(s)
	next := s.partitions[:total]
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		n := len(t.Partitions)
		answers := next[:n:n]
		next = next[n:]
		s.resp.Topics = append(s.resp.Topics, protocol.ProduceTopicResponse{Name: t.Name, Partitions: answers})
		for j := range t.Partitions {
			q, a := &t.Partitions[j], &answers[j]
			*a = protocol.ProducePartitionResponse{Index: q.Index, BaseOffset: -1, LogAppendTimeMs: -1, LogStartOffset: -1, ErrorCode: all}
			if q.Records == nil {
				return true, errSilent
			}
			if all == protocol.None {
				c.appendOne(s, i, j, q.Records)
			}
			failed = failed || a.ErrorCode != protocol.None
		}
	}
	return failed, nil
}

// refuseAll is the code that all partitions are answered with, None when each is looked at.
func (c *conn) refuseAll(s *produceState) protocol.ErrorCode {
	if !s.req.HasTransactionalID {
		for i := range s.req.Topics {
			for j := range s.req.Topics[i].Partitions {
				if transactional(s.req.Topics[i].Partitions[j].Records) {
					return protocol.TransactionalIDAuthorizationError
				}
			}
		}
	}
	if s.req.Acks < -1 || s.req.Acks > 1 {
		return protocol.InvalidRequiredAcks
	}
	return protocol.None
}

// Offsets in a batch that are looked at before it is validated.
const (
	magicOffset      = 16
	attributesOffset = 21
)

// transactional reports whether a record set begins with a transactional batch.
func transactional(records []byte) bool {
	return len(records) >= record.BatchOverhead && records[magicOffset] == 2 && binary.BigEndian.Uint16(records[attributesOffset:])&0x10 != 0
}

// appendOne appends to one partition and fills in its answer.
func (c *conn) appendOne(s *produceState, topic, index int, records []byte) {
	t := &s.req.Topics[topic]
	a := &s.resp.Topics[topic].Partitions[index]
	tp := protocol.TopicPartition{Topic: t.Name, Partition: a.Index}
	p, code := c.b.partition(tp)
	if code == protocol.None || code == protocol.NotLeaderOrFollower {
		if refused := c.refuse(t.Name, records, a); refused != protocol.None {
			code = refused
		}
	}
	if code == protocol.None {
		if err := p.Append(records, s.req.Acks, storage.FromClient, &s.result); err != nil {
			c.appendFailed(p, a, err)
			code = a.ErrorCode
		}
	}
	if code != protocol.None {
		a.ErrorCode = code
		if code == protocol.NotLeaderOrFollower && c.rq.header.Version >= 10 {
			a.CurrentLeader, s.resp.NodeEndpoints = c.b.currentLeader(tp, c.ln.name, s.resp.NodeEndpoints)
		}
		return
	}
	a.BaseOffset, a.LogAppendTimeMs, a.LogStartOffset = s.result.BaseOffset, s.result.LogAppendTimeMs, s.result.LogStartOffset
	if s.req.Acks == -1 && !p.Committed(s.result.LastOffset) {
		s.waits = append(s.waits, commitWait{topic: topic, index: index, p: p, lastOffset: s.result.LastOffset, leaderEpoch: p.LeaderEpoch()})
	}
}

// refuse looks at what is refused before any log is asked: internal topics, a record set that is not one batch of magic 2, zstd before version 7
// (KIP-110), codecs that do not exist, transactions.
func (c *conn) refuse(topic string, records []byte, a *protocol.ProducePartitionResponse) protocol.ErrorCode {
	if isInternalTopic(topic) && c.rq.header.ClientID != adminClientID {
		return protocol.InvalidTopicException
	}
	batch, err := storage.SingleBatch(records)
	if err != nil {
		a.ErrorMessage = messageOf(err)
		return errorCode(err)
	}
	switch codec := batch.Codec(); {
	case codec > record.Zstd && c.rq.header.Version < 7:
		return protocol.UnknownServerError // later versions look at the codec only in the log, which refuses it
	case codec == record.Zstd && c.rq.header.Version < 7:
		return protocol.UnsupportedCompressionType
	case batch.Transactional() && c.rq.header.Version >= 11:
		a.ErrorMessage = notInTransaction
		return protocol.TransactionAbortable
	case batch.Transactional():
		a.ErrorMessage = notInTransaction
		return protocol.InvalidTxnState
	}
	return protocol.None
}

const notInTransaction = "the partition was not added to the transaction"

// messageOf is what the client is told beside the code; "" is null.
func messageOf(err error) string {
	var invalid *record.ValidationError
	if errors.As(err, &invalid) {
		return invalid.Message
	}
	return ""
}

// mergeProduce brings topics into the form they are answered in: each once, none without partitions, and of a partition that is named twice only the last
// record set. Nearly every request is in that form already.
func mergeProduce(topics []protocol.ProduceTopic) []protocol.ProduceTopic {
	if len(topics) == 1 && len(topics[0].Partitions) == 1 {
		return topics
	}
	if tidyProduce(topics) {
		return topics
	}
	type place struct {
		topic     string
		partition int32
	}
	last := make(map[place]int) // the partition's last position in the request, all topics counted through
	n := 0
	for _, t := range topics {
		for _, p := range t.Partitions {
			last[place{t.Name, p.Index}] = n
			n++
		}
	}
	var merged []protocol.ProduceTopic
	at := make(map[string]int)
	n = 0
	for _, t := range topics {
		for _, p := range t.Partitions {
			if last[place{t.Name, p.Index}] == n {
				i, ok := at[t.Name]
				if !ok {
					i = len(merged)
					at[t.Name] = i
					merged = append(merged, protocol.ProduceTopic{Name: t.Name})
				}
				merged[i].Partitions = append(merged[i].Partitions, p)
			}
			n++
		}
	}
	return merged
}

// tidyProduce reports whether no topic and no partition comes twice and no topic is empty. It may say no of a tidy
// request, which then is only merged for nothing: one whose partitions do not ascend, or with very many topics.
func tidyProduce(topics []protocol.ProduceTopic) bool {
	for i := range topics {
		parts := topics[i].Partitions
		if len(parts) == 0 {
			return false
		}
		for j := 1; j < len(parts); j++ {
			if parts[j-1].Index >= parts[j].Index {
				return false
			}
		}
		for j := range topics[:i] {
			if len(topics) > 64 || topics[j].Name == topics[i].Name {
				return false
			}
		}
	}
	return true
}

// appendFailed fills in the answer to a refused batch. As in Apache Kafka the log start offset stands only beside errors that the log found in the batch itself.
func (c *conn) appendFailed(p *replication.Partition, a *protocol.ProducePartitionResponse, err error) {
	a.ErrorCode = errorCode(err)
	var invalid *record.ValidationError
	if errors.As(err, &invalid) {
		a.ErrorMessage = invalid.Message
		for _, r := range invalid.Records {
			a.RecordErrors = append(a.RecordErrors, protocol.BatchIndexAndErrorMsg{BatchIndex: r.BatchIndex, Message: r.Message})
		}
	}
	switch a.ErrorCode {
	case protocol.UnknownTopicOrPartition, protocol.NotLeaderOrFollower, protocol.MessageTooLarge, protocol.RecordListTooLarge, protocol.CorruptMessage, protocol.KafkaStorageError:
	default:
		a.LogStartOffset = p.Log().LogStartOffset()
	}
}

// deferProduce moves a response out of the connection's reused memory, which the next request needs, and returns how it is finished.
func (c *conn) deferProduce(s *produceState) func(o *output) error {
	h := c.rq.header
	resp := protocol.ProduceResponse{NodeEndpoints: s.resp.NodeEndpoints, Topics: make([]protocol.ProduceTopicResponse, len(s.resp.Topics))}
	for i, t := range s.resp.Topics {
		resp.Topics[i] = protocol.ProduceTopicResponse{Name: strings.Clone(t.Name), Partitions: append([]protocol.ProducePartitionResponse(nil), t.Partitions...)}
	}
	waits := append([]commitWait(nil), s.waits...)
	deadline := time.Now().Add(time.Duration(s.req.TimeoutMs) * time.Millisecond)
	return func(o *output) error {
		for _, w := range waits {
			code := w.p.WaitCommitted(c.ctx, w.lastOffset, w.leaderEpoch, time.Until(deadline))
			resp.Topics[w.topic].Partitions[w.index].ErrorCode = code
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		o.grab()
		o.buf = protocol.AppendProduceResponse(o.buf, h, &resp)
		return nil
	}
}
