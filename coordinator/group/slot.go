package group

import (
	"context"
	"errors"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
)

// slot is a group at its place in a shard: its lock, its wake-up call and its queue of writes.
//
// Writes reach the log one batch at a time and in order. Those that come while a batch is under way leave together in the
// next: so a slow log costs a group latency, not throughput.
type slot struct {
	id    string
	shard *shard

	mu struct {
		sync.Mutex
		g       *group
		queue   []*write
		writing bool  // somebody is at work on the queue
		alarm   int64 // when the timers wake this group, never when they do not
	}
}

func newSlot(sh *shard, g *group) *slot {
	s := &slot{id: g.id, shard: sh}
	s.mu.g, s.mu.alarm = g, never
	return s
}

// maxBatchBytes ends the batch of a group's writes. A single write may be larger: the log decides about it.
const maxBatchBytes = 256 << 10

// do lets an event happen to the group and carries out its effects. It returns when the answers that were due are given and
// the first of the group's writes, if it was idle, is done.
func (s *slot) do(c *Coordinator, event func(g *group, now int64, out *effects)) {
	var out effects
	now := c.now()
	s.mu.Lock()
	event(s.mu.g, now, &out)
	write := s.settleLocked(c, now, &out)
	s.mu.Unlock()
	c.deliver(s, &out)
	if write && s.writeBatch(c) {
		// The rest is not this caller's business.
		if !c.spawn(func() { s.writeAll(c) }) {
			s.writeAll(c)
		}
	}
}

// flush waits until everything that was written before is in the log, or could not be.
func (s *slot) flush(ctx context.Context, c *Coordinator) {
	done := newWaiter[protocol.ErrorCode]()
	s.do(c, func(_ *group, _ int64, out *effects) {
		out.writes = append(out.writes, &write{done: func(_ *group, _ int64, _ protocol.ErrorCode, out *effects) {
			out.commit(done, protocol.None)
		}})
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// settleLocked ends an event. It reports whether the caller must now call writeBatch.
func (s *slot) settleLocked(c *Coordinator, now int64, out *effects) (write bool) {
	g := s.mu.g
	g.settle(now, out)
	if g.wake < s.mu.alarm {
		s.mu.alarm = g.wake
		c.timers.set(g.wake, s)
	}
	s.mu.queue = append(s.mu.queue, out.writes...)
	if s.mu.writing || len(s.mu.queue) == 0 {
		return false
	}
	s.mu.writing = true
	return true
}

// deliver gives the answers and writes the log lines of an event, without any lock.
func (c *Coordinator) deliver(s *slot, out *effects) {
	for _, l := range out.logs {
		c.groupLog.Log(context.Background(), l.level, c.groupIdent+l.text)
	}
	for _, r := range out.joins {
		r.to <- r.answer
	}
	for _, r := range out.syncs {
		r.to <- r.answer
	}
	for _, r := range out.commits {
		r.to <- r.code
	}
	if out.removed {
		s.shard.remove(s)
	}
}

// writeAll works on the queue until it is empty.
func (s *slot) writeAll(c *Coordinator) {
	for s.writeBatch(c) {
	}
}

// writeBatch appends the next batch of the queue and tells the group. It reports whether there is more to do; only one
// goroutine at a time may call it, which mu.writing stands for.
func (s *slot) writeBatch(c *Coordinator) (more bool) {
	batch := s.takeBatch()
	codes := s.appendTogether(c, batch)

	var out effects
	now := c.now()
	s.mu.Lock()
	for i, w := range batch {
		w.done(s.mu.g, now, codes[i], &out)
	}
	s.settleLocked(c, now, &out)
	if more = len(s.mu.queue) > 0; !more {
		s.mu.writing = false
	}
	s.mu.Unlock()
	c.deliver(s, &out)
	return more
}

func (s *slot) takeBatch() []*write {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 1, s.mu.queue[0].bytes
	for n < len(s.mu.queue) && size+s.mu.queue[n].bytes <= maxBatchBytes {
		size += s.mu.queue[n].bytes
		n++
	}
	batch := s.mu.queue[:n:n]
	if s.mu.queue = s.mu.queue[n:]; len(s.mu.queue) == 0 {
		s.mu.queue = nil
	}
	return batch
}

// appendTogether appends all writes in one batch of records; when that is too large for the log, each in its own.
func (s *slot) appendTogether(c *Coordinator, batch []*write) []protocol.ErrorCode {
	codes := make([]protocol.ErrorCode, len(batch))
	code := s.append(c, batch...)
	tooLarge := code == protocol.MessageTooLarge || code == protocol.RecordListTooLarge
	for i, w := range batch {
		if codes[i] = code; tooLarge && len(batch) > 1 {
			codes[i] = s.append(c, w)
		}
	}
	return codes
}

// append writes one batch of records and waits until it is committed.
func (s *slot) append(c *Coordinator, writes ...*write) protocol.ErrorCode {
	if !s.shard.beginAppend() {
		return protocol.NotLeaderOrFollower
	}
	defer s.shard.endAppend()
	b := record.NewBuilder(c.config.OffsetsTopicCodec)
	now := c.now()
	for _, w := range writes {
		for _, kv := range w.records {
			b.Add(now, kv.key, kv.value)
		}
	}
	if b.Len() == 0 {
		return protocol.None
	}
	timeout := time.Duration(c.config.OffsetCommitTimeoutMs) * time.Millisecond
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	return appendCode(c.log.Append(ctx, s.shard.partition, b.Build()))
}

// appendCode is the error code of an append.
func appendCode(err error) protocol.ErrorCode {
	var code protocol.ErrorCode
	switch {
	case err == nil:
		return protocol.None
	case errors.As(err, &code):
		return code
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return protocol.RequestTimedOut
	}
	return protocol.UnknownServerError
}
