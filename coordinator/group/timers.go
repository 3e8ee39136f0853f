package group

import (
	"container/heap"
	"sync"
	"time"
)

// timers wakes groups at their deadlines: one heap and one goroutine for all. A group sets its alarm only when it gets
// earlier, so that a heartbeat, which moves deadlines back, costs nothing; when the alarm goes off, the group finds its next
// deadline by itself. An alarm that was superseded by an earlier one stays in the heap and is ignored.
type timers struct {
	mu struct {
		sync.Mutex
		alarms alarmHeap
	}
	earlier chan struct{} // the first alarm has changed
}

type alarm struct {
	at   int64
	slot *slot
}

func (t *timers) init() { t.earlier = make(chan struct{}, 1) }

func (t *timers) set(at int64, s *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	heap.Push(&t.mu.alarms, alarm{at, s})
	if t.mu.alarms[0].slot == s && t.mu.alarms[0].at == at {
		select {
		case t.earlier <- struct{}{}:
		default:
		}
	}
}

// due takes all alarms up to now out; next is the first that stays (never without one).
func (t *timers) due(now int64) (list []alarm, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.mu.alarms) > 0 && t.mu.alarms[0].at <= now {
		list = append(list, heap.Pop(&t.mu.alarms).(alarm))
	}
	if len(t.mu.alarms) == 0 {
		return list, never
	}
	return list, t.mu.alarms[0].at
}

// runTimers wakes groups until the coordinator stops.
func (c *Coordinator) runTimers() {
	for {
		list, next := c.timers.due(c.now())
		for _, a := range list {
			c.wake(a)
		}
		timer := time.NewTimer(c.until(next))
		select {
		case <-timer.C:
		case <-c.timers.earlier:
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// wake lets the deadlines of a group pass. Its writes must not hold the other groups up.
func (c *Coordinator) wake(a alarm) {
	s := a.slot
	var out effects
	now := c.now()
	s.mu.Lock()
	if s.mu.alarm != a.at {
		s.mu.Unlock()
		return
	}
	s.mu.alarm = never
	write := s.settleLocked(c, now, &out)
	s.mu.Unlock()
	c.deliver(s, &out)
	if write && !c.spawn(func() { s.writeAll(c) }) {
		s.writeAll(c)
	}
}

// alarmHeap is a container/heap of alarms, earliest first.
type alarmHeap []alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h alarmHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *alarmHeap) Push(x any)        { *h = append(*h, x.(alarm)) }
func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = alarm{}
	*h = (*h)[:last]
	return a
}
