package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"reflect"

	"gregor/integration/chaos/history"
	"gregor/integration/harness"
)

// recordEnd records what there is when all is over: everything read once more, every broker's view, every replica's files.
func (r *round) recordEnd(ctx context.Context) error {
	ends, err := r.highWatermarks()
	if err != nil {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, r.rest)
	defer cancel()
	failures := []error{r.franzReader(reading, "final", history.Final, func() map[int32]int64 { return ends })}
	for p := range r.partitions {
		failures = append(failures, r.recordReplicas(p, ends[p]))
	}
	return errors.Join(append(failures, r.recordViews(ctx))...)
}

// recordReplicas records every replica's files of a partition, at a moment when all of them are in sync, or in vain awaited to be: then those are recorded that are said
// to be. Nobody writes any more.
func (r *round) recordReplicas(p int32, mark int64) error {
	var logs []history.Event
	err := eventually(r.rest, func() error {
		before, err := r.tree.state(r.topic, p)
		if err != nil {
			return err
		}
		logs = nil
		for _, id := range before.ISR {
			log, err := r.replica(r.nodes[id-1], p, mark)
			if err != nil {
				return err
			}
			logs = append(logs, log)
		}
		if len(before.ISR) != len(before.Replicas) {
			return fmt.Errorf("%s-%d: in sync are %v of %v", r.topic, p, before.ISR, before.Replicas)
		}
		if after, err := r.tree.state(r.topic, p); err != nil || after.Version != before.Version {
			return fmt.Errorf("%s-%d: the state changes: %v", r.topic, p, err)
		}
		return nil
	})
	for _, log := range logs {
		r.rec.Add(log)
	}
	return err
}

// recordViews records what ZooKeeper and every broker say of the topic, once they agree or the time is up.
func (r *round) recordViews(ctx context.Context) error {
	var events []history.Event
	err := eventually(r.rest, func() error {
		if err := r.converged(ctx); err != nil {
			return err
		}
		events = nil
		before, err := r.truth()
		if err != nil {
			return err
		}
		for p := range r.partitions {
			events = append(events, r.stateEvent(p, before[partitionName(r.topic, p)]))
		}
		for _, n := range r.nodes {
			if !n.wanted {
				continue
			}
			_, views, err := n.metadata(ctx)
			if err != nil {
				return err
			}
			for p := range r.partitions {
				v := views[partitionName(r.topic, p)]
				events = append(events, history.Event{
					Kind: history.View, Client: fmt.Sprint(n.id), Topic: r.topic, Partition: p, Leader: v.Leader, Epoch: v.LeaderEpoch, ISR: v.ISR, Replicas: v.Replicas,
				})
			}
		}
		if after, err := r.truth(); err != nil || !reflect.DeepEqual(before, after) {
			return fmt.Errorf("the states change: %v", err)
		}
		return nil
	})
	for _, e := range events {
		r.rec.Add(e)
	}
	return err
}

// replica is a broker's files of a partition.
func (r *round) replica(n *node, partition int32, mark int64) (history.Event, error) {
	e := history.Event{Kind: history.Replica, Client: fmt.Sprint(n.id), Topic: r.topic, Partition: partition, Offset: mark}
	dir := filepath.Join(n.LogDir, partitionName(r.topic, partition))
	batches, err := harness.ReadLog(dir)
	if err != nil {
		return e, err
	}
	for _, b := range batches {
		batch := history.Batch{
			Base: b.First, Last: b.Last, Epoch: b.Epoch, Sum: crc32.ChecksumIEEE(b.Bytes),
			// the offsets in the header of a batch of format 2
			Producer:      int64(binary.BigEndian.Uint64(b.Bytes[43:])),
			ProducerEpoch: int16(binary.BigEndian.Uint16(b.Bytes[51:])),
			Sequence:      int32(binary.BigEndian.Uint32(b.Bytes[53:])),
		}
		if !soundCRC(b.Bytes) {
			batch.Bad = "its CRC is wrong"
		}
		e.Batches = append(e.Batches, batch)
	}
	return e, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// soundCRC checks a batch's own checksum, at 17, over everything after it.
func soundCRC(batch []byte) bool {
	const crc, attributes = 17, 21
	return crc32.Checksum(batch[attributes:], castagnoli) == binary.BigEndian.Uint32(batch[crc:])
}
