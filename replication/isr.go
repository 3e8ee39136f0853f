package replication

import (
	"fmt"
	"slices"
	"time"

	"gregor/protocol"
)

// ISRProposal is a change of a partition's ISR on its way to the controller, which decides (KIP-497). Until the answer is applied the leader counts with the
// larger of both ISRs and proposes nothing else for the partition.
type ISRProposal struct {
	Partition      *Partition
	LeaderEpoch    int32
	PartitionEpoch int32 // the version of the state that is to be replaced
	// ControllerEpoch is that of the controller that made this broker leader; it stands in a state that the leader writes itself.
	ControllerEpoch int32
	ISR             []ISRMember // as it is to be, the leader included
	Added           []ISRMember // who is not in the ISR in force

	maximal []int32
	refused bool // answered in a way that leaves open what is in force; guarded by the partition's lock
}

// ISRMember is a replica of a proposed ISR and the life of its broker that the leader saw in sync (KIP-903); -1 when its fetches do not tell.
type ISRMember struct {
	Broker      int32
	BrokerEpoch int64
}

// Brokers are the ids of the proposed ISR.
func (pr *ISRProposal) Brokers() []int32 {
	ids := make([]int32, len(pr.ISR))
	for i, member := range pr.ISR {
		ids[i] = member.Broker
	}
	return ids
}

// ISRAnswer is what the controller said to a proposal. The fields after Code are the state in force, and of meaning only with Code None.
type ISRAnswer struct {
	Code           protocol.ErrorCode
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR            []int32
}

// joinsLocked reports whether a follower that has just fetched is to be proposed for the ISR: it has everything that is committed, and everything that this
// leader epoch began with, which may be more (KAFKA-7128); and its broker is alive as far as the cluster's metadata tells.
func (p *Partition) joinsLocked(r *progress) bool {
	if p.mu.leader.pending != nil || slices.Contains(p.mu.state.isr, r.id) {
		return false
	}
	end := r.snapshot().LogEndOffset
	return end >= p.Log().HighWatermark() && end >= p.mu.leader.epochStart && p.m.cfg.Alive(r.id)
}

// expandISR proposes an ISR with one follower more, if that is still right under the exclusive lock.
func (p *Partition) expandISR(id int32) {
	p.mu.Lock()
	var proposal *ISRProposal
	if r := p.mu.leader.follower(id); r != nil && p.leadsLocked() && p.joinsLocked(r) {
		isr := append(slices.Clone(p.mu.state.isr), id)
		p.m.partitionLog.Info(p.says("Expanding ISR from %s to %s", commas(p.mu.state.isr), commas(isr)))
		proposal = p.proposeLocked(isr)
	}
	p.mu.Unlock()
	p.m.isr.add(proposal)
}

// checkISR proposes an ISR without the followers that have been behind for too long, and repeats a proposal whose answer settled nothing.
func (p *Partition) checkISR(now time.Time) {
	p.mu.RLock()
	nothing := !p.leadsLocked() || p.mu.leader.pending == nil && len(p.outOfSyncLocked(now)) == 0 || p.mu.leader.pending != nil && !p.mu.leader.pending.refused
	p.mu.RUnlock()
	if nothing {
		return
	}
	p.mu.Lock()
	var proposal *ISRProposal
	if p.leadsLocked() {
		proposal = p.shrinkLocked(now)
	}
	p.mu.Unlock()
	p.m.isr.add(proposal)
}

func (p *Partition) shrinkLocked(now time.Time) *ISRProposal {
	if pending := p.mu.leader.pending; pending != nil {
		if !pending.refused {
			return nil
		}
		pending.refused = false
		return pending
	}
	out := p.outOfSyncLocked(now)
	if len(out) == 0 {
		return nil
	}
	isr := slices.DeleteFunc(slices.Clone(p.mu.state.isr), func(id int32) bool { return slices.Contains(out, id) })
	end := p.Log().LogEndOffset()
	ends := ""
	for _, id := range out {
		last := ReplicaProgress{LogEndOffset: unknownOffset}
		if r := p.mu.leader.follower(id); r != nil {
			last = r.snapshot()
		}
		ends += fmt.Sprintf(" (brokerId: %d, endOffset: %d, lastCaughtUpTimeMs: %d)", id, last.LogEndOffset, max(0, last.LastCaughtUp.UnixMilli()))
	}
	p.m.partitionLog.Info(p.says("Shrinking ISR from %s to %s. Leader: (highWatermark: %d, endOffset: %d). Out of sync replicas:%s.",
		commas(p.mu.state.isr), commas(isr), p.Log().HighWatermark(), end, ends))
	return p.proposeLocked(isr)
}

// outOfSyncLocked lists the members of the ISR that have been behind for longer than replica.lag.time.max.ms. One that is not in the assignment is out of sync, too: nobody
// tells how far it is (KAFKA-9672).
func (p *Partition) outOfSyncLocked(now time.Time) (out []int32) {
	end := p.Log().LogEndOffset()
	for _, id := range p.mu.state.isr {
		if id == p.me {
			continue
		}
		if r := p.mu.leader.follower(id); r == nil || !r.snapshot().caughtUp(end, now, p.m.cfg.ReplicaLagTimeMax) {
			out = append(out, id)
		}
	}
	return out
}

