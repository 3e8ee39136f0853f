package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"gregor/broker/config"
	"gregor/coordinator/group"
	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/replication"
	"gregor/storage"
)

// client is who sent the request, as the group coordinator keeps it.
func (rq *request) client() group.Client { return group.Client{ID: rq.header.ClientID, Host: rq.host} }

// groupLog lets the group coordinator write and read __consumer_offsets through replication.
type groupLog struct {
	b *Broker
	// partitions is the number of partitions that groups are spread over, 0 until the topic was seen. It does not change any more then,
	// whatever becomes of the topic: with another number most groups would look for their offsets where they never were (as in Kafka, a
	// restart takes the new number).
	partitions atomic.Int32
}

// newGroupLog reads the topic's assignment, if there is one already.
func newGroupLog(b *Broker) (*groupLog, error) {
	l := &groupLog{b: b}
	return l, l.settlePartitions()
}

// settlePartitions asks ZooKeeper, because the metadata image lacks the partitions that never had a leader.
func (l *groupLog) settlePartitions() error {
	topic, err := l.b.zk.Topic(groupMetadataTopic)
	if err == nil && topic != nil {
		l.partitions.CompareAndSwap(0, int32(len(topic.Partitions)))
	}
	return err
}

// Partitions is the topic's partition count, or the configured one while it does not exist.
func (l *groupLog) Partitions() int32 {
	if n := l.partitions.Load(); n > 0 {
		return n
	}
	if l.b.metadata.HasTopic(groupMetadataTopic) {
		if err := l.settlePartitions(); err != nil {
			return l.b.metadata.PartitionCount(groupMetadataTopic)
		}
	}
	if n := l.partitions.Load(); n > 0 {
		return n
	}
	return int32(l.b.config.Int("offsets.topic.num.partitions"))
}

// Append writes one batch with offsets.commit.required.acks and waits until it is committed.
func (l *groupLog) Append(ctx context.Context, partition int32, batch record.Batch) error {
	p, code := l.b.leader(protocol.TopicPartition{Topic: groupMetadataTopic, Partition: partition}, -1)
	if code != protocol.None {
		return code
	}
	epoch := p.LeaderEpoch()
	var out storage.AppendResult
	acks := int16(l.b.config.Int("offsets.commit.required.acks"))
	if err := p.Append(batch, acks, storage.FromCoordinator, &out); err != nil {
		return errorCode(err)
	}
	if acks != -1 {
		return nil
	}
	deadline := time.Now().Add(time.Duration(l.b.config.Int("offsets.commit.timeout.ms")) * time.Millisecond)
	if code := p.WaitCommitted(ctx, replication.NewWaiter(), out.LastOffset, epoch, deadline); code != protocol.None {
		return code
	}
	return nil
}

// Load reads all batches of a partition from its log start to its log end.
func (l *groupLog) Load(ctx context.Context, partition int32, fn func(record.Batch) error) error {
	p, code := l.b.leader(protocol.TopicPartition{Topic: groupMetadataTopic, Partition: partition}, -1)
	if code != protocol.None {
		return code
	}
	end := p.Log().LogEndOffset()
	bufferSize := l.b.config.Int("offsets.load.buffer.size")
	var buf []byte
	for offset := p.Log().LogStartOffset(); offset < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := loadChunk(p, offset, end, bufferSize, &buf, fn)
		if err != nil {
			return err
		}
		if next <= offset {
			return fmt.Errorf("reading %v at offset %d: no whole batch", p.TopicPartition(), offset)
		}
		offset = next
	}
	return nil
}

// loadChunk hands one read's batches to fn and returns the offset after them; that is end when nothing is left, as after a compaction.
func loadChunk(p *replication.Partition, offset, end int64, size int, buf *[]byte, fn func(record.Batch) error) (int64, error) {
	var rd replication.Read
	if err := p.Read(replication.Ask{Offset: offset, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: size, MinOneBatch: true}, &rd); err != nil {
		return 0, err
	}
	n := rd.Result.Slice.Size
	if n == 0 {
		return end, nil
	}
	defer rd.Result.Slice.Release()
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	chunk := (*buf)[:n]
	if _, err := rd.Result.Slice.File.ReadAt(chunk, rd.Result.Slice.Offset); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("reading %v: %w", p.TopicPartition(), err)
	}
	for len(chunk) > 0 {
		batch, rest, err := record.Split(chunk)
		if errors.Is(err, record.ErrIncomplete) {
			break // the read ended inside a batch: the next one starts there
		}
		if err != nil {
			return 0, err
		}
		if batch.LastOffset() >= offset {
			if err := fn(batch); err != nil {
				return 0, err
			}
			offset = batch.LastOffset() + 1
		}
		chunk = rest
	}
	return offset, nil
}

// offsetValueVersion is the version of committed offsets that all brokers of the cluster can read (GroupMetadataManager.offsetCommitValue).
func offsetValueVersion(c *config.Store) int16 {
	switch {
	case c.ProtocolAtLeast("2.1-IV1"):
		return 3
	case c.ProtocolAtLeast("2.1-IV0"):
		return 2
	}
	return 1
}

// groupValueVersion is the version of group metadata that all brokers of the cluster can read (GroupMetadataManager.groupMetadataValue).
func groupValueVersion(c *config.Store) int16 {
	switch {
	case c.ProtocolAtLeast("2.3-IV0"):
		return 3
	case c.ProtocolAtLeast("2.1-IV0"):
		return 2
	}
	return 1
}
