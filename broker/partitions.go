package broker

import (
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
