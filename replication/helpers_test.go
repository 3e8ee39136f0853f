package replication

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/storage"
)

// me is the broker under test; its registration has brokerEpoch.
const (
	me          int32 = 1
	brokerEpoch int64 = 50
)

var (
	tp0    = protocol.TopicPartition{Topic: "t", Partition: 0}
	idA    = protocol.TopicID{0xa}
	idB    = protocol.TopicID{0xb}
	noID   protocol.TopicID
	noCode = protocol.None
)

// replica is a manager over real logs, and what it told of leadership.
type replica struct {
	*Manager
	t      testing.TB
	disk   *storage.Manager
	cfg    storage.ManagerConfig
	failed chan string // directories

	mu    sync.Mutex
	moves []string // "+t-0@5": leader in epoch 5; "-t-0@5": no more
}

// newReplica makes a manager over n log directories with min.insync.replicas as given.
func newReplica(t testing.TB, dirs int, minISR int32) *replica {
	t.Helper()
	r := &replica{t: t, failed: make(chan string, dirs)}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	r.cfg = storage.ManagerConfig{
		Logger: func(string) *slog.Logger { return logger },
		InitialDefault: storage.LogConfig{
			SegmentBytes: 1 << 20, SegmentMs: math.MaxInt64, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 4096,
			FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, RetentionBytes: -1, RetentionMs: -1, FileDeleteDelayMs: 60000,
			MaxMessageBytes: 1 << 20, Delete: true, CompressionType: "producer",
			TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64, MinInsyncReplicas: minISR,
		},
		OnDirFailure: func(dir string, _ error) { r.failed <- dir },
	}
	root := t.TempDir()
	for i := range dirs {
		r.cfg.Dirs = append(r.cfg.Dirs, filepath.Join(root, strconv.Itoa(i)))
	}
	r.open()
	t.Cleanup(func() { r.disk.Close(false) })
	return r
}

func (r *replica) open() {
	r.t.Helper()
	logs, err := storage.Open(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := logs.Load(); err != nil {
		r.t.Fatal(err)
	}
	told := func(sign string) func(protocol.TopicPartition, int32) {
		return func(tp protocol.TopicPartition, epoch int32) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.moves = append(r.moves, sign+tp.String()+"@"+strconv.Itoa(int(epoch)))
		}
	}
	r.disk = logs
	r.Manager = NewManager(Config{
		BrokerID: me, BrokerEpoch: func() int64 { return brokerEpoch }, Logs: OnDisk(logs), Logger: r.cfg.Logger,
		OnLeader: told("+"), OnFollower: told("-"),
	})
}

// restart stops cleanly and starts on the same directories: no partition is known until the controller speaks.
func (r *replica) restart() {
	r.t.Helper()
	if err := r.disk.Close(true); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// told returns what was told of leadership since the last call.
func (r *replica) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	moves := r.moves
	r.moves = nil
	return moves
}

// partitionState is one partition of a LeaderAndIsr request.
type partitionState struct {
	partition, leader, epoch int32
	isr, replicas            []int32
	isNew                    bool
}

// leaderAndISR sends the state of partitions of topic t and returns the answer's codes: that of the whole, and those of the partitions.
func (r *replica) leaderAndISR(controllerEpoch int32, epoch int64, id protocol.TopicID, states ...partitionState) (protocol.ErrorCode, []protocol.ErrorCode) {
	r.t.Helper()
	resp := r.LeaderAndISR(leaderAndISRRequest(controllerEpoch, epoch, id, states...))
	if len(resp.Topics) != 1 || resp.Topics[0].TopicID != id {
		r.t.Fatalf("the answer names topics %v", resp.Topics)
	}
	var codes []protocol.ErrorCode
	for i, p := range resp.Topics[0].Partitions {
		if p.Partition != states[i].partition {
			r.t.Fatalf("answer %d is of partition %d", i, p.Partition)
		}
		codes = append(codes, protocol.ErrorCode(p.ErrorCode))
	}
	return protocol.ErrorCode(resp.ErrorCode), codes
}

func leaderAndISRRequest(controllerEpoch int32, epoch int64, id protocol.TopicID, states ...partitionState) *kmsg.LeaderAndISRRequest {
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version, req.ControllerEpoch, req.BrokerEpoch = 7, controllerEpoch, epoch
	topic := kmsg.NewLeaderAndISRRequestTopicState()
	topic.Topic, topic.TopicID = tp0.Topic, id
	for _, s := range states {
		p := kmsg.NewLeaderAndISRRequestTopicPartition()
		p.Partition, p.ControllerEpoch, p.Leader, p.LeaderEpoch, p.ISR, p.Replicas, p.IsNew = s.partition, controllerEpoch, s.leader, s.epoch, s.isr, s.replicas, s.isNew
		topic.PartitionStates = append(topic.PartitionStates, p)
	}
	req.TopicStates = append(req.TopicStates, topic)
	return req
}

// lead makes the broker leader of partition 0 with the given ISR, of replicas 1 to 3.
func (r *replica) lead(epoch int32, isr ...int32) *Partition {
	r.t.Helper()
	return r.set(partitionState{leader: me, epoch: epoch, isr: isr, replicas: []int32{1, 2, 3}, isNew: true})
}

// set sends one state and expects it to be taken.
func (r *replica) set(s partitionState) *Partition {
	r.t.Helper()
	code, codes := r.leaderAndISR(1, -1, idA, s)
	if code != noCode || codes[0] != noCode {
		r.t.Fatalf("LeaderAndIsr %+v: %v, %v", s, code, codes)
	}
	p, code := r.Partition(protocol.TopicPartition{Topic: tp0.Topic, Partition: s.partition})
	if code != noCode {
		r.t.Fatal(code)
	}
	return p
}

// batch is a record set of n records.
func batch(n int) []byte {
	w := record.NewBuilder(record.None)
	for i := range n {
		w.Add(1700000000000+int64(i), nil, []byte("value"))
	}
	return w.Build()
}

func mustAppend(t testing.TB, p *Partition, n int, acks int16) storage.AppendResult {
	t.Helper()
	var out storage.AppendResult
	if err := p.Append(batch(n), acks, storage.FromClient, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// codeOf is the code an error carries.
func codeOf(t testing.TB, err error) protocol.ErrorCode {
	t.Helper()
	if err == nil {
		return noCode
	}
	var code protocol.ErrorCode
	if errors.As(err, &code) {
		return code
	}
	if errors.Is(err, storage.ErrStorage) {
		return protocol.KafkaStorageError
	}
	t.Fatalf("an error without a code: %v", err)
	return noCode
}
