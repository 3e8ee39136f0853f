package broker

import (
	"slices"

	"gregor/protocol"
	"gregor/replication"
)

// partition finds a replica of this broker. A partition the cluster has but this broker does not hold is NOT_LEADER_OR_FOLLOWER, so that the client
// refreshes its metadata; one that nobody has is UNKNOWN_TOPIC_OR_PARTITION.
func (b *Broker) partition(tp protocol.TopicPartition) (*replication.Partition, protocol.ErrorCode) {
	p, code := b.replicas.Partition(tp)
	if code == protocol.UnknownTopicOrPartition && b.metadata.HasPartition(tp) {
		code = protocol.NotLeaderOrFollower
	}
	return p, code
}

// leader is partition, for requests that only its leader answers, fenced by the leader epoch the client knows (-1: none; KIP-320).
func (b *Broker) leader(tp protocol.TopicPartition, currentLeaderEpoch int32) (*replication.Partition, protocol.ErrorCode) {
	p, code := b.partition(tp)
	if code == protocol.None {
		code = p.CheckLeader(currentLeaderEpoch)
	}
	return p, code
}

// currentLeader is the leader that the cluster's metadata has for a partition, with its address added to endpoints (KIP-951); nil when there is none.
func (b *Broker) currentLeader(tp protocol.TopicPartition, listener string, endpoints []protocol.NodeEndpoint) (*protocol.LeaderIDAndEpoch, []protocol.NodeEndpoint) {
	leader, epoch, ok := b.metadata.Leader(tp)
	if !ok {
		return nil, endpoints
	}
	image := b.metadata.image.Load()
	at, ok := image.endpoint(leader, listener)
	known := slices.ContainsFunc(endpoints, func(e protocol.NodeEndpoint) bool { return e.NodeID == leader })
	if ok && !known {
		e := protocol.NodeEndpoint{NodeID: leader, Host: at.host, Port: at.port}
		if rack := image.brokers[leader].rack; rack != nil {
			e.Rack = *rack
		}
		endpoints = append(endpoints, e)
	}
	return &protocol.LeaderIDAndEpoch{LeaderID: leader, LeaderEpoch: epoch}, endpoints
}
