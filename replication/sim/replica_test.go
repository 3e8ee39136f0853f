package sim

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
	"gregor/zk"
)

// obey handles a controller's request as broker/*.go do.
func (n *node) obey(r kmsg.Request) kmsg.Response {
	var resp kmsg.Response
	switch r := r.(type) {
	case *kmsg.LeaderAndISRRequest:
		resp = n.manager.LeaderAndISR(n.mutateLeaderAndISR(r))
	case *kmsg.StopReplicaRequest:
		resp = n.manager.StopReplica(r)
	case *kmsg.UpdateMetadataRequest:
		answer := r.ResponseKind().(*kmsg.UpdateMetadataResponse)
		answer.ErrorCode = int16(n.manager.FenceController(r.ControllerEpoch, r.BrokerEpoch))
		if answer.ErrorCode == 0 {
			n.controllerID, n.live = r.ControllerID, map[int32]bool{}
			for _, b := range r.LiveBrokers {
				n.live[b.ID] = true
			}
		}
		resp = answer
	}
	n.touched()
	return resp
}

// parkedFetch is a fetch that waits for records.
type parkedFetch struct {
	ask    replication.Ask
	topic  string // below Fetch version 13
	id     protocol.TopicID
	answer func(any)
	over   bool
}

// serveFetch answers a follower's fetch of the one partition, as broker/fetch.go does.
func (n *node) serveFetch(r *kmsg.FetchRequest, answer func(any)) {
	if len(r.Topics) == 0 {
		answer(&protocol.FetchResponse{})
		return
	}
	p := &r.Topics[0].Partitions[0]
	f := &parkedFetch{answer: answer, ask: replication.Ask{
		Offset: p.FetchOffset, CurrentLeaderEpoch: p.CurrentLeaderEpoch, LastFetchedEpoch: p.LastFetchedEpoch,
		Isolation: replication.LogEnd, MaxBytes: maxFetchBytes, MinOneBatch: true,
		Follower: &replication.FollowerFetch{ID: r.ReplicaState.ID, BrokerEpoch: r.ReplicaState.Epoch, LogStartOffset: p.LogStartOffset},
	}}
	if f.id = r.Topics[0].TopicID; r.Version < 13 {
		f.topic, f.id = tp0.Topic, protocol.TopicID{}
	}
	if r.Version < 15 {
		f.ask.Follower.ID, f.ask.Follower.BrokerEpoch = r.ReplicaID, -1
	}
	switch n.world.options.mutant {
	case noEpochTruncation:
		f.ask.LastFetchedEpoch = -1
	case rebornReplicaInSync:
		f.ask.Follower.BrokerEpoch = -1
	}
	n.look(f, false)
	if !f.over {
		n.parked = append(n.parked, f)
		n.world.plan(int64(fetchMaxWait/time.Millisecond), n, func() { n.look(f, true) })
	}
	n.touched()
}

const (
	fetchMaxWait  = 50 * time.Millisecond
	maxFetchBytes = 4 * batchSize
)

// look answers a fetch when there is something to answer, or at the end of its time.
func (n *node) look(f *parkedFetch, last bool) {
	if f.over {
		return
	}
	got := protocol.FetchedPartition{Topic: f.topic, TopicID: f.id, Partition: tp0.Partition, HighWatermark: -1, LogStartOffset: -1,
		DivergingEpoch: protocol.EpochEndOffset{Epoch: -1, EndOffset: -1}}
	p, code := n.manager.Partition(tp0)
	if code == protocol.None {
		var out replication.Read
		n.mutateFetch(p, f)
		code = codeOf(p.Read(f.ask, &out))
		size := out.Result.Slice.Size
		if code == protocol.None && size == 0 && !out.Diverging && !last {
			return
		}
		if code == protocol.None {
			got.HighWatermark, got.LogStartOffset = out.HighWatermark, out.LogStartOffset
			if out.Diverging {
				got.DivergingEpoch = protocol.EpochEndOffset{Epoch: out.DivergingEpoch, EndOffset: out.DivergingEnd}
			}
			l := n.disk.get(tp0)
			for o := f.ask.Offset; size > 0; o, size = o+1, size-batchSize {
				got.Records = l.encode(got.Records, o)
			}
		}
	}
	f.over = true
	got.ErrorCode = code
	if n.world.transcript != nil {
		n.world.say("broker %d answers the fetch of %d from %d after epoch %d in epoch %d: %v, %d records, high watermark %d, diverging %v", n.id, f.ask.Follower.ID, f.ask.Offset,
			f.ask.LastFetchedEpoch, f.ask.CurrentLeaderEpoch, code, len(got.Records)/batchSize, got.HighWatermark, got.DivergingEpoch)
	}
	f.answer(&protocol.FetchResponse{Partitions: []protocol.FetchedPartition{got}})
}

