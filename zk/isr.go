package zk

import (
	"errors"

	"gregor/protocol"
)

// UpdateISR writes the state of a partition as its leader, if the znode still has the version given, and returns the new version. It succeeds, too, when the znode
// holds that state already: an earlier attempt whose answer was lost. ErrBadVersion: another one wrote in between; ErrNoNode: the partition is gone. Leaders use it below
// inter.broker.protocol.version 2.7-IV2; from then on they ask the controller (kafka.server.ZkAlterPartitionManager).
func (c *Client) UpdateISR(tp protocol.TopicPartition, st PartitionState) (version int32, err error) {
	path := PartitionStatePath(tp.Topic, tp.Partition)
	version, err = c.set(path, EncodePartitionState(st), st.Version)
	if !errors.Is(err, ErrBadVersion) {
		return version, err
	}
	data, stat, readErr := c.getOrNil(path)
	if readErr != nil || stat == nil {
		return 0, err
	}
	if now, readErr := DecodePartitionState(tp, data, stat.Version); readErr == nil && now.SameLeaderAndISR(st) {
		return now.Version, nil
	}
	return 0, err
}

// NotifyISRChanges tells the controller which partitions' states leaders have written.
func (c *Client) NotifyISRChanges(tps []protocol.TopicPartition) error {
	return c.createSequential(ISRChangeNotificationPath+"/"+isrChangePrefix, EncodePartitions(tps))
}
