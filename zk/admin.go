package zk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gregor/protocol"
)

// This file is what only the elected controller does to the tree; every write is fenced.

// SetTopic overwrites a topic if it still has t.Version (-1: any) and returns the new version.
func (c *Client) SetTopic(f Fence, t *Topic) (version int32, err error) {
	if err := c.fenced(f, setOp(TopicPath(t.Name), EncodeTopic(t), t.Version)); err != nil {
		return 0, err
	}
	return t.Version + 1, nil
}

// deletesPerMulti keeps a MULTI of deletes below the server's limit.
const deletesPerMulti = 1000

// DeleteTopic removes everything of a topic: /brokers/topics/T with all below it, /config/topics/T and, last, the
// request below /admin/delete_topics.
func (c *Client) DeleteTopic(f Fence, topic string) error {
	for _, root := range []string{TopicPath(topic), configPath("topics", topic), deleteTopicPath(topic)} {
		if err := c.deleteTree(f, root); err != nil {
			return fmt.Errorf("deleting %s: %w", root, err)
		}
	}
	return nil
}

// deleteTree deletes a znode and all below it. Others may add or remove znodes meanwhile: then it looks again.
func (c *Client) deleteTree(f Fence, root string) error {
	for {
		paths, err := c.tree(root)
		if err != nil || len(paths) == 0 {
			return err
		}
		slices.Reverse(paths) // children before parents
		raced := false
		for batch := range slices.Chunk(paths, deletesPerMulti) {
			ops := make([]any, len(batch))
			for i, p := range batch {
				ops[i] = deleteOp(p, -1)
			}
			err := c.fenced(f, ops...)
			if errors.Is(err, ErrNoNode) || errors.Is(err, ErrNotEmpty) {
				raced = true
				break
			}
			if err != nil {
				return err
			}
		}
		if !raced {
			return nil
		}
	}
}

// tree lists root and everything below it, level by level; nothing when root is missing.
func (c *Client) tree(root string) ([]string, error) {
	stat, err := c.exists(root)
	if stat == nil || err != nil {
		return nil, err
	}
	all := []string{root}
	for level := all; len(level) > 0; {
		below := make([][]string, len(level))
		err := c.parallel(len(level), func(i int) error {
			names, err := c.children(level[i])
			for _, n := range names {
				below[i] = append(below[i], level[i]+"/"+n)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		level = slices.Concat(below...)
		all = append(all, level...)
	}
	return all, nil
}

// DeleteTopicDeletions removes requests below /admin/delete_topics.
func (c *Client) DeleteTopicDeletions(f Fence, topics []string) error {
	for _, t := range topics {
		if err := c.fencedDelete(f, deleteTopicPath(t)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) fencedDelete(f Fence, path string) error {
	err := c.fenced(f, deleteOp(path, -1))
	if errors.Is(err, ErrNoNode) {
		return nil
	}
	return err
}

// Reassignments reads /admin/reassign_partitions; nil when it is missing.
func (c *Client) Reassignments() ([]Reassignment, error) {
	data, stat, err := c.getOrNil(ReassignPartitionsPath)
	if err != nil || stat == nil {
		return nil, err
	}
	return DecodeReassignments(data)
}

// SetReassignments rewrites /admin/reassign_partitions with what is left; nothing left deletes it.
func (c *Client) SetReassignments(f Fence, left []Reassignment) error {
	if len(left) == 0 {
		return c.fencedDelete(f, ReassignPartitionsPath)
	}
	err := c.fenced(f, setOp(ReassignPartitionsPath, EncodeReassignments(left), -1))
	if errors.Is(err, ErrNoNode) {
		return nil
	}
	return err
}

// PreferredReplicaElection reads /admin/preferred_replica_election; ok tells whether it exists.
func (c *Client) PreferredReplicaElection() (tps []protocol.TopicPartition, ok bool, err error) {
	data, stat, err := c.getOrNil(PreferredReplicaElectionPath)
	if err != nil || stat == nil {
		return nil, false, err
	}
	tps, err = DecodePartitions(PreferredReplicaElectionPath, data)
	return tps, true, err
}

// DeletePreferredReplicaElection removes /admin/preferred_replica_election.
func (c *Client) DeletePreferredReplicaElection(f Fence) error {
	return c.fencedDelete(f, PreferredReplicaElectionPath)
}

// TakeISRChanges reads and removes all isr_change notifications (leaders below IBP 2.7 write them).
func (c *Client) TakeISRChanges(f Fence) (tps []protocol.TopicPartition, err error) {
	err = c.takeNotifications(f, ISRChangeNotificationPath, isrChangePrefix, func(data []byte) error {
		found, err := DecodePartitions(ISRChangeNotificationPath, data)
		tps = append(tps, found...)
		return err
	})
	return tps, err
}

// TakeLogDirEvents reads and removes all log_dir_event notifications: the brokers with a failed directory.
func (c *Client) TakeLogDirEvents(f Fence) (brokers []int32, err error) {
	err = c.takeNotifications(f, LogDirEventNotificationPath, logDirEventPrefix, func(data []byte) error {
		id, err := DecodeLogDirEvent(data)
		if err == nil && !slices.Contains(brokers, id) {
			brokers = append(brokers, id)
		}
		return err
	})
	return brokers, err
}

// takeNotifications hands every notification to take and removes it; one that take refuses is logged and removed too.
func (c *Client) takeNotifications(f Fence, dir, prefix string, take func(data []byte) error) error {
	names, err := c.children(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		path := dir + "/" + name
		data, stat, err := c.getOrNil(path)
		if err != nil {
			return err
		}
		if stat != nil {
			if err := take(data); err != nil {
				c.log.Error("Ignoring a notification that cannot be read", "path", path, "error", err)
			}
		}
		if err := c.fencedDelete(f, path); err != nil {
			return err
		}
	}
	return nil
}

// NotifyLogDirFailure tells the controller that a log directory of this broker went offline.
func (c *Client) NotifyLogDirFailure(brokerID int32) error {
	return c.createSequential(LogDirEventNotificationPath+"/"+logDirEventPrefix, encodeLogDirEvent(brokerID))
}
