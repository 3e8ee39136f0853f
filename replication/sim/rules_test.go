package sim

import (
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// rules are what must hold in every schedule. They are looked at whenever something changes that they speak of, not only at the end.
//
//   - LogMatching: records of the same offset and leader epoch are the same, and so is everything before them down to the highest log start.
//   - StrongIsr: everything below the high watermark of any leader is in the log of every replica of the ISR that ZooKeeper has.
//   - LeaderCompleteness: who becomes leader has everything that was committed in earlier leader epochs.
//   - ConsistentRead: what is below any replica's high watermark is what was committed there first, for ever.
//   - What is acknowledged is committed.
//   - A leader never truncates its log; so its watermark never goes back while it leads. It stands while the leader knows of an ISR below min.insync.replicas.
//   - The state znode's leader is in its ISR, which is never empty, and its epochs never go back.
//
// A replica whose power failed may lack records until the controller knows of it: that is what ISRs are for. When none but such replicas are left in
// the ISR, more has failed than replication promises to survive, and the schedule ends without blame.
type rules struct {
	world     *world
	committed []commit    // by offset
	matching  [][]matched // by offset
	acked     int
	leaders   map[int32]int32 // leader epoch -> who led
}

// commit is the record that was committed first at an offset.
type commit struct {
	chain  uint64
	number uint64
	epoch  int32 // of the leader that committed it
}

type matched struct {
	epoch  int32
	number uint64
	chain  uint64
}

// appended checks LogMatching, and returns how the log up to the record is to be known. prefix is false when the log begins with it.
func (r *rules) appended(l *simLog, offset int64, rec stored, prefix bool) (chain uint64) {
	for int64(len(r.matching)) <= offset {
		r.matching = append(r.matching, nil)
	}
	for _, m := range r.matching[offset] {
		if m.epoch != rec.epoch {
			continue
		}
		switch {
		case m.chain == rec.chain:
		case m.number == rec.number && (!prefix || offset <= r.deleted()):
			// What comes before has been deleted elsewhere, and is about to be deleted here.
		default:
			r.world.broken("LogMatching: broker %d has another log up to offset %d of epoch %d than a broker before it", l.node.id, offset, rec.epoch)
		}
		return m.chain
	}
	r.matching[offset] = append(r.matching[offset], matched(rec))
	return rec.chain
}

// deleted is the highest log start: nobody promises anything about what is below.
func (r *rules) deleted() (offset int64) {
	for _, n := range r.world.nodes {
		if l := n.disk.get(tp0); l != nil {
			offset = max(offset, l.start)
		}
	}
	return offset
}

// watermark takes a raised high watermark: a leader's commits records, every other repeats what a leader said.
func (r *rules) watermark(l *simLog) {
	known := int64(len(r.committed))
	if !r.agrees(l, min(l.hw, known)) {
		r.world.broken("ConsistentRead: broker %d has a high watermark of %d over other records than were committed", l.node.id, l.hw)
		return
	}
	if l.hw <= known {
		return
	}
	if l.leading == notLeading {
		r.world.broken("broker %d follows and has a high watermark of %d, more than any leader's", l.node.id, l.hw)
		return
	}
	for o := known; o < l.hw; o++ {
		rec := l.records[o-l.base]
		r.committed = append(r.committed, commit{rec.chain, rec.number, l.leading})
	}
	if r.world.transcript != nil {
		r.world.say("broker %d commits up to %d in epoch %d", l.node.id, l.hw, l.leading)
	}
	for _, id := range r.world.tree.state().ISR {
		r.inSync(r.world.node(id))
	}
}

// agrees reports whether a log has the first n committed records.
func (r *rules) agrees(l *simLog, n int64) bool {
	if n == 0 || l != nil && n <= l.base {
		return true
	}
	if l == nil {
		return false
	}
	chain, ok := l.chainAt(n - 1)
	return ok && (chain == r.committed[n-1].chain || n <= r.deleted())
}

// inSync checks StrongIsr of one member of the ISR.
func (r *rules) inSync(n *node) {
	if n.lost || r.agrees(n.disk.get(tp0), int64(len(r.committed))) {
		return
	}
	end := int64(0)
	if l := n.disk.get(tp0); l != nil {
		end = l.end()
	}
	r.world.broken("StrongIsr: broker %d is in the ISR %v and does not have the %d committed records (its log ends at %d)", n.id, r.world.tree.state().ISR, len(r.committed), end)
}

// truncated checks that nothing was cut that may not be.
func (r *rules) truncated(l *simLog) {
	if l.leading != notLeading {
		r.world.broken("broker %d truncates its log to %d while it leads epoch %d", l.node.id, l.end(), l.leading)
	}
	if slices.Contains(r.world.tree.state().ISR, l.node.id) {
		r.inSync(l.node)
	}
}

// held checks that a watermark stands while the ISR is too small. It is called after everything that a broker does.
func (r *rules) held(n *node) {
	p, code := n.manager.Partition(tp0)
	if code != protocol.None {
		n.small = smallISR{epoch: notLeading}
		return
	}
	now := smallISR{epoch: notLeading, hw: p.Log().HighWatermark()}
	if leader, epoch := p.Leader(); leader == n.id && len(p.ISR()) < min(int(r.world.options.log.MinInsyncReplicas), len(p.Replicas())) {
		now.epoch = epoch
	}
	if now.epoch != notLeading && now.epoch == n.small.epoch && now.hw > n.small.hw {
		r.world.broken("broker %d raises its high watermark from %d to %d with the ISR %v, below min.insync.replicas", n.id, n.small.hw, now.hw, p.ISR())
	}
	n.small = now
}

// smallISR is the watermark of a leader that knows of an ISR below min.insync.replicas.
type smallISR struct {
	epoch int32 // notLeading: the ISR is not too small, or another broker leads
	hw    int64
}

// leads checks LeaderCompleteness.
func (r *rules) leads(n *node, l *simLog, epoch int32) {
	r.world.say("broker %d leads epoch %d, its log ends at %d", n.id, epoch, l.end())
	if who, known := r.leaders[epoch]; known && who != n.id {
		r.world.broken("brokers %d and %d both lead epoch %d", who, n.id, epoch)
	}
	r.leaders[epoch] = n.id
	earlier := int64(len(r.committed))
	for earlier > 0 && r.committed[earlier-1].epoch >= epoch {
		earlier--
	}
	if !r.agrees(l, earlier) {
		r.world.broken("LeaderCompleteness: broker %d leads epoch %d without the %d records committed before it; its log ends at %d", n.id, epoch, earlier, l.end())
	}
}

// follows notes that a replica leads no more; its log is nil when it was deleted.
func (r *rules) follows(l *simLog) {
	if l != nil {
		l.leading = notLeading
	}
}

// acknowledged checks that a producer is told the truth.
func (r *rules) acknowledged(n *node, offset int64, number uint64) {
	r.acked++
	if offset >= int64(len(r.committed)) || r.committed[offset].number != number {
		r.world.broken("broker %d acknowledges record %d at offset %d, which is not committed there", n.id, number, offset)
	}
}

// stateWritten takes a new state znode.
func (r *rules) stateWritten(before, st zk.PartitionState) {
	switch {
	case len(st.ISR) == 0:
		r.world.broken("the ISR is empty")
	case st.Leader != -1 && !slices.Contains(st.ISR, st.Leader):
		r.world.broken("leader %d is not in the ISR %v", st.Leader, st.ISR)
	case st.LeaderEpoch < before.LeaderEpoch || st.ControllerEpoch < before.ControllerEpoch:
		r.world.broken("leader epoch %d or controller epoch %d goes back to %d or %d", before.LeaderEpoch, before.ControllerEpoch, st.LeaderEpoch, st.ControllerEpoch)
	}
	sound := false
	for _, n := range r.world.nodes {
		in := slices.Contains(st.ISR, n.id)
		if n.lost && n.lostSeen && !in {
			n.lost = false
		}
		if in {
			r.inSync(n)
			sound = sound || !n.lost
		}
	}
	if !sound {
		r.world.beyond("every replica of the ISR %v has lost records in a power failure", st.ISR)
	}
}

// controllerSees takes note of what the elected controller knows of broker lives. When a new one finds nobody in the ISR with the life that the state means, one member is as good
// as the other.
func (r *rules) controllerSees(registered []zk.Broker, first bool) {
	isr := r.world.tree.state().ISR
	stayed := slices.ContainsFunc(registered, func(b zk.Broker) bool { return r.world.tree.meansLife(b) })
	for _, b := range registered {
		n := r.world.node(b.ID)
		if !n.lost || !n.running || r.world.tree.brokers[n.id].session != n.zk.session {
			continue
		}
		n.lostSeen = true
		switch {
		case !slices.Contains(isr, n.id):
			n.lost = false
		case first && !stayed:
			r.world.beyond("broker %d lost records and is in the ISR, of which no other is alive but was away, too", n.id)
		}
	}
}

// consumed checks what a consumer was given: records up to end (exclusive) of a broker's log.
func (r *rules) consumed(n *node, l *simLog, end int64) {
	if end > int64(len(r.committed)) || !r.agrees(l, end) {
		r.world.broken("a consumer reads up to %d at broker %d, which is not what was committed", end, n.id)
	}
}
