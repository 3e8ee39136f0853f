package controller

import (
	"maps"
	"slices"

	"gregor/zk"
)

// A broker that dies and registers again between two controllers is alive to both of them. Its log may have lost what it had acknowledged, to a power failure or
// with its disk, and as a member of the ISR it could lead with what is left: every other replica would follow it into the loss. ZooKeeper knows better: the
// broker's registration was created (czxid, the broker epoch) after the partition's state was last written (mzxid), so that the ISR means its former life.
// Apache Kafka compares broker epochs only within a controller's term, and where a leader proposes an ISR (KIP-903).

// reborn lists the live brokers that are in an ISR with a life that is over, while another live member of that ISR has stayed: it has everything that
// was acknowledged. Where nobody has stayed, as after the fall of the whole cluster, one is as good as the other.
func (c *cluster) reborn() []int32 {
	found := map[int32]bool{}
	for _, p := range c.partitionsWhere(hasLeadership) {
		var again []int32
		stayed := false
		for _, id := range p.leadership.ISR {
			switch b, live := c.brokers[id]; {
			case !live:
			case bornSince(b, p.leadership):
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

func bornSince(b zk.Broker, state *zk.PartitionState) bool {
	return state.Modified > 0 && b.Epoch > state.Modified
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
