package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reader fetches the partitions of a topic on one connection, one request at a time.
type Reader struct {
	Addr       string
	Topic      string
	First      int32
	Partitions int32 // so many from First on
	Bytes      int32 // asked for of each partition
	Together   bool  // all partitions in one request, instead of one after the other
	Latencies  bool
	Most       float64 // bytes per second at most; 0: as many as come
	Offsets    []int64 // where to go on, from First on; nil: from the beginning
}

// Read fetches until limit bytes of record data have come or everything has been read.
func (r *Reader) Read(ctx context.Context, limit int64) (Result, error) {
	return r.read(ctx, false, func(done Result) bool { return done.Bytes < limit })
}

// For fetches for d, and begins again whenever everything has been read.
func (r *Reader) For(ctx context.Context, d time.Duration) (Result, error) {
	end := time.Now().Add(d)
	return r.read(ctx, true, func(Result) bool { return time.Now().Before(end) })
}

// read fetches while more says so; again: it begins anew at the end.
func (r *Reader) read(ctx context.Context, again bool, more func(Result) bool) (done Result, err error) {
	begun := time.Now()
	defer func() { done.Took = time.Since(begun) }()
	c, err := Dial(ctx, r.Addr)
	if err != nil {
		return done, err
	}
	defer c.Close()
	if r.Offsets == nil {
		r.Offsets = make([]int64, r.Partitions)
	}
	var buf []byte
	for empty, i := int32(0), int32(0); more(done) && ctx.Err() == nil; i = (i + 1) % r.Partitions {
		if empty == r.Partitions {
			if !again || done.Bytes == 0 {
				break
			}
			clear(r.Offsets)
			empty = 0
		}
		from, to := i, i+1
		if r.Together {
			from, to = 0, r.Partitions
		}
		sent := time.Now()
		if _, err := c.Write(FetchFrame(r.Topic, r.First+from, r.Offsets[from:to], r.Bytes, 0)); err != nil {
			return done, err
		}
		body, err := ReadFrame(c, &buf)
		if err != nil {
			return done, err
		}
		if r.Latencies {
			done.Latencies = append(done.Latencies, time.Since(sent))
		}
		n, err := r.advance(body)
		if err != nil {
			return done, err
		}
		done.Requests++
		done.Bytes += n
		if r.Most > 0 {
			due := begun.Add(time.Duration(float64(done.Bytes) / r.Most * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
			}
		}
		switch {
		case n > 0:
			empty = 0
		case r.Together:
			empty = r.Partitions
		default:
			empty++
		}
	}
	return done, ctx.Err()
}

// FetchFrame is a Fetch request (version 11) outside of a session, for partitions of a topic from a first one on. The broker may wait for waitMs
// milliseconds for the first byte.
func FetchFrame(topic string, first int32, offsets []int64, bytes, waitMs int32) []byte {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MaxWaitMillis, r.MaxBytes, r.SessionEpoch = 11, -1, waitMs, 50<<20, -1
	if waitMs > 0 {
		r.MinBytes = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	for i, offset := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LogStartOffset = first+int32(i), offset, bytes, -1, -1
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return Frame(1, r)
}

// advance walks over the batches of an answer and moves the offsets behind them. It returns the bytes of record data, a batch that is cut off at the end
// included.
func (r *Reader) advance(body []byte) (int64, error) {
	return Batches(body, func(partition int32, batch []byte) error {
		i := int(partition - r.First)
		if i < 0 || i >= len(r.Offsets) {
			return fmt.Errorf("fetch answered partition %d", partition)
		}
		r.Offsets[i] = NextOffset(batch)
		return nil
	})
}

// NextOffset is the offset behind a batch's last record.
func NextOffset(batch []byte) int64 {
	return int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:])) + 1
}

// Timestamp is a batch's first timestamp, in milliseconds.
func Timestamp(batch []byte) int64 { return int64(binary.BigEndian.Uint64(batch[batchBaseTimestamp:])) }

// Batches calls f for each whole batch of an answer, and returns the bytes of record data.
func Batches(body []byte, f func(partition int32, batch []byte) error) (total int64, err error) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 11
	if err := resp.ReadFrom(body); err != nil {
		return 0, err
	}
	if resp.ErrorCode != 0 {
		return 0, fmt.Errorf("fetch answered error %d", resp.ErrorCode)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return 0, fmt.Errorf("fetch of %s-%d answered error %d", t.Topic, p.Partition, p.ErrorCode)
			}
			b, whole := p.RecordBatches, false
			total += int64(len(b))
			for len(b) >= batchHeader {
				size := 12 + int(binary.BigEndian.Uint32(b[8:]))
				if size < batchHeader || size > len(b) {
					break
				}
				if err := f(p.Partition, b[:size]); err != nil {
					return 0, err
				}
				b, whole = b[size:], true
			}
			if len(p.RecordBatches) > 0 && !whole {
				return 0, errors.New("fetch answered no whole batch")
			}
		}
	}
	return total, nil
}
