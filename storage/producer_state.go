package storage

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gregor/protocol"
)

// batchWindow is how many of a producer's last batches are remembered, so that a producer with
// max.in.flight.requests.per.connection up to 5 can resend any of them (ProducerStateEntry).
const batchWindow = 5

// producerBatch is one appended batch of an idempotent producer.
type producerBatch struct {
	lastSequence int32
	offsetDelta  int32
	lastOffset   int64
	timestamp    int64
}

func (b producerBatch) firstOffset() int64 { return b.lastOffset - int64(b.offsetDelta) }

// firstSequence undoes lastSequence's addition, wrap included.
func (b producerBatch) firstSequence() int32 {
	if first := b.lastSequence - b.offsetDelta; first >= 0 {
		return first
	}
	return math.MaxInt32 - (b.offsetDelta - b.lastSequence) + 1
}

// producer is what the log remembers of one producer id.
type producer struct {
	epoch            int16
	coordinatorEpoch int32
	count            int
	batches          [batchWindow]producerBatch // oldest first, count of them
	lastTimestamp    int64
	txnStart         int64 // first offset of the open transaction, -1 none
}

func (p *producer) lastSequence() int32 {
	if p.count == 0 {
		return noSequence
	}
	return p.batches[p.count-1].lastSequence
}

func (p *producer) setEpoch(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.count = epoch, 0
	}
}

func (p *producer) add(b producerBatch) {
	if p.count == batchWindow {
		copy(p.batches[:], p.batches[1:])
		p.count--
	}
	p.batches[p.count] = b
	p.count++
}

// openTxn is a transaction whose records begin at first. last is -1 while it is open, then the offset of its marker.
type openTxn struct{ producerID, first, last int64 }

// producerState is the idempotent and transactional producers of a log (ProducerStateManager). The log's lock guards it.
type producerState struct {
	byID map[int64]*producer
	// ongoing and unreplicated are in order of first: open transactions, and closed ones whose marker is not below the
	// high watermark yet. The smallest first of both bounds the last stable offset.
	ongoing, unreplicated []openTxn
}

// check applies the rules for a batch from a client (ProducerAppendInfo) without changing anything. When the batch is
// one of the producer's last five, duplicate describes the first time it came.
func (s *producerState) check(h *batchHeader) (duplicate producerBatch, isDuplicate bool, err error) {
	p := s.byID[h.producerID]
	if p == nil {
		return duplicate, false, nil // nothing is known (or no longer): any sequence begins
	}
	if h.producerEpoch == p.epoch {
		for _, b := range p.batches[:p.count] {
			if b.firstSequence() == h.baseSequence && b.lastSequence == h.lastSequence {
				return b, true, nil
			}
		}
	}
	switch {
	case h.producerEpoch < p.epoch:
		return duplicate, false, fmt.Errorf("epoch of producer %d is %d, the log has %d: %w",
			h.producerID, h.producerEpoch, p.epoch, protocol.InvalidProducerEpoch)
	case h.producerEpoch > p.epoch:
		if h.baseSequence != 0 && p.epoch != noEpoch {
			return duplicate, false, fmt.Errorf("producer %d begins epoch %d with sequence %d: %w",
				h.producerID, h.producerEpoch, h.baseSequence, protocol.OutOfOrderSequenceNumber)
		}
	case !follows(p.lastSequence(), h.baseSequence):
		return duplicate, false, fmt.Errorf("producer %d sends sequence %d after %d: %w",
			h.producerID, h.baseSequence, p.lastSequence(), protocol.OutOfOrderSequenceNumber)
	}
	if p.txnStart >= 0 && !h.transactional() {
		return duplicate, false, fmt.Errorf("producer %d has a transaction open: %w", h.producerID, protocol.InvalidTxnState)
	}
	return duplicate, false, nil
}

func follows(last, next int32) bool {
	return next == last+1 || next == 0 && last == math.MaxInt32
}

