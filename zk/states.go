package zk

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	gozk "github.com/go-zookeeper/zk"

	"gregor/protocol"
)

// partitionsPerMulti keeps a MULTI far below the server's limit of 1 MiB (jute.maxbuffer): a partition costs two creates
// of up to 350 bytes each with the longest topic name.
const partitionsPerMulti = 200

// PartitionStates reads leader and ISR of many partitions. Those without a state are left out; an unreadable one is
// logged and left out.
func (c *Client) PartitionStates(tps []protocol.TopicPartition) (map[protocol.TopicPartition]PartitionState, error) {
	found := make([]*PartitionState, len(tps))
	err := c.parallel(len(tps), func(i int) error {
		data, stat, err := c.getOrNil(PartitionStatePath(tps[i].Topic, tps[i].Partition))
		if err != nil || stat == nil {
			return err
		}
		st, err := DecodePartitionState(tps[i], data, stat.Version)
		if err != nil {
			c.log.Error("Ignoring a partition state that cannot be read", "error", err)
			return nil
		}
		st.Modified = stat.Mzxid
		found[i] = &st
		return nil
	})
	if err != nil {
		return nil, err
	}
	states := make(map[protocol.TopicPartition]PartitionState, len(tps))
	for i, st := range found {
		if st != nil {
			states[tps[i]] = *st
		}
	}
	return states, nil
}

// CreatePartitionStates writes the first state of partitions, with the znodes above it. failed holds the partitions that
// have a state already (ErrNodeExists) or whose topic is gone (ErrNoNode); err is one that ends everything.
func (c *Client) CreatePartitionStates(f Fence, states map[protocol.TopicPartition]PartitionState) (failed map[protocol.TopicPartition]error, err error) {
	if err := c.createPartitionsPaths(f, states); err != nil {
		return nil, err
	}
	return c.inBatches(f, states, func(tp protocol.TopicPartition, st PartitionState) []any {
		return []any{
			createOp(partitionPath(tp.Topic, tp.Partition), nil, gozk.FlagPersistent),
			createOp(PartitionStatePath(tp.Topic, tp.Partition), EncodePartitionState(st), gozk.FlagPersistent),
		}
	})
}

// createPartitionsPaths creates /brokers/topics/T/partitions of every topic that has none.
func (c *Client) createPartitionsPaths(f Fence, states map[protocol.TopicPartition]PartitionState) error {
	ops := map[string]any{}
	for tp := range states {
		ops[tp.Topic] = createOp(partitionsPath(tp.Topic), nil, gozk.FlagPersistent)
	}
	batches := slices.Collect(slices.Chunk(slices.Collect(maps.Values(ops)), partitionsPerMulti))
	return c.parallel(len(batches), func(i int) error {
		err := c.fenced(f, batches[i]...)
		if !ownFault(err) {
			return err
		}
		for _, op := range batches[i] {
			if err := c.fenced(f, op); err != nil && !ownFault(err) {
				return err
			}
		}
		return nil
	})
}

// UpdatePartitionStates overwrites states that still have the Version given; a written one then has Version + 1. failed
// holds the partitions whose state was changed by another (ErrBadVersion) or is gone (ErrNoNode).
func (c *Client) UpdatePartitionStates(f Fence, states map[protocol.TopicPartition]PartitionState) (failed map[protocol.TopicPartition]error, err error) {
	return c.inBatches(f, states, func(tp protocol.TopicPartition, st PartitionState) []any {
		return []any{setOp(PartitionStatePath(tp.Topic, tp.Partition), EncodePartitionState(st), st.Version)}
	})
}

// inBatches writes many partitions, a few hundred per MULTI. When one spoils its MULTI, the partitions of that MULTI are
// tried one by one, so that it fails alone.
func (c *Client) inBatches(f Fence, states map[protocol.TopicPartition]PartitionState, ops func(protocol.TopicPartition, PartitionState) []any) (map[protocol.TopicPartition]error, error) {
	tps := slices.SortedFunc(maps.Keys(states), compareTopicPartitions)
	batches := slices.Collect(slices.Chunk(tps, partitionsPerMulti))
	failed := map[protocol.TopicPartition]error{}
	var mu sync.Mutex
	err := c.parallel(len(batches), func(i int) error {
		var all []any
		for _, tp := range batches[i] {
			all = append(all, ops(tp, states[tp])...)
		}
		err := c.fenced(f, all...)
		if !ownFault(err) {
			return err
		}
		for _, tp := range batches[i] {
			err := c.fenced(f, ops(tp, states[tp])...)
			var at *multiError
			if errors.As(err, &at) && at.index == 1 && errors.Is(err, ErrNodeExists) {
				// Only the directory was there, left by a predecessor that died in between.
				err = c.fenced(f, ops(tp, states[tp])[1:]...)
			}
			if ownFault(err) {
				mu.Lock()
				failed[tp] = err
				mu.Unlock()
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return failed, err
}

// ownFault reports whether an error is about one znode, not about the session or the fence.
func ownFault(err error) bool {
	return errors.Is(err, ErrNodeExists) || errors.Is(err, ErrNoNode) || errors.Is(err, ErrBadVersion) && !errors.Is(err, ErrControllerMoved)
}

func compareTopicPartitions(a, b protocol.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}
