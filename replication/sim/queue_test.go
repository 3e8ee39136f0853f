package sim

// event is something that happens at a time. Events of one time happen in the order in which they were planned.
type event struct {
	node *node // the process in which it happens, nil: outside of all
	life int   // of the node when it was planned; another life drops it
	do   func()
}

// queue holds the events to come: a binary heap of their times, apart from what they are, because that is what moves around.
type queue struct {
	times []planned
	slots []event
	free  []int32
	seq   uint64
}

type planned struct {
	at   int64
	seq  uint64
	slot int32
}

func (p planned) before(o planned) bool { return p.at < o.at || p.at == o.at && p.seq < o.seq }

func (q *queue) push(at int64, ev event) {
	slot := int32(len(q.slots))
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
		q.slots[slot] = ev
	} else {
		q.slots = append(q.slots, ev)
	}
	q.seq++
	p := planned{at, q.seq, slot}
	q.times = append(q.times, p)
	i := len(q.times) - 1
	for i > 0 && p.before(q.times[(i-1)/2]) {
		q.times[i] = q.times[(i-1)/2]
		i = (i - 1) / 2
	}
	q.times[i] = p
}

// next is when the next event happens; ok is false when there is none.
func (q *queue) next() (at int64, ok bool) {
	if len(q.times) == 0 {
		return 0, false
	}
	return q.times[0].at, true
}

// pop takes the next event; there is one.
func (q *queue) pop() event {
	slot := q.times[0].slot
	ev := q.slots[slot]
	q.slots[slot] = event{}
	q.free = append(q.free, slot)
	last := len(q.times) - 1
	p := q.times[last]
	q.times = q.times[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.times[child+1].before(q.times[child]) {
			child++
		}
		if !q.times[child].before(p) {
			break
		}
		q.times[i] = q.times[child]
		i = child
	}
	if last > 0 {
		q.times[i] = p
	}
	return ev
}
