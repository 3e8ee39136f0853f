package sim

import (
	"gregor/protocol"
	"gregor/replication"
	"gregor/storage"
)

// produceMaxWait is the timeout of a produce request.
const produceMaxWait = 400

// pendingAck is a produce request with acks=all that waits for its record to be committed.
type pendingAck struct {
	offset int64
	epoch  int32
	number uint64
	over   bool
}

// produce sends one record with acks=all to a broker, as a client that knows of the leader what its metadata said: perhaps the truth, perhaps an old one.
func (w *world) produce() {
	to := w.nodes[w.rng.IntN(len(w.nodes))]
	if leader := w.tree.state().Leader; leader > 0 && !w.oneIn(3) {
		to = w.node(leader)
	}
	w.records++
	number := w.records
	w.plan(w.latency(), to, func() { to.whenServing(func() { to.append(number) }) })
}

// append is a produce request at a broker. The answer goes to nobody: the rules take it where it is given.
func (n *node) append(number uint64) {
	p, code := n.manager.Partition(tp0)
	if code != protocol.None {
		return
	}
	acks := int16(-1)
	if n.world.oneIn(8) {
		acks = 1
	}
	var out storage.AppendResult
	if err := p.Append(newBatch(number), acks, storage.FromClient, &out); err != nil {
		return
	}
	n.world.say("broker %d appends record %d at offset %d", n.id, number, out.BaseOffset)
	n.mutateAppend()
	a := &pendingAck{offset: out.LastOffset, epoch: p.LeaderEpoch(), number: number}
	switch {
	case acks != -1:
	case n.world.options.mutant == ackBeforeReplication:
		n.world.rules.acknowledged(n, a.offset, number)
	default:
		n.waiting = append(n.waiting, a)
		n.world.plan(produceMaxWait, n, func() { a.over = true })
	}
	n.touched()
}

// answerCommitted acknowledges what is committed.
func (n *node) answerCommitted() {
	if len(n.waiting) == 0 {
		return
	}
	p, code := n.manager.Partition(tp0)
	keep := n.waiting[:0]
	for _, a := range n.waiting {
		done := code != protocol.None
		if !done && !a.over {
			code, settled := p.CommitStatus(a.offset, a.epoch)
			if done = settled; settled && code == protocol.None {
				n.world.rules.acknowledged(n, a.offset, a.number)
			}
		}
		if !done && !a.over {
			keep = append(keep, a)
		}
	}
	clear(n.waiting[len(keep):])
	n.waiting = keep
}

// consume reads up to the high watermark at a random broker, follower or leader, and compares with what is committed.
func (w *world) consume() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	w.plan(w.latency(), n, func() {
		p, code := n.manager.Partition(tp0)
		if code != protocol.None {
			return
		}
		l := n.disk.get(tp0)
		offset := l.start
		if l.hw > l.start {
			offset = w.between(l.start, l.hw)
		}
		var out replication.Read
		ask := replication.Ask{Offset: offset, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Isolation: replication.HighWatermark, MaxBytes: maxFetchBytes, AnyReplica: true}
		if err := p.Read(ask, &out); err != nil {
			return
		}
		if end := offset + int64(out.Result.Slice.Size/batchSize); end > offset {
			w.rules.consumed(n, l, end)
		}
	})
}