// answerParked looks at all parked fetches again.
func (n *node) answerParked() {
	keep := n.parked[:0]
	for _, f := range n.parked {
		n.look(f, false)
		if !f.over {
			keep = append(keep, f)
		}
	}
	clear(n.parked[len(keep):])
	n.parked = keep
}

func codeOf(err error) protocol.ErrorCode {
	var code protocol.ErrorCode
	if err != nil && !errors.As(err, &code) {
		return protocol.KafkaStorageError
	}
	return code
}

// driver does what a Fetcher says, over the simulated network.
type driver struct {
	node    *node
	f       *replication.Fetcher
	busy    bool
	stopped bool
	wakeAt  int64 // a look is planned for then
}

func (n *node) runFetcher(f *replication.Fetcher) (stop func()) {
	d := &driver{node: n, f: f, wakeAt: -1}
	n.fetches = append(n.fetches, d)
	d.later(0)
	return func() { d.stopped = true }
}

// later plans a look.
func (d *driver) later(delay int64) {
	w := d.node.world
	at := w.now + delay
	if d.wakeAt >= w.now && d.wakeAt <= at {
		return
	}
	d.wakeAt = at
	w.plan(delay, d.node, func() {
		if d.wakeAt == at {
			d.wakeAt = -1
		}
		d.pump()
	})
}

func (d *driver) pump() {
	if d.stopped || d.busy {
		return
	}
	n, w := d.node, d.node.world
	select {
	case <-d.f.Changed():
	default:
	}
	step := d.f.Next(w.time())
	if step.Kind == replication.Idle {
		if !step.Until.IsZero() {
			d.later(max(int64(step.Until.Sub(w.time())/time.Millisecond), 1))
		}
		return
	}
	d.busy = true
	leader := w.node(d.f.Leader())
	w.ask(n, leader, "fetch", func(answer func(any)) { leader.serveFollower(step, answer) }, func(resp any, ok bool) {
		d.busy = false
		if d.stopped {
			return
		}
		d.take(resp, ok)
		d.pump()
		n.touched()
	})
}

func (d *driver) take(resp any, ok bool) {
	now := d.node.world.time()
	if !ok {
		d.f.Failed(now)
		return
	}
	switch resp := resp.(type) {
	case *protocol.FetchResponse:
		d.f.ApplyFetch(now, resp)
	case *kmsg.OffsetForLeaderEpochResponse:
		d.f.ApplyEpochs(now, resp)
	case *kmsg.ListOffsetsResponse:
		d.f.ApplyOffsets(now, resp)
	}
}

// serveFollower answers what a follower asks.
func (n *node) serveFollower(step replication.Step, answer func(any)) {
	switch r := step.Request.(type) {
	case *kmsg.FetchRequest:
		n.serveFetch(r, answer)
	case *kmsg.OffsetForLeaderEpochRequest:
		answer(n.endOfEpoch(r))
	case *kmsg.ListOffsetsRequest:
		answer(n.listOffset(r))
	}
}

func (n *node) endOfEpoch(r *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	asked := r.Topics[0].Partitions[0]
	part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	part.Partition, part.LeaderEpoch, part.EndOffset = asked.Partition, -1, -1
	p, code := n.manager.Partition(tp0)
	if code == protocol.None {
		code = p.CheckLeader(asked.CurrentLeaderEpoch)
	}
	if code == protocol.None {
		part.LeaderEpoch, part.EndOffset = p.Log().EndOffsetForEpoch(asked.LeaderEpoch)
	}
	part.ErrorCode = int16(code)
	topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
	topic.Topic, topic.Partitions = tp0.Topic, append(topic.Partitions, part)
	resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	resp.Topics = append(resp.Topics, topic)
	return resp
}

