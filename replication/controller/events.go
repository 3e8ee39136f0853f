package controller

import "sync"

// eventQueue is an unbounded FIFO with one consumer. Watches, answers and requests push and never block.
type eventQueue struct {
	mu    sync.Mutex
	queue []event
	wake  chan struct{} // capacity 1
}

func (q *eventQueue) init() { q.wake = make(chan struct{}, 1) }

func (q *eventQueue) push(ev event) {
	q.mu.Lock()
	q.queue = append(q.queue, ev)
	q.mu.Unlock()
	q.signal()
}

// pushFront puts an event before all others: expiry and shutdown do not wait their turn.
func (q *eventQueue) pushFront(ev event) {
	q.mu.Lock()
	q.queue = append([]event{ev}, q.queue...)
	q.mu.Unlock()
	q.signal()
}

func (q *eventQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) pop() event {
	for {
		q.mu.Lock()
		if len(q.queue) > 0 {
			ev := q.queue[0]
			q.queue[0] = nil
			q.queue = q.queue[1:]
			q.mu.Unlock()
			return ev
		}
		q.mu.Unlock()
		<-q.wake
	}
}

func (q *eventQueue) drain() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.queue
	q.queue = nil
	return left
}
