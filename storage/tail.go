package storage

import "sync"

// tailBatches is how many of the last appended batches are remembered with their positions: a consumer at the end of
// the log, and a high watermark a few batches behind, are found without index and file.
const tailBatches = 32

type tailBatch struct {
	baseOffset, lastOffset int64
	position, size         int64
}

// tail is the end of the log as one consistent value: a reader that sees an offset sees the position that belongs
// to it.
type tail struct {
	mu sync.Mutex

	segment *segment
	size    int64 // of segment up to end
	end     int64 // log end offset
	ring    *[tailBatches]tailBatch
	filled  int // how many of ring count
	next    int // where the next goes
}

// tailEnd is the end of the log at one moment.
type tailEnd struct {
	segment   *segment
	size, end int64
}

func (t *tail) now() tailEnd {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tailEnd{t.segment, t.size, t.end}
}

// reset forgets the batches: the log has a new active segment, or a new end in it.
func (t *tail) reset(s *segment, end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.segment, t.size, t.end = s, s.size.Load(), end
	t.filled, t.next = 0, 0
}

// add remembers a batch that was written to the segment. It becomes visible with advance.
func (t *tail) add(h *batchHeader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		t.ring = new([tailBatches]tailBatch)
	}
	t.ring[t.next] = tailBatch{h.baseOffset, h.lastOffset, h.position, h.size}
	t.next = (t.next + 1) % tailBatches
	t.filled = min(t.filled+1, tailBatches)
}

// advance makes size and end the end of the log.
func (t *tail) advance(size, end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size, t.end = size, end
}

// find returns the batch of segment s that is the first to end at or behind offset, if it is remembered. The oldest one
// is only certain when it holds the offset.
func (t *tail) find(s *segment, offset int64) (b tailBatch, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.segment != s {
		return b, false
	}
	for i := 1; i <= t.filled; i++ {
		e := t.ring[(t.next-i+tailBatches)%tailBatches]
		if e.lastOffset < offset {
			return b, ok
		}
		b, ok = e, e.baseOffset <= offset || i < t.filled
		if e.baseOffset <= offset {
			return b, true
		}
	}
	return b, b.baseOffset <= offset && ok
}
