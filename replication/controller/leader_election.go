package controller

import (
	"slices"

	"gregor/protocol"
	"gregor/zk"
)

// Leader recovery states of KIP-704.
const (
	recovered  = 0
	recovering = 1
)

// noLeader stands for a leader that does not exist.
const noLeader = -1

// strategy says how the leader of a partition that has been online is chosen. A strategy is a pure function: the next
// leadership (its epoch is raised by one) and who is told, or ok false when there is no candidate.
type strategy func(c *cluster, p *partition) (e election, ok bool)

// election is the outcome of a strategy.
type election struct {
	next       zk.PartitionState
	recipients []int32 // the replicas that get LeaderAndIsr
	unclean    bool    // the leader is from outside the ISR: records may be lost
}

// electOffline chooses for a partition without a live leader: the first assigned replica that is online and in the ISR;
// when there is none and the topic allows it, the first that is online.
func electOffline(uncleanAllowed func(topic string) bool) strategy {
	return func(c *cluster, p *partition) (election, bool) {
		online := c.onlineReplicas(p)
		next := following(p)
		if leader, ok := first(p.assignment.replicas, online, p.leadership.ISR); ok {
			next.Leader = leader
			next.ISR = filter(p.leadership.ISR, func(b int32) bool { return c.isReplicaOnline(b, p.tp) })
			return election{next: next, recipients: online}, true
		}
		if len(online) == 0 || !uncleanAllowed(p.tp.Topic) {
			return election{}, false
		}
		next.Leader, next.ISR, next.Recovery = online[0], []int32{online[0]}, recovering
		return election{next: next, recipients: online, unclean: true}, true
	}
}

// electReassign chooses among the target replicas at the end of a reassignment. The ISR stays.
func electReassign(c *cluster, p *partition) (election, bool) {
	online := c.onlineReplicas(p)
	return keepISR(p, p.assignment.target(), online)
}

// electPreferred moves leadership to the first assigned replica. The ISR stays.
func electPreferred(c *cluster, p *partition) (election, bool) {
	online := c.onlineReplicas(p)
	return keepISR(p, p.assignment.replicas[:min(1, len(p.assignment.replicas))], online)
}

func keepISR(p *partition, candidates, online []int32) (election, bool) {
	leader, ok := first(candidates, online, p.leadership.ISR)
	if !ok {
		return election{}, false
	}
	next := following(p)
	next.Leader, next.ISR = leader, slices.Clone(p.leadership.ISR)
	return election{next: next, recipients: online}, true
}

// electControlledShutdown moves leadership off brokers that are shutting down, and takes them out of the ISR.
func electControlledShutdown(c *cluster, p *partition) (election, bool) {
	reachable := filter(p.assignment.replicas, func(b int32) bool { return c.isReplicaReachable(b, p.tp) })
	staying := filter(reachable, func(b int32) bool { return !c.shuttingDown[b] })
	leader, ok := first(p.assignment.replicas, staying, p.leadership.ISR)
	if !ok {
		return election{}, false
	}
	next := following(p)
	next.Leader = leader
	next.ISR = filter(p.leadership.ISR, func(b int32) bool { return !c.shuttingDown[b] })
	return election{next: next, recipients: reachable}, true
}

// first returns the first candidate that is in both lists.
func first(candidates, online, isr []int32) (int32, bool) {
	for _, b := range candidates {
		if slices.Contains(online, b) && slices.Contains(isr, b) {
			return b, true
		}
	}
	return noLeader, false
}

// following is the leadership with its epoch raised, leader and ISR to be filled in.
func following(p *partition) zk.PartitionState {
	next := *p.leadership
	next.LeaderEpoch++
	return next
}

// initialLeadership is the first leadership of a new partition: its first online replica, all online replicas in sync.
func initialLeadership(c *cluster, p *partition) (zk.PartitionState, bool) {
	online := c.onlineReplicas(p)
	if len(online) == 0 {
		return zk.PartitionState{}, false
	}
	return zk.PartitionState{Leader: online[0], ISR: online, Recovery: recovered}, true
}

// withoutReplica is the leadership after a replica went offline: out of the ISR, unless it is the last one there (a
// later clean election needs to know it), and no leader if it led.
func withoutReplica(p *partition, broker int32) zk.PartitionState {
	next := following(p)
	if next.Leader == broker {
		next.Leader = noLeader
	}
	next.ISR = slices.Clone(p.leadership.ISR)
	if len(next.ISR) > 1 {
		next.ISR = without(next.ISR, []int32{broker})
	}
	return next
}

func sortedTPs(tps []protocol.TopicPartition) []protocol.TopicPartition {
	slices.SortFunc(tps, compareTP)
	return tps
}