// proposeLocked makes an ISR pending.
func (p *Partition) proposeLocked(isr []int32) *ISRProposal {
	s := &p.mu.state
	proposal := &ISRProposal{
		Partition: p, LeaderEpoch: s.leaderEpoch, PartitionEpoch: s.partitionEpoch, ControllerEpoch: s.controllerEpoch, maximal: slices.Clone(s.isr),
	}
	for _, id := range isr {
		member := ISRMember{Broker: id, BrokerEpoch: -1}
		if id == p.me {
			member.BrokerEpoch = p.m.cfg.BrokerEpoch()
		} else if r := p.mu.leader.follower(id); r != nil {
			member.BrokerEpoch = r.snapshot().BrokerEpoch
		}
		proposal.ISR = append(proposal.ISR, member)
		if !slices.Contains(s.isr, id) {
			proposal.Added = append(proposal.Added, member)
			proposal.maximal = append(proposal.maximal, id)
		}
	}
	p.mu.leader.pending = proposal
	return proposal
}

// current reports whether the proposal is still the one that its partition waits for.
func (pr *ISRProposal) current() bool {
	p := pr.Partition
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mu.leader.pending == pr
}

// Apply takes the controller's answer to the proposal. An answer that comes after the leader epoch has changed is dropped: the controller's LeaderAndIsr knew
// better. retry says that the proposal is to be sent again.
func (pr *ISRProposal) Apply(answer ISRAnswer) (retry bool) {
	p := pr.Partition
	p.mu.Lock()
	if p.mu.leader.pending != pr || !p.leadsLocked() {
		p.mu.Unlock()
		return false
	}
	if answer.Code == protocol.None {
		p.acceptedLocked(pr, answer)
	} else {
		retry = p.refusedLocked(pr, answer.Code)
	}
	p.advanceHighWatermarkLocked()
	p.mu.Unlock()
	p.wait.watermark.wakeAll()
	return retry
}

// acceptedLocked takes over the state that the controller says is in force: with a higher partition epoch it is what was proposed, with the same one nothing had to
// change. A state of another leader epoch or of a lower partition epoch is out of date.
func (p *Partition) acceptedLocked(pr *ISRProposal, answer ISRAnswer) {
	s := &p.mu.state
	if answer.LeaderEpoch != s.leaderEpoch || answer.PartitionEpoch < s.partitionEpoch {
		p.m.partitionLog.Debug(p.says("Ignoring new ISR %s of leader epoch %d and partition epoch %d, which is out of date", commas(answer.ISR), answer.LeaderEpoch, answer.PartitionEpoch))
		pr.refused = true
		return
	}
	s.isr, s.partitionEpoch, p.mu.leader.pending = slices.Clone(answer.ISR), answer.PartitionEpoch, nil
	under := ""
	if p.underMinISRLocked() {
		under = " (under-min-isr)"
	}
	p.m.partitionLog.Info(p.says("ISR updated to %s%s and version updated to %d", commas(s.isr), under, s.partitionEpoch))
}

// refusedLocked decides what a refusal means.
//
// INELIGIBLE_REPLICA and OPERATION_NOT_ATTEMPTED say that the partition epoch was right and nothing was changed: the ISR in force is known. After the others an
// earlier attempt may have been written, or the controller knows a state that its LeaderAndIsr is about to bring: the larger ISR goes on counting, and unless that
// message comes the same proposal is made again with the next check. It cannot do harm: the controller compares epochs, and answers with the state in
// force when that is the proposed one.
func (p *Partition) refusedLocked(pr *ISRProposal, code protocol.ErrorCode) (retry bool) {
	wanted := commas(pr.Brokers())
	switch code {
	case protocol.OperationNotAttempted, protocol.IneligibleReplica:
		p.mu.leader.pending = nil
		p.m.partitionLog.Info(p.says("Failed to alter partition to ISR %s since the controller rejected the request with %v. Partition state has been reset to the latest committed ISR %s.",
			wanted, code, commas(p.mu.state.isr)))
	case protocol.UnknownTopicOrPartition, protocol.UnknownTopicID, protocol.FencedLeaderEpoch, protocol.InvalidUpdateVersion, protocol.InvalidRequest, protocol.NewLeaderElected:
		pr.refused = true
		p.m.partitionLog.Info(p.says("Failed to alter partition to ISR %s: %v. Partition state may be out of sync, awaiting new the latest metadata.", wanted, code))
	default:
		p.m.partitionLog.Warn(p.says("Failed to update ISR to %s due to unexpected error %v. Retrying.", wanted, code))
		return true
	}
	return false
}

// says puts the partition and the broker before a log line, as kafka.cluster.Partition does.
func (p *Partition) says(format string, args ...any) string {
	return fmt.Sprintf("[Partition %v broker=%d] ", p.tp, p.me) + fmt.Sprintf(format, args...)
}

// commas lists broker ids as Kafka's log lines do: "1,2,3".
func commas(ids []int32) string {
	list := ""
	for i, id := range ids {
		if i > 0 {
			list += ","
		}
		list += fmt.Sprint(id)
	}
	return list
}
