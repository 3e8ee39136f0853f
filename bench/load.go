package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitions of every topic.
const partitions = 6

// frame puts size and header around a request.
func frame(correlation int32, r kmsg.Request) []byte {
	b := make([]byte, 4, 4096)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(r.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = binary.BigEndian.AppendUint16(b, 5)
	b = append(b, "bench"...)
	if r.IsFlexible() {
		b = append(b, 0)
	}
	b = r.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// readFrame reads one answer into buf, which it grows, and returns what follows the correlation id.
func readFrame(r io.Reader, buf *[]byte) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 4
	if n < 0 || n > 128<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, (*buf)[:n])
	return (*buf)[:n], err
}

// ask sends one request on a connection of its own and decodes the answer.
func (b *broker) ask(r kmsg.Request) (kmsg.Response, error) { return b.askFor(r, 20*time.Second) }

func (b *broker) askFor(r kmsg.Request, patience time.Duration) (kmsg.Response, error) {
	c, err := net.DialTimeout("tcp", b.addr, time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(frame(1, r)); err != nil {
		return nil, err
	}
	var buf []byte
	body, err := readFrame(c, &buf)
	if err != nil {
		return nil, err
	}
	resp := r.ResponseKind()
	resp.SetVersion(r.GetVersion())
	return resp, resp.ReadFrom(body)
}

func (b *broker) answers() error {
	r := kmsg.NewPtrApiVersionsRequest()
	resp, err := b.ask(r)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.ApiVersionsResponse).ErrorCode; code != 0 {
		return fmt.Errorf("ApiVersions: error %d", code)
	}
	return nil
}

// createTopic makes a topic when it is not there yet.
func (b *broker) createTopic(name string) error {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Version, r.TimeoutMillis = 4, 15000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	r.Topics = append(r.Topics, t)
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := b.ask(r)
		if err != nil {
			return err
		}
		switch code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; {
		case code == 0 || code == 36: // 36: it exists
			return nil
		case code != 38 || time.Now().After(deadline): // 38: the controller has not yet noticed the broker
			return fmt.Errorf("create topic %s: error %d", name, code)
		}
	}
}

// buildBatch makes a record batch of count records of size random bytes each.
func buildBatch(count, size int) []byte {
	var records []byte
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(uint32(i+1) * 2654435761 >> 13)
	}
	for i := range count {
		body := []byte{0, 0}
		body = binary.AppendVarint(body, int64(i))
		body = binary.AppendVarint(body, -1)
		body = binary.AppendVarint(body, int64(size))
		body = append(append(body, value...), 0)
		records = binary.AppendVarint(records, int64(len(body)))
		records = append(records, body...)
	}
	be, now := binary.BigEndian, uint64(time.Now().UnixMilli())
	b := make([]byte, 61, 61+len(records))
	be.PutUint32(b[8:], uint32(49+len(records)))
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	be.PutUint32(b[23:], uint32(count-1))
	be.PutUint64(b[27:], now)
	be.PutUint64(b[35:], now)
	be.PutUint64(b[43:], 1<<64-1)
	be.PutUint16(b[51:], 0xffff)
	be.PutUint32(b[53:], 0xffffffff)
	be.PutUint32(b[57:], uint32(count))
	b = append(b, records...)
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// producer sends one row's requests.
type producer struct {
	addr        string
	row         row
	frames      [partitions][]byte
	recordBytes int // bytes of the batch in one request
}

func newProducer(b *broker, r row) (*producer, error) {
	if err := b.createTopic(r.name); err != nil {
		return nil, err
	}
	b.produced[r.name] = true
	batch := buildBatch(r.records, r.size)
	p := &producer{addr: b.addr, row: r, recordBytes: len(batch)}
	for i := range p.frames {
		p.frames[i] = produceFrame(r.name, int32(i), 1, batch)
	}
	return p, nil
}

