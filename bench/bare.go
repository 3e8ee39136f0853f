package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Brokers that are none, in a process of this program: they show what sockets, disk and Go themselves cost. Null receives requests and answers them; loop
// also computes each batch's checksum, writes the batch into its partition's file with a system call of its own, and syncs it when durable. Neither
// keeps an index, checks anything or waits for anybody. Fetches have a loop of their own (floor.go).
const (
	null kind = "null"
	loop kind = "loop"
)

// bareEnv tells a process of this program to be one of them: "KIND ADDRESS DIRECTORY".
const bareEnv = "GREGOR_BENCH_BARE"

// bare starts such a process.
func (l *lab) bare(b *broker, logFile string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return l.command(logFile, "env", fmt.Sprintf("%s=%s %s %s", bareEnv, b.kind, b.addr, b.dir), self)
}

// bareBroker is what that process holds.
type bareBroker struct {
	kind kind
	addr string
	dir  string
	mu   sync.RWMutex
	logs map[string][]*bareLog // by topic
	ids  atomic.Int64          // given out to producers
}

// bareLog is a partition's file.
type bareLog struct {
	mu      sync.Mutex
	file    *os.File
	end     int64 // bytes
	durable bool
}

// serveBare is that process, until it is ended.
func serveBare(spec string) error {
	parts := strings.SplitN(spec, " ", 3)
	if len(parts) != 3 {
		return fmt.Errorf("%s=%q", bareEnv, spec)
	}
	b := &bareBroker{kind: kind(parts[0]), addr: parts[1], dir: parts[2], logs: map[string][]*bareLog{}}
	ln, err := net.Listen("tcp", b.addr)
	if err != nil {
		return err
	}
	return b.accept(ln)
}

// accept serves connections until the listener closes.
func (b *bareBroker) accept(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := b.serve(c); !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
}

// serve answers requests one by one; those that lie in the buffer together are answered with one write.
func (b *bareBroker) serve(c net.Conn) error {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	var request []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n < 10 || n > 100<<20 {
			return fmt.Errorf("a request of %d bytes", n)
		}
		if cap(request) < n {
			request = make([]byte, n)
		}
		request = request[:n]
		if _, err := io.ReadFull(in, request); err != nil {
			return err
		}
		answer, err := b.answer(request)
		if err != nil {
			return err
		}
		var size [8]byte
		binary.BigEndian.PutUint32(size[:], uint32(4+len(answer)))
		copy(size[4:], request[4:8])
		out.Write(size[:])
		out.Write(answer) // a writer that has failed says so when it is flushed
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// answer is what follows the correlation id.
func (b *bareBroker) answer(request []byte) ([]byte, error) {
	be := binary.BigEndian
	apiKey, version := int16(be.Uint16(request)), int16(be.Uint16(request[2:]))
	body := request[10+be.Uint16(request[8:]):]
	r := kmsg.RequestForKey(apiKey)
	if r == nil {
		return nil, fmt.Errorf("request %d", apiKey)
	}
	r.SetVersion(version)
	if err := r.ReadFrom(body); err != nil { // of a produce request, it aliases the batches
		return nil, err
	}
	resp := r.ResponseKind()
	resp.SetVersion(version)
	var err error
	switch r := r.(type) {
	case *kmsg.ProduceRequest:
		err = b.produce(r, resp.(*kmsg.ProduceResponse))
	case *kmsg.CreateTopicsRequest:
		err = b.create(r, resp.(*kmsg.CreateTopicsResponse))
	case *kmsg.MetadataRequest:
		err = b.metadata(r, resp.(*kmsg.MetadataResponse))
	case *kmsg.InitProducerIDRequest:
		resp.(*kmsg.InitProducerIDResponse).ProducerID = b.ids.Add(1)
	}
	return resp.AppendTo(nil), err
}

func (b *bareBroker) produce(r *kmsg.ProduceRequest, resp *kmsg.ProduceResponse) error {
	for _, t := range r.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = t.Topic
		b.mu.RLock()
		logs := b.logs[t.Topic]
		b.mu.RUnlock()
		for _, p := range t.Partitions {
			answer := kmsg.NewProduceResponseTopicPartition()
			answer.Partition = p.Partition
			topic.Partitions = append(topic.Partitions, answer)
			if b.kind == null {
				continue
			}
			if int(p.Partition) >= len(logs) {
				return fmt.Errorf("there is no %s-%d", t.Topic, p.Partition)
			}
			if err := logs[p.Partition].append(p.Records); err != nil {
				return err
			}
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l *bareLog) append(batch []byte) error {
	if len(batch) < 61 || crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
		return fmt.Errorf("a batch with a wrong checksum")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.WriteAt(batch, l.end); err != nil {
		return err
	}
	l.end += int64(len(batch))
	if l.durable {
		return l.file.Sync()
	}
	return nil
}

func (b *bareBroker) create(r *kmsg.CreateTopicsRequest, resp *kmsg.CreateTopicsResponse) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range r.Topics {
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic = t.Topic
		resp.Topics = append(resp.Topics, answer)
		if b.logs[t.Topic] != nil {
			continue
		}
		var logs []*bareLog
		for i := range t.NumPartitions {
			file, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("%s-%d.log", t.Topic, i)))
			if err != nil {
				return err
			}
			durable := false
			for _, c := range t.Configs {
				durable = durable || c.Name == "flush.messages"
			}
			logs = append(logs, &bareLog{file: file, durable: durable})
		}
		b.logs[t.Topic] = logs
	}
	return nil
}

func (b *bareBroker) metadata(r *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) error {
	host, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	member := kmsg.NewMetadataResponseBroker()
	member.Host, member.Port = host, int32(number)
	resp.Brokers, resp.ControllerID = append(resp.Brokers, member), member.NodeID
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, asked := range r.Topics {
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = asked.Topic
		for i := range b.logs[*asked.Topic] {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Replicas, p.ISR = int32(i), []int32{0}, []int32{0}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return nil
}
