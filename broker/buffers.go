package broker

import (
	"context"
	"sync"
)

// Size classes of pooled buffers. A connection borrows one only while bytes of a request are on their way, so an idle connection
// holds none, and bodies never live on the garbage-collected path of a warm broker.
var bufferClasses = [...]int{16 << 10, 128 << 10, 1 << 20, 4 << 20}

var bufferPools [len(bufferClasses)]sync.Pool

// buffer is a borrowed byte slice of full length.
type buffer struct {
	b     []byte
	class int // index in bufferClasses, -1 when larger than all of them
}

// getBuffer borrows a buffer of at least n bytes.
func getBuffer(n int) *buffer {
	for i, size := range bufferClasses {
		if n <= size {
			if b, ok := bufferPools[i].Get().(*buffer); ok {
				return b
			}
			return &buffer{b: make([]byte, size), class: i}
		}
	}
	return &buffer{b: make([]byte, n), class: -1} // larger than any class: left to the collector, so that one huge request pins nothing
}

func (b *buffer) release() {
	if b != nil && b.class >= 0 {
		bufferPools[b.class].Put(b)
	}
}

// memoryPool is queued.max.request.bytes: bytes of request bodies that may be held at once. As in Kafka (KIP-72), a request is let in
// while anything is left, so one larger than what remains may overdraw once instead of waiting for ever.
type memoryPool struct {
	mu        sync.Mutex
	free      sync.Cond
	available int64
}

// newMemoryPool returns nil, which never limits, for size <= 0.
func newMemoryPool(size int64) *memoryPool {
	if size <= 0 {
		return nil
	}
	p := &memoryPool{available: size}
	p.free.L = &p.mu
	return p
}

// tryAcquire takes n bytes if anything is left.
func (p *memoryPool) tryAcquire(n int) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeLocked(n)
}

func (p *memoryPool) takeLocked(n int) bool {
	if p.available <= 0 {
		return false
	}
	p.available -= int64(n)
	return true
}

// acquire takes n bytes, waiting until anything is left. It returns false when ctx ends before.
func (p *memoryPool) acquire(ctx context.Context, n int) bool {
	if p == nil {
		return true
	}
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.takeLocked(n) {
		if ctx.Err() != nil {
			return false
		}
		p.free.Wait()
	}
	return true
}

func (p *memoryPool) release(n int) {
	if p == nil || n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.available += int64(n)
	if p.available > 0 {
		p.free.Broadcast()
	}
}
