package controller

import (
	"maps"
	"slices"

	"gregor/zk"
)

// A broker that dies and registers again between two controllers is alive to both of them. Its log may have lost what it had acknowledged, to a power failure or
// with its disk, and as a member of the ISR it could lead with what is left: every other replica would follow it into the loss. So the state of a partition says which
// lives are in its ISR (isr_epochs), as KRaft controllers keep it in mind (KIP-903). Where it does not, because an Apache Kafka broker wrote it, or of a member that
// a leader below inter.broker.protocol.version 2.7-IV2 has added, there is still the order of ZooKeeper's transactions: a registration that was created (czxid, the broker epoch) after the state was last
// written (mzxid) is of a life that the state does not mean; a life that began before may be meant or not. Apache Kafka compares broker epochs only within a controller's term.

// reborn lists the live brokers that are in an ISR with a life that is over, while another live member of that ISR has stayed: it has everything that
// was acknowledged. Where nobody has stayed, as after the fall of the whole cluster, one is as good as the other.
func (c *cluster) reborn() []int32 {
	found := map[int32]bool{}
	for _, p := range c.partitionsWhere(hasLeadership) {
		var again []int32
		stayed := false
		for i, id := range p.leadership.ISR {
			switch b, live := c.brokers[id]; {
			case !live:
			case bornSince(b, p.leadership, i):
				again = append(again, id)
			default:
				stayed = true
			}
		}
		for _, id := range again {
			found[id] = found[id] || stayed
		}
	}
	maps.DeleteFunc(found, func(_ int32, reborn bool) bool { return !reborn })
	return slices.Sorted(maps.Keys(found))
}

// bornSince reports whether the ith member of the ISR has begun another life than the one that the state means.
func bornSince(b zk.Broker, state *zk.PartitionState, i int) bool {
	if state.ISREpochs != nil && state.ISREpochs[i] != zk.UnknownLife {
		return b.Epoch != state.ISREpochs[i]
	}
	return state.Modified > 0 && b.Epoch > state.Modified
}

// livesOf are the broker epochs of the members of an ISR that is about to replace another: those of the registrations, and for brokers that are not registered what
// was known of them. Nil when all of them are unknown, and for a single member, which has what there is in whatever life.
func (c *cluster) livesOf(isr []int32, before *zk.PartitionState) []int64 {
	known := zk.PartitionState{ISR: slices.Clone(isr), ISREpochs: make([]int64, len(isr))}
	for i, id := range isr {
		known.ISREpochs[i] = zk.UnknownLife
		if b, live := c.brokers[id]; live {
			known.ISREpochs[i] = b.Epoch
		} else if before != nil && before.ISREpochs != nil {
			if at := slices.Index(before.ISR, id); at >= 0 {
				known.ISREpochs[i] = before.ISREpochs[at]
			}
		}
	}
	return known.LivesOf(isr)
}

// setAsideReborn takes reborn brokers out of the cluster that a new controller has read, and returns them: to the first elections of the term they are dead, and so leave
// the ISR; then they are welcomed as new.
func (c *Controller) setAsideReborn() []zk.Broker {
	var reborn []zk.Broker
	for _, id := range c.cluster.reborn() {
		reborn = append(reborn, c.cluster.brokers[id])
		c.cancelWatch(zk.BrokerPath(id))
		c.unlink(id)
		delete(c.cluster.brokers, id)
	}
	if len(reborn) > 0 {
		c.info("Brokers that were born again since they were in sync: %s", brokerEpochs(reborn))
	}
	return reborn
}
