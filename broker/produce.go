package broker

import (
	"encoding/binary"
	"errors"

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

// produceCall is one Produce request on its way through the connection's reader. Its memory is reused.
type produceCall struct {
	header     protocol.RequestHeader
	req        protocol.ProduceRequest
	resp       protocol.ProduceResponse
	partitions []protocol.ProducePartitionResponse // backs resp.Topics[i].Partitions
	waits      []commitWait
	silent     bool // it is never answered (errSilent)
}

// decode reads the request that has the header, prepares its answer, and returns the number of its batches.
func (q *produceCall) decode(header protocol.RequestHeader, body []byte) (batches int, err error) {
	q.header, q.silent = header, false
	if err := q.req.Decode(header.Version, body); err != nil {
		return 0, err
	}
	q.req.Topics = mergeProduce(q.req.Topics)
	q.resp.Topics, q.resp.NodeEndpoints, q.waits = q.resp.Topics[:0], nil, q.waits[:0]
	total := 0
	for i := range q.req.Topics {
		total += len(q.req.Topics[i].Partitions)
	}
	if cap(q.partitions) < total {
		q.partitions = make([]protocol.ProducePartitionResponse, total)
	}
	all, next := q.refuseAll(), q.partitions[:total]
	for i := range q.req.Topics {
		t := &q.req.Topics[i]
		n := len(t.Partitions)
		answers := next[:n:n]
		next = next[n:]
		q.resp.Topics = append(q.resp.Topics, protocol.ProduceTopicResponse{Name: t.Name, Partitions: answers})
		for j := range t.Partitions {
			q.silent = q.silent || t.Partitions[j].Records == nil
			answers[j] = protocol.ProducePartitionResponse{
				Index: t.Partitions[j].Index, BaseOffset: -1, LogAppendTimeMs: -1, LogStartOffset: -1, ErrorCode: all,
			}
		}
	}
	return total, nil
}

// forget lets go of the request and its answer, and keeps the memory.
func (q *produceCall) forget() {
	q.req.Reset()
	clear(q.resp.Topics)
	clear(q.partitions)
	clear(q.waits)
	*q = produceCall{req: q.req, resp: protocol.ProduceResponse{Topics: q.resp.Topics[:0]}, partitions: q.partitions, waits: q.waits[:0]}
}

// failed reports whether any partition was refused.
func (q *produceCall) failed() bool {
	for i := range q.resp.Topics {
		for j := range q.resp.Topics[i].Partitions {
			if q.resp.Topics[i].Partitions[j].ErrorCode != protocol.None {
				return true
			}
		}
	}
	return false
}

// serveProduce serves a request and those behind it that take the same way (produce_run.go).
func (c *conn) serveProduce(body []byte) error {
	run := &c.produce
	err := c.gatherProduce(run, body)
	c.appendProduce(run)
	for i := range run.calls[:run.n] {
		if err := c.answerProduce(&run.calls[i]); err != nil {
			return err
		}
	}
	return err
}

// answerProduce answers a request whose batches are appended, or has it answered when they are committed.
func (c *conn) answerProduce(q *produceCall) error {
	switch {
	case q.silent:
		return errSilent
	case q.req.Acks == 0 && q.failed():
		return errClose // the only way to tell a producer that wants no answers
	case q.req.Acks == 0:
		return nil
	case len(q.waits) > 0:
		if c.expected.Load() > 0 {
			c.expected.Add(-1)
		}
		return c.enqueue(pending{late: c.deferProduce(q)})
	case !c.writing.Load():
		c.out.grab()
		c.out.buf = protocol.AppendProduceResponse(c.out.buf, q.header, &q.resp)
		return nil
	}
	return c.enqueue(pending{ready: protocol.AppendProduceResponse(nil, q.header, &q.resp)})
}

// refuseAll is the code that all partitions are answered with, None when each is looked at.
func (q *produceCall) refuseAll() protocol.ErrorCode {
	if !q.req.HasTransactionalID {
		for i := range q.req.Topics {
			for j := range q.req.Topics[i].Partitions {
				if transactional(q.req.Topics[i].Partitions[j].Records) {
					return protocol.TransactionalIDAuthorizationError
				}
			}
		}
	}
	if q.req.Acks < -1 || q.req.Acks > 1 {
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

// admit finds the partition that a batch goes to; nil when the batch is refused before any log is asked.
func (c *conn) admit(q *produceCall, topic, index int) *replication.Partition {
	t := &q.req.Topics[topic]
	a := &q.resp.Topics[topic].Partitions[index]
	p, code := c.b.partition(protocol.TopicPartition{Topic: t.Name, Partition: a.Index})
	if code == protocol.None || code == protocol.NotLeaderOrFollower {
		if refused := refuseBatch(q, t.Name, t.Partitions[index].Records, a); refused != protocol.None {
			code = refused
		}
	}
	if code == protocol.None {
		return p
	}
	c.refused(q, topic, a, code)
	return nil
}

// refused answers one partition with an error, and with who leads it where that is the error.
func (c *conn) refused(q *produceCall, topic int, a *protocol.ProducePartitionResponse, code protocol.ErrorCode) {
	a.ErrorCode = code
	if code == protocol.NotLeaderOrFollower && q.header.Version >= 10 {
		tp := protocol.TopicPartition{Topic: q.req.Topics[topic].Name, Partition: a.Index}
		a.CurrentLeader, q.resp.NodeEndpoints = c.b.currentLeader(tp, c.ln.name, q.resp.NodeEndpoints)
	}
}

// settle fills in the answer to a batch that the log has taken or refused.
func (c *conn) settle(q *produceCall, topic, index int, p *replication.Partition, r *storage.Append) {
	a := &q.resp.Topics[topic].Partitions[index]
	if r.Err != nil {
		appendFailed(p, a, r.Err)
		c.refused(q, topic, a, a.ErrorCode)
		return
	}
	a.BaseOffset, a.LogAppendTimeMs, a.LogStartOffset = r.BaseOffset, r.LogAppendTimeMs, r.LogStartOffset
	if q.req.Acks == -1 && !p.Committed(r.LastOffset) {
		q.waits = append(q.waits, commitWait{topic: topic, index: index, p: p, lastOffset: r.LastOffset, leaderEpoch: r.LeaderEpoch})
	}
}

// refuseBatch looks at what is refused before any log is asked: internal topics, a record set that is not one batch of magic 2, zstd before version 7
// (KIP-110), codecs that do not exist, transactions.
func refuseBatch(q *produceCall, topic string, records []byte, a *protocol.ProducePartitionResponse) protocol.ErrorCode {
	if isInternalTopic(topic) && q.header.ClientID != adminClientID {
		return protocol.InvalidTopicException
	}
	batch, err := storage.SingleBatch(records)
	if err != nil {
		a.ErrorMessage = messageOf(err)
		return errorCode(err)
	}
	switch codec := batch.Codec(); {
	case codec > record.Zstd && q.header.Version < 7:
		return protocol.UnknownServerError // later versions look at the codec only in the log, which refuses it
	case codec == record.Zstd && q.header.Version < 7:
		return protocol.UnsupportedCompressionType
	case batch.Transactional() && q.header.Version >= 11:
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
func appendFailed(p *replication.Partition, a *protocol.ProducePartitionResponse, err error) {
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
