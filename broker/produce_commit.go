package broker

import (
	"strings"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/replication"
)

// commitWait is an append that is answered when it is committed.
type commitWait struct {
	topic, index int // place in resp
	p            *replication.Partition
	lastOffset   int64
	leaderEpoch  int32
}

// uncommitted is the answer to a Produce request with acks=-1 whose records are not committed yet. Pooled.
type uncommitted struct {
	c          *conn
	header     protocol.RequestHeader
	resp       protocol.ProduceResponse
	partitions []protocol.ProducePartitionResponse // backs resp.Topics[i].Partitions
	waits      []commitWait
	deadline   time.Time
}

var uncommittedAnswers = sync.Pool{New: func() any { return new(uncommitted) }}

// deferProduce moves an answer out of the reader's memory, which the next request needs.
func (c *conn) deferProduce(q *produceCall) *uncommitted {
	u := uncommittedAnswers.Get().(*uncommitted)
	u.c, u.header = c, q.header
	u.deadline = time.Now().Add(time.Duration(q.req.TimeoutMs) * time.Millisecond)
	u.waits = append(u.waits[:0], q.waits...)
	u.partitions = u.partitions[:0]
	for _, t := range q.resp.Topics {
		u.partitions = append(u.partitions, t.Partitions...)
	}
	u.resp.NodeEndpoints, u.resp.Topics = q.resp.NodeEndpoints, u.resp.Topics[:0]
	rest := u.partitions
	for i, t := range q.resp.Topics {
		n := len(t.Partitions)
		u.resp.Topics = append(u.resp.Topics, protocol.ProduceTopicResponse{Name: u.topicName(i, t.Name), Partitions: rest[:n:n]})
		rest = rest[n:]
	}
	return u
}

// topicName returns a name that outlives the request's frame.
func (u *uncommitted) topicName(topic int, inFrame string) string {
	for i := range u.waits {
		if u.waits[i].topic == topic {
			return u.waits[i].p.TopicPartition().Topic
		}
	}
	return strings.Clone(inFrame)
}

// due reports whether everything is committed, or never will be.
func (u *uncommitted) due() bool {
	for i := range u.waits {
		w := &u.waits[i]
		if _, done := w.p.CommitStatus(w.lastOffset, w.leaderEpoch); !done {
			return false
		}
	}
	return true
}

// finish waits for the commit of each append in turn.
func (u *uncommitted) finish(o *output) error {
	defer u.release()
	c := u.c
	if c.waiter == nil {
		c.waiter = replication.NewWaiter()
	}
	for i := range u.waits {
		w := &u.waits[i]
		u.resp.Topics[w.topic].Partitions[w.index].ErrorCode = w.p.WaitCommitted(c.ctx, c.waiter, w.lastOffset, w.leaderEpoch, u.deadline)
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	o.grab()
	o.buf = protocol.AppendProduceResponse(o.buf, u.header, &u.resp)
	c.expected.Add(1)
	return nil
}

func (u *uncommitted) release() {
	clear(u.resp.Topics)
	clear(u.partitions)
	clear(u.waits)
	*u = uncommitted{resp: protocol.ProduceResponse{Topics: u.resp.Topics[:0]}, partitions: u.partitions[:0], waits: u.waits[:0]}
	if cap(u.partitions) <= maxRunTotal {
		uncommittedAnswers.Put(u)
	}
}
