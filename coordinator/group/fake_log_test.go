package group

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
)

// fakeLog is __consumer_offsets in memory. It can be slow, and it can refuse.
type fakeLog struct {
	partitions int32
	loadDelay  time.Duration

	mu struct {
		sync.Mutex
		batches   map[int32][]record.Batch
		delay     time.Duration
		fail      error // what every append without tombstones returns, without writing
		maxBytes  int   // 0: any
		failLoads int   // so many loads fail
		appends   int
		loads     int
	}
}

func newFakeLog() *fakeLog {
	l := &fakeLog{partitions: 5}
	l.mu.batches = map[int32][]record.Batch{}
	return l
}

func (l *fakeLog) Partitions() int32 { return l.partitions }

func (l *fakeLog) Append(ctx context.Context, partition int32, b record.Batch) error {
	l.mu.Lock()
	delay, fail := l.mu.delay, l.mu.fail
	l.mu.appends++
	if fail != nil && hasTombstone(b) {
		fail = nil
	}
	switch {
	case fail != nil:
	case l.mu.maxBytes > 0 && len(b) > l.mu.maxBytes:
		fail = protocol.MessageTooLarge
	default:
		log := l.mu.batches[partition]
		next := int64(0)
		if len(log) > 0 {
			next = log[len(log)-1].LastOffset() + 1
		}
		b.SetBaseOffset(next)
		l.mu.batches[partition] = append(log, b)
	}
	l.mu.Unlock()
	select {
	case <-time.After(delay):
		return fail
	case <-ctx.Done():
		return protocol.RequestTimedOut
	}
}

func hasTombstone(b record.Batch) (found bool) {
	b.Each(0, func(r record.Record) error {
		found = found || r.Value == nil
		return nil
	})
	return found
}

func (l *fakeLog) Load(ctx context.Context, partition int32, fn func(b record.Batch) error) error {
	select {
	case <-time.After(l.loadDelay):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	log := l.mu.batches[partition]
	l.mu.loads++
	fail := l.mu.failLoads > 0
	if fail {
		l.mu.failLoads--
	}
	l.mu.Unlock()
	if fail {
		return protocol.KafkaStorageError
	}
	for _, b := range log {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

func (l *fakeLog) set(delay time.Duration, fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.delay, l.mu.fail = delay, fail
}

func (l *fakeLog) appends() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.appends
}

// put writes records as a producer does that is not the coordinator.
func (l *fakeLog) put(partition int32, b *record.Builder) {
	if err := l.Append(context.Background(), partition, b.Build()); err != nil {
		panic(err)
	}
}

func testConfig() Config {
	return Config{
		BrokerID: 1, MinSessionTimeoutMs: 6000, MaxSessionTimeoutMs: 1_800_000, InitialRebalanceDelayMs: 3000, MaxSize: 100,
		OffsetMetadataMaxBytes: 4096, OffsetsRetentionMs: 3_600_000, OffsetsRetentionCheckIntervalMs: 600_000, OffsetCommitTimeoutMs: 5000,
		Logger: func(string) *slog.Logger { return slog.New(slog.DiscardHandler) },
	}
}

// started makes a coordinator that leads all partitions since epoch 0. Inside a synctest bubble the caller waits for the load.
func started(t testing.TB, c Config, l *fakeLog) *Coordinator {
	co := New(c, l)
	co.Start()
	for p := range l.partitions {
		co.Elected(p, 0)
	}
	t.Cleanup(co.Stop)
	return co
}