func (n *node) listOffset(r *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	asked := r.Topics[0].Partitions[0]
	part := kmsg.NewListOffsetsResponseTopicPartition()
	part.Partition = asked.Partition
	p, code := n.manager.Partition(tp0)
	if code == protocol.None {
		code = p.CheckLeader(asked.CurrentLeaderEpoch)
	}
	if code == protocol.None {
		part.Offset = p.Log().LogEndOffset()
		if asked.Timestamp == -2 {
			part.Offset = p.Log().LogStartOffset()
		}
		part.LeaderEpoch = p.LeaderEpoch()
	}
	part.ErrorCode = int16(code)
	topic := kmsg.NewListOffsetsResponseTopic()
	topic.Topic, topic.Partitions = tp0.Topic, append(topic.Partitions, part)
	resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
	resp.Topics = append(resp.Topics, topic)
	return resp
}

// proposeISRs sends what the leader of partitions wants of their ISR to the controller, one request at a time.
func (n *node) proposeISRs() {
	if n.asking {
		return
	}
	proposals := n.manager.TakeISRProposals()
	if len(proposals) == 0 {
		return
	}
	if n.world.options.isrByLeader {
		n.writeISR(proposals[0])
		return
	}
	w := n.world
	again := func(proposals []*replication.ISRProposal) {
		n.manager.RequeueISRProposals(proposals)
		w.plan(w.between(10, 40), n, func() { n.asking = false; n.proposeISRs() })
	}
	n.asking = true
	if n.controllerID < 0 {
		again(proposals)
		return
	}
	to := w.node(n.controllerID)
	r := replication.AlterPartitionRequest(alterPartitionVersion, n.id, n.epoch, proposals)
	n.mutateProposal(r)
	w.ask(n, to, "AlterPartition", func(answer func(any)) {
		to.controller.SubmitAlterPartition(r, func(resp *kmsg.AlterPartitionResponse) { answer(resp) })
		to.control.kick()
	}, func(resp any, ok bool) {
		if ok {
			proposals = n.manager.ApplyAlterPartition(proposals, resp.(*kmsg.AlterPartitionResponse))
		}
		if len(proposals) > 0 {
			again(proposals)
		} else {
			n.asking = false
		}
		n.touched()
	})
}

const alterPartitionVersion = 3

// writeISR is the leader's conditional write of the state znode, and the notification that follows it.
func (n *node) writeISR(pr *replication.ISRProposal) {
	w, z := n.world, n.zk
	n.asking = true
	later := func(do func()) { w.plan(w.latency(), n, func() { n.asking = false; do(); n.touched() }) }
	w.in(w.latency(), func() {
		if !z.alive() {
			return
		}
		now := w.tree.state()
		next := zk.PartitionState{Leader: n.id, LeaderEpoch: pr.LeaderEpoch, ISR: pr.Brokers(), ControllerEpoch: pr.ControllerEpoch, Version: pr.PartitionEpoch + 1}
		answer := replication.ISRAnswer{LeaderEpoch: pr.LeaderEpoch, PartitionEpoch: next.Version, ISR: next.ISR}
		switch {
		case z.cut || z.session.expired:
			w.plan(w.between(10, 40), n, func() { later(func() { n.manager.RequeueISRProposals([]*replication.ISRProposal{pr}) }) })
			return
		case now.Version == pr.PartitionEpoch || w.options.mutant == noVersionCheck:
			next.ISREpochs = now.LivesOf(next.ISR)
			w.tree.write(tp0, next)
			w.in(w.between(10, 300), func() {
				w.tree.changedISRs = append(w.tree.changedISRs, tp0)
				w.tree.changed(zk.ISRChangeNotificationPath, zk.WatchChildren)
			})
		case now.SameLeaderAndISR(next): // the answer to an earlier attempt was lost
			answer.PartitionEpoch = now.Version
		default:
			answer.Code = protocol.InvalidUpdateVersion
		}
		later(func() { pr.Apply(answer) })
	})
}

// checkISRs is the timer of every half replica.lag.time.max.ms.
func (n *node) checkISRs() {
	n.world.plan(int64(replicaLagMax/time.Millisecond)/2, n, func() {
		n.manager.CheckISRs()
		n.touched()
		n.checkISRs()
	})
}
