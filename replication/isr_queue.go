package replication

import (
	"slices"
	"sync"
)

// isrQueue holds the ISR proposals that have to be sent, oldest first. A partition has one proposal at most.
type isrQueue struct {
	wake chan struct{} // capacity 1: there is something in the queue
	mu   struct {
		sync.Mutex
		waiting []*ISRProposal
	}
}

// add puts proposals into the queue; nil ones are nothing.
func (q *isrQueue) add(proposals ...*ISRProposal) {
	q.mu.Lock()
	for _, pr := range proposals {
		if pr != nil {
			q.mu.waiting = append(q.mu.waiting, pr)
		}
	}
	any := len(q.mu.waiting) > 0
	q.mu.Unlock()
	if any {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

func (q *isrQueue) take() []*ISRProposal {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.mu.waiting
	q.mu.waiting = nil
	return all
}

// CheckISRs looks for followers that have been behind for too long; it is to be called every half of replica.lag.time.max.ms.
func (m *Manager) CheckISRs() {
	now := m.cfg.Clock()
	for _, p := range m.Partitions() {
		p.checkISR(now)
	}
}

// ISRProposed delivers whenever TakeISRProposals may have something to give.
func (m *Manager) ISRProposed() <-chan struct{} { return m.isr.wake }

// TakeISRProposals hands over all proposals that wait to be sent. Those whose partition has moved on meanwhile are dropped. Whoever takes them sends them in one
// request, and takes the next only after ApplyAlterPartition, Apply of each, or RequeueISRProposals.
func (m *Manager) TakeISRProposals() []*ISRProposal {
	return slices.DeleteFunc(m.isr.take(), func(pr *ISRProposal) bool { return !pr.current() })
}

// RequeueISRProposals takes back proposals that were not answered.
func (m *Manager) RequeueISRProposals(proposals []*ISRProposal) { m.isr.add(proposals...) }
