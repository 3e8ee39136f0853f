package zk

import (
	"errors"

	"gregor/protocol"
)

// UpdateISR writes the state of a partition as its leader, if the znode still has the version given, and returns the new version. It succeeds, too, when the znode
// holds that state already: an earlier attempt whose answer was lost. ErrBadVersion: another one wrote in between; ErrNoNode: the partition is gone. The lives of members that
// stay are those that the controller wrote; one that is added has none, because its fetches do not tell. Leaders use this below inter.broker.protocol.version 2.7-IV2; from then
// on they ask the controller (kafka.server.ZkAlterPartitionManager).
func (c *Client) UpdateISR(tp protocol.TopicPartition, st PartitionState) (version int32, err error) {
	path := PartitionStatePath(tp.Topic, tp.Partition)
	data, stat, err := c.get(path)
	if err != nil {
		return 0, err
	}
	now, readErr := DecodePartitionState(tp, data, stat.Version)
	if readErr == nil && now.Version == st.Version {
		st.ISREpochs = now.LivesOf(st.ISR)
	}
	version, err = c.set(path, EncodePartitionState(st), st.Version)
	if errors.Is(err, ErrBadVersion) && readErr == nil && now.SameLeaderAndISR(st) {
		return now.Version, nil
	}
	return version, err
}

// NotifyISRChanges tells the controller which partitions' states leaders have written.
func (c *Client) NotifyISRChanges(tps []protocol.TopicPartition) error {
	return c.createSequential(ISRChangeNotificationPath+"/"+isrChangePrefix, EncodePartitions(tps))
}
