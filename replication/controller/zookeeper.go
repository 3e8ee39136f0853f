package controller

import (
	"gregor/protocol"
	"gregor/zk"
)

// ZooKeeper is what the controller wants of its broker's session; *zk.Client is the real one. The methods mean what they say there.
type ZooKeeper interface {
	OnExpired(fn func())
	Watch(path string, kind zk.WatchKind, fn func()) (cancel func(), err error)
	WatchMany(names []string, path func(name string) string, kind zk.WatchKind, fn func(name string)) (cancels map[string]func(), err error)

	Controller() (id int32, err error)
	ControllerEpoch() (int32, error)
	ElectController(brokerID int32) (zk.Fence, error)
	Lost(f zk.Fence) bool
	Resign(f zk.Fence) error
	SetFeatures(f zk.Fence, version int32) error

	Broker(id int32) (*zk.Broker, error)
	Brokers() ([]zk.Broker, error)

	Topics() ([]string, error)
	Topic(name string) (*zk.Topic, error)
	ReadTopics(names []string) (map[string]*zk.Topic, error)
	SetTopic(f zk.Fence, t *zk.Topic) (version int32, err error)
	DeleteTopic(f zk.Fence, topic string) error
	TopicsToBeDeleted() ([]string, error)
	DeleteTopicDeletions(f zk.Fence, topics []string) error

	PartitionStates(tps []protocol.TopicPartition) (map[protocol.TopicPartition]zk.PartitionState, error)
	CreatePartitionStates(f zk.Fence, states map[protocol.TopicPartition]zk.PartitionState) (failed map[protocol.TopicPartition]error, err error)
	UpdatePartitionStates(f zk.Fence, states map[protocol.TopicPartition]zk.PartitionState) (failed map[protocol.TopicPartition]error, err error)

	Reassignments() ([]zk.Reassignment, error)
	SetReassignments(f zk.Fence, left []zk.Reassignment) error
	PreferredReplicaElection() (tps []protocol.TopicPartition, ok bool, err error)
	DeletePreferredReplicaElection(f zk.Fence) error
	TakeISRChanges(f zk.Fence) ([]protocol.TopicPartition, error)
	TakeLogDirEvents(f zk.Fence) (brokers []int32, err error)

	AllocateProducerIDBlock(brokerID int32) (start int64, length int32, err error)
}
