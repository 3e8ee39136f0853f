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

// pop waits for the oldest event.
func (q *eventQueue) pop() event {
	for {
		if ev := q.take(); ev != nil {
			return ev
		}
		<-q.wake
	}
}

// take is pop without waiting: nil when there is none.
func (q *eventQueue) take() event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil
	}
	ev := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	return ev
}

func (q *eventQueue) drain() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.queue
	q.queue = nil
	return left
}