func produceFrame(topic string, partition int32, acks int16, batch []byte) []byte {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = 7, acks, 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	tp := kmsg.NewProduceRequestTopicPartition()
	tp.Partition, tp.Records = partition, batch
	t.Partitions = append(t.Partitions, tp)
	r.Topics = append(r.Topics, t)
	return frame(partition, r)
}

// runRequests sends n requests in all and waits for their answers.
func (p *producer) runRequests(ctx context.Context, n int) (int, error) {
	var left atomic.Int64
	left.Store(int64(n))
	return p.run(ctx, func() bool { return left.Add(-1) >= 0 })
}

// runFor sends requests for d and returns how many were answered.
func (p *producer) runFor(ctx context.Context, d time.Duration) (int, error) {
	end := time.Now().Add(d)
	return p.run(ctx, func() bool { return time.Now().Before(end) })
}

func (p *producer) run(ctx context.Context, more func() bool) (int, error) {
	errs := make([]error, p.row.connections)
	counts := make([]int, p.row.connections)
	var wg sync.WaitGroup
	for i := range p.row.connections {
		wg.Go(func() { counts[i], errs[i] = p.connection(ctx, i, more) })
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, errors.Join(errs...)
}

// connection keeps depth requests in flight on one connection while more says so.
func (p *producer) connection(ctx context.Context, index int, more func() bool) (int, error) {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	in, buf := bufio.NewReaderSize(c, 64<<10), []byte(nil)
	answered, inFlight := 0, 0
	for next := index; ; {
		for inFlight < p.row.depth && ctx.Err() == nil && more() {
			if _, err := c.Write(p.frames[next%partitions]); err != nil {
				return answered, err
			}
			next++
			inFlight++
		}
		if inFlight == 0 {
			return answered, ctx.Err()
		}
		body, err := readFrame(in, &buf)
		if err != nil {
			return answered, err
		}
		if code := produceError(p.row.name, body); code != 0 {
			return answered, fmt.Errorf("produce answered %x", body)
		}
		inFlight--
		answered++
	}
}

// produceError is the error code of an answer for one partition of a topic; -1 when it has none.
func produceError(topic string, body []byte) int16 {
	at := 4 + 2 + len(topic) + 4 + 4 // topics, name, partitions, index
	if len(body) < at+2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(body[at:]))
}

// fetchAll reads the partitions of a topic from their beginnings, size bytes at a time, until limit bytes have come or everything has been read. It
// returns the bytes of record data received.
func fetchAll(ctx context.Context, b *broker, topic string, size int, limit int64) (int64, error) {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	var total int64
	buf := []byte(nil)
	offsets := [partitions]int64{}
	for empty, i := 0, 0; empty < partitions && total < limit && ctx.Err() == nil; i = (i + 1) % partitions {
		if _, err := c.Write(fetchFrame(topic, int32(i), offsets[i], int32(size))); err != nil {
			return total, err
		}
		body, err := readFrame(c, &buf)
		if err != nil {
			return total, err
		}
		n, next, err := lastOffset(body)
		if err != nil {
			return total, err
		}
		if n == 0 {
			empty++
			continue
		}
		empty, offsets[i] = 0, next
		total += n
	}
	return total, ctx.Err()
}

func fetchFrame(topic string, partition int32, offset int64, size int32) []byte {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = 11, -1, 100, 0, 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LogStartOffset = partition, offset, size, -1, -1
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return frame(1, r)
}

// lastOffset walks over the batches of an answer for one partition: their bytes, a cut one at the end included, and the offset to go on from.
func lastOffset(body []byte) (n, next int64, err error) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 11
	if err := resp.ReadFrom(body); err != nil {
		return 0, 0, err
	}
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		return 0, 0, fmt.Errorf("fetch answered %+v", resp)
	}
	b := resp.Topics[0].Partitions[0].RecordBatches
	n = int64(len(b))
	for len(b) >= 61 {
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			break
		}
		next = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
		b = b[size:]
	}
	if n > 0 && next == 0 {
		return 0, 0, errors.New("fetch answered no whole batch")
	}
	return n, next, nil
}

func readSystem(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return string(b)
}
