package broker

import (
	"cmp"
	"strings"

	"gregor/protocol"
	"gregor/replication"
)

// Fetching from the nearest replica (KIP-392): with replica.selector.class a leader sends a consumer that names its rack to an in-sync follower in that rack.

// Selectors that replica.selector.class may name. Others are Java classes, which cannot be loaded.
const rackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

// followerFetchVersion is the first Fetch version in which a consumer names its rack, and may be answered by a follower.
const followerFetchVersion = 11

// anyReplica reports whether a follower may answer the fetch: a consumer's since KIP-392, a debugging consumer's always.
func (op *fetchOp) anyReplica() bool {
	switch {
	case op.replica >= 0:
		return false
	case op.replica == consumerReplicaID:
		return op.header.Version >= followerFetchVersion
	}
	return true
}

// preferredReadReplica is the follower that the client had better fetch the partition from; -1: this broker, or whoever the client likes.
func (op *fetchOp) preferredReadReplica(part *fetchPart) int32 {
	if !op.b.rackAware || op.rack == "" || op.replica >= 0 || op.header.Version < followerFetchVersion {
		return -1
	}
	return nearestReplica(part.p.ReadReplicas(part.q.FetchOffset), func(id int32) bool { return op.b.metadata.inRack(id, op.rack, op.listener) })
}

// nearestReplica chooses among replicas, of which the first is the leader: the leader when it is near or nobody is (-1), otherwise of those that are near the one that has most, has been
// caught up last, and has the highest id, in this order (RackAwareReplicaSelector).
func nearestReplica(replicas []replication.ReadReplica, near func(id int32) bool) int32 {
	if len(replicas) == 0 || near(replicas[0].ID) {
		return -1
	}
	var best *replication.ReadReplica
	for i := range replicas[1:] {
		r := &replicas[1+i]
		if near(r.ID) && (best == nil || cmp.Or(cmp.Compare(r.LogEndOffset, best.LogEndOffset), r.LastCaughtUp.Compare(best.LastCaughtUp), cmp.Compare(r.ID, best.ID)) > 0) {
			best = r
		}
	}
	if best == nil {
		return -1
	}
	return best.ID
}

// inRack reports whether a live broker with this listener stands in the rack.
func (c *MetadataCache) inRack(broker int32, rack, listener string) bool {
	b := c.image.Load().brokers[broker]
	if b == nil || b.rack == nil || *b.rack != rack {
		return false
	}
	_, reachable := b.endpoints[listener]
	return reachable
}

// sendElsewhere answers a partition whose client is to fetch from another replica: with the offsets, without records.
func (op *fetchOp) sendElsewhere(part *fetchPart, preferred int32) protocol.ErrorCode {
	if code := part.p.Offsets(max(part.q.CurrentLeaderEpoch, -1), &op.read); code != protocol.None {
		return code
	}
	part.resp.HighWatermark, part.resp.LastStableOffset, part.resp.LogStartOffset = op.read.HighWatermark, op.read.LastStableOffset, op.read.LogStartOffset
	part.resp.PreferredReadReplica = preferred
	if op.iso == readCommitted {
		part.resp.AbortedTransactions = []protocol.AbortedTransaction{}
	}
	return protocol.None
}

func isRackAware(class string) bool { return strings.EqualFold(class, rackAwareSelector) }
