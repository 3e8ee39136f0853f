package broker

import (
	"encoding/binary"
	"fmt"

	"gregor/protocol"
	"gregor/replication"
	"gregor/storage"
)

// Produce requests that lie in the connection's buffer one behind the other are a run: they are appended together and answered one by one. Batches that go to one
// partition then cost one lock, one write and one wake of those who wait for it, whatever their number. Nothing waits for a run to grow.

// maxRun bounds the requests and, once there are two of them, the batches of a run.
const (
	maxRun      = 64
	maxRunTotal = 256
)

// maxUnwoken is how many runs may be appended before those who wait for the records are woken: a client that never lets the reader wait must not make others wait.
const maxUnwoken = 8

// produceRun is what a connection reuses from one run to the next.
type produceRun struct {
	calls   []produceCall
	n       int // calls of this run
	batches []runBatch
	group   []storage.Append // those of one partition
	members []int            // their indexes in batches
}

// runBatch is one batch of a run and the place of its answer.
type runBatch struct {
	call, topic, index int
	p                  *replication.Partition
	appended           bool
}

// keptCalls is how many calls the memory of a run keeps for the next connection.
const keptCalls = 4

// forget lets go of everything that belongs to the requests of past runs: their frames lie in buffers that others have by now.
func (run *produceRun) forget() {
	if len(run.calls) > keptCalls {
		run.calls = nil
	}
	for i := range run.calls {
		run.calls[i].forget()
	}
	run.n = 0
}

// gatherProduce decodes the request at hand and those behind it that make a run with it. A run ends behind a request after whose failure nothing may be appended any more: one that
// wants no answer, because the connection closes then, and one that never gets one. The error is that of the request behind the run.
func (c *conn) gatherProduce(run *produceRun, body []byte) error {
	run.n = 0
	for total := 0; ; {
		if run.n == len(run.calls) {
			run.calls = append(run.calls, produceCall{})
		}
		q := &run.calls[run.n]
		n, err := q.decode(c.rq.header, body)
		if err != nil {
			return err
		}
		run.n++
		total += n
		if q.req.Acks == 0 || q.silent || run.n == maxRun || total >= maxRunTotal {
			return nil
		}
		frame := c.nextWhole(isProduce)
		if frame == nil {
			return nil
		}
		h, rest, err := protocol.ParseHeader(frame, &c.rq.header)
		if err != nil {
			return fmt.Errorf("error parsing request header: %w", err)
		}
		c.rq.header, body = h, rest
	}
}

// isProduce reports whether a frame begins like a Produce request that serveProduce takes.
func isProduce(frame []byte) bool {
	return len(frame) >= 4 && binary.BigEndian.Uint16(frame) == keyProduce && int16(binary.BigEndian.Uint16(frame[2:])) >= 3
}

// appendProduce appends the run's batches and fills in the answers.
func (c *conn) appendProduce(run *produceRun) {
	run.batches = run.batches[:0]
	for i := range run.calls[:run.n] {
		c.admitAll(run, i)
	}
	for i := range run.batches {
		if !run.batches[i].appended {
			c.appendGroup(run, i)
		}
	}
	clear(run.batches)
	if c.unwoken++; c.unwoken >= maxUnwoken {
		c.deliverWakes()
	}
}

// deliverWakes wakes the followers and consumers that wait for what the reader appended. It comes before the reader waits for anything, bytes above all: whoever waits finds
// everything that a client sent in one go, and a follower fetches it in one go.
func (c *conn) deliverWakes() {
	c.unwoken = 0
	c.wakes.Deliver()
}

// admitAll takes the batches of a request into the run. As in Kafka, what stands behind a missing record set is not looked at.
func (c *conn) admitAll(run *produceRun, call int) {
	q := &run.calls[call]
	for i := range q.req.Topics {
		for j := range q.req.Topics[i].Partitions {
			if q.req.Topics[i].Partitions[j].Records == nil {
				return
			}
			if q.resp.Topics[i].Partitions[j].ErrorCode != protocol.None {
				continue
			}
			if p := c.admit(q, i, j); p != nil {
				run.batches = append(run.batches, runBatch{call: call, topic: i, index: j, p: p})
			}
		}
	}
}

// appendGroup appends the batch at first together with those behind it that go to the same partition with the same acks. One with other acks ends the group: no batch
// overtakes another one of its partition.
func (c *conn) appendGroup(run *produceRun, first int) {
	run.group, run.members = run.group[:0], run.members[:0]
	head := &run.batches[first]
	acks := run.calls[head.call].req.Acks
	for i := first; i < len(run.batches); i++ {
		b := &run.batches[i]
		if b.p != head.p {
			continue
		}
		q := &run.calls[b.call]
		if q.req.Acks != acks {
			break
		}
		b.appended = true
		run.group = append(run.group, storage.Append{Set: q.req.Topics[b.topic].Partitions[b.index].Records})
		run.members = append(run.members, i)
		if run.n == 1 {
			break // no partition comes twice in one request
		}
	}
	head.p.AppendAll(run.group, acks, storage.FromClient, &c.wakes)
	for k, i := range run.members {
		b := &run.batches[i]
		c.settle(&run.calls[b.call], b.topic, b.index, b.p, &run.group[k])
	}
	clear(run.group)
}