// apply takes a batch that is in the log into account. marker is set for a control batch that ends a transaction;
// ended is that transaction, when one was open.
func (s *producerState) apply(h *batchHeader, marker *txnMarker) (ended openTxn, wasOpen bool) {
	if h.producerID == noProducerID || h.magic < 2 || h.control() && marker == nil {
		return ended, false
	}
	p := s.byID[h.producerID]
	if p == nil {
		if s.byID == nil {
			s.byID = map[int64]*producer{}
		}
		p = &producer{epoch: noEpoch, coordinatorEpoch: noEpoch, lastTimestamp: noTimestamp, txnStart: -1}
		s.byID[h.producerID] = p
	}
	p.setEpoch(h.producerEpoch)
	p.lastTimestamp = h.maxTimestamp
	if marker != nil {
		return s.endTxn(p, h, marker)
	}
	p.add(producerBatch{h.lastSequence, int32(h.lastOffset - h.baseOffset), h.lastOffset, h.maxTimestamp})
	if h.transactional() && p.txnStart < 0 {
		p.txnStart = h.baseOffset
		s.ongoing = insertTxn(s.ongoing, openTxn{h.producerID, h.baseOffset, -1})
	}
	return ended, false
}

func (s *producerState) endTxn(p *producer, h *batchHeader, m *txnMarker) (ended openTxn, wasOpen bool) {
	p.coordinatorEpoch = m.coordinatorEpoch
	if p.txnStart < 0 {
		return ended, false
	}
	ended = openTxn{h.producerID, p.txnStart, h.lastOffset}
	p.txnStart = -1
	s.ongoing = slices.DeleteFunc(s.ongoing, func(t openTxn) bool { return t.producerID == h.producerID })
	s.unreplicated = insertTxn(s.unreplicated, ended)
	return ended, true
}

func insertTxn(list []openTxn, t openTxn) []openTxn {
	at, _ := slices.BinarySearchFunc(list, t, func(a, b openTxn) int { return cmp.Compare(a.first, b.first) })
	return slices.Insert(list, at, t)
}

// stableAfter is the last stable offset of the log once ended is over: what its entry in the transaction index says.
func (s *producerState) stableAfter(ended openTxn) int64 {
	for _, t := range s.ongoing {
		if t.producerID != ended.producerID {
			return t.first
		}
	}
	return ended.last + 1
}

// firstUnstable is the first offset of the oldest transaction that is open or not replicated, math.MaxInt64 for none.
func (s *producerState) firstUnstable() int64 {
	first := int64(math.MaxInt64)
	if len(s.ongoing) > 0 {
		first = s.ongoing[0].first
	}
	if len(s.unreplicated) > 0 {
		first = min(first, s.unreplicated[0].first)
	}
	return first
}

// replicated forgets the closed transactions whose marker is below the high watermark.
func (s *producerState) replicated(highWatermark int64) {
	s.unreplicated = slices.DeleteFunc(s.unreplicated, func(t openTxn) bool { return t.last < highWatermark })
}

// expire drops the producers that have been silent for expirationMs and have no transaction open.
func (s *producerState) expire(nowMs, expirationMs int64) {
	for id, p := range s.byID {
		if p.expired(nowMs, expirationMs) {
			delete(s.byID, id)
		}
	}
}

func (p *producer) expired(nowMs, expirationMs int64) bool {
	return p.txnStart < 0 && nowMs-p.lastTimestamp >= expirationMs
}

// transactional reports whether a producer that is remembered has begun or ended a transaction.
func (s *producerState) transactional() bool {
	for _, p := range s.byID {
		if p.txnStart >= 0 || p.coordinatorEpoch != noEpoch {
			return true
		}
	}
	return false
}

// ProducerState is one live producer for DescribeProducers.
type ProducerState struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32 // -1: none
	LastTimestamp    int64
	CoordinatorEpoch int32 // -1: none
	TxnStartOffset   int64 // -1: none
}

// ActiveProducers lists the producers that the log remembers, by id.
func (l *Log) ActiveProducers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]ProducerState, 0, len(l.mu.producers.byID))
	for id, p := range l.mu.producers.byID {
		list = append(list, ProducerState{id, p.epoch, p.lastSequence(), p.lastTimestamp, p.coordinatorEpoch, p.txnStart})
	}
	slices.SortFunc(list, func(a, b ProducerState) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return list
}
