package storage

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
)

var tp0 = protocol.TopicPartition{Topic: "t", Partition: 0}

// rig is a manager over temporary directories that can be closed, killed and opened again.
type rig struct {
	t      testing.TB
	cfg    ManagerConfig
	topic  LogConfig
	now    time.Time
	output lockedBuffer
	failed chan string
	m      *Manager
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *lockedBuffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *lockedBuffer) contains(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.b.Bytes(), []byte(s))
}

func defaultTopic() LogConfig {
	return LogConfig{
		SegmentBytes: 1 << 30, SegmentMs: 604800000, SegmentIndexBytes: 10485760, IndexIntervalBytes: 4096,
		FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, RetentionBytes: -1, RetentionMs: 604800000,
		FileDeleteDelayMs: 60000, MaxMessageBytes: 1048588, Delete: true, CompressionType: "producer",
		TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64, MinInsyncReplicas: 1,
	}
}

// newRig makes a manager over n directories; change adapts the topics' configuration.
func newRig(t testing.TB, n int, change func(*LogConfig)) *rig {
	t.Helper()
	r := &rig{t: t, topic: defaultTopic(), now: time.UnixMilli(1700000000000), failed: make(chan string, 10)}
	if change != nil {
		change(&r.topic)
	}
	root := t.TempDir()
	for i := range n {
		r.cfg.Dirs = append(r.cfg.Dirs, filepath.Join(root, "d"+string(rune('0'+i))))
	}
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(&r.output), nil))
	r.cfg.Logger = func(string) *slog.Logger { return logger }
	r.cfg.Clock = func() time.Time { return r.now }
	r.cfg.TopicConfig = func(string) LogConfig { return r.topic }
	r.cfg.InitialDefault = r.topic
	r.cfg.OnDirFailure = func(dir string, _ error) { r.failed <- dir }
	r.open()
	t.Cleanup(func() { r.m.Close(false) })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.m, err = Open(r.cfg); err != nil {
		r.t.Fatal(err)
	}
	if err := r.m.Load(); err != nil {
		r.t.Fatal(err)
	}
}

// restart stops cleanly, lets damage work on the first log directory, and starts.
func (r *rig) restart(damage ...func(dir string)) *Log {
	r.t.Helper()
	if err := r.m.Close(true); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range damage {
		d(r.cfg.Dirs[0])
	}
	r.open()
	return r.m.Get(tp0)
}

// crash drops everything that is not in the files, as a killed process does, and starts.
func (r *rig) crash(damage ...func(dir string)) *Log {
	r.t.Helper()
	r.m.Close(false)
	for _, d := range damage {
		d(r.cfg.Dirs[0])
	}
	r.open()
	return r.m.Get(tp0)
}

// same goes on without a stop.
func (r *rig) same(...func(string)) *Log { return r.m.Get(tp0) }

func (r *rig) log() *Log {
	r.t.Helper()
	l, err := r.m.GetOrCreate(tp0, CreateOptions{IsNew: true})
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) partition() string { return filepath.Join(r.cfg.Dirs[0], "t-0") }

// batch makes n records with values of size bytes, one millisecond apart from ts on.
func batch(n, size int, ts int64) record.Batch {
	w := record.NewBuilder(record.None)
	for i := range n {
		w.Add(ts+int64(i), nil, bytes.Repeat([]byte{byte('a' + i%26)}, size))
	}
	return w.Build()
}

// idempotent makes a batch of a producer.
func idempotent(pid int64, epoch int16, seq int32, n int) record.Batch {
	w := record.NewBuilder(record.None)
	w.ProducerID, w.ProducerEpoch, w.BaseSequence = pid, epoch, seq
	for i := range n {
		w.Add(1700000000000+int64(i), nil, []byte("value"))
	}
	return w.Build()
}

// transactional makes a batch that belongs to a transaction, and marker the batch that ends it.
func transactional(pid int64, seq int32, n int) record.Batch {
	w := record.NewBuilder(record.None)
	w.ProducerID, w.ProducerEpoch, w.BaseSequence, w.Transactional = pid, 0, seq, true
	for i := range n {
		w.Add(1700000000000+int64(i), nil, []byte("value"))
	}
	return w.Build()
}

func marker(pid int64, commit bool) record.Batch {
	w := record.NewBuilder(record.None)
	w.ProducerID, w.ProducerEpoch, w.BaseSequence, w.Transactional, w.Control = pid, 0, -1, true, true
	kind := byte(0)
	if commit {
		kind = 1
	}
	w.Add(1700000000000, []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 7})
	return w.Build()
}

func mustAppend(t testing.TB, l *Log, b []byte) AppendResult {
	t.Helper()
	var out AppendResult
	if err := l.AppendAsLeader(b, 0, FromClient, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// follow appends batches with offsets as a leader sent them.
func follow(t testing.TB, l *Log, epoch int32, batches ...record.Batch) {
	t.Helper()
	next := l.LogEndOffset()
	var set []byte
	for _, b := range batches {
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(epoch)
		next = b.LastOffset() + 1
		set = append(set, b...)
	}
	if err := l.AppendAsFollower(set); err != nil {
		t.Fatal(err)
	}
}

// fill appends count batches of one 1000-byte record each.
func fill(t testing.TB, l *Log, count int) {
	t.Helper()
	for range count {
		mustAppend(t, l, batch(1, 1000, 1700000000000+l.LogEndOffset()))
	}
}

// offsets reads the log from its start in pieces and returns the base offsets of all batches.
func offsets(t testing.TB, l *Log) []int64 {
	t.Helper()
	var list []int64
	for next := l.LogStartOffset(); next < l.LogEndOffset(); {
		data := read(t, l, next, 3000, l.LogEndOffset())
		for len(data) > 0 {
			b, rest, err := record.Split(data)
			if err != nil {
				break
			}
			if !b.VerifyCRC() {
				t.Fatalf("batch at offset %d has a wrong checksum", b.BaseOffset())
			}
			if b.LastOffset() >= next {
				list = append(list, b.BaseOffset())
				next = b.LastOffset() + 1
			}
			data = rest
		}
	}
	return list
}

func read(t testing.TB, l *Log, offset int64, maxBytes int, maxOffset int64) []byte {
	t.Helper()
	var out ReadResult
	if err := l.Read(offset, maxBytes, maxOffset, true, &out); err != nil {
		t.Fatal(err)
	}
	if out.Slice.Size == 0 {
		return nil
	}
	defer out.Slice.Release()
	data := make([]byte, out.Slice.Size)
	if _, err := out.Slice.File.ReadAt(data, out.Slice.Offset); err != nil {
		t.Fatal(err)
	}
	return data
}

// expectOffsets checks that the log holds exactly one-record batches from first to end-1.
func expectOffsets(t testing.TB, l *Log, first, end int64) {
	t.Helper()
	if l == nil {
		t.Fatal("the log is gone")
	}
	got := offsets(t, l)
	if int64(len(got)) != end-first || l.LogEndOffset() != end {
		t.Fatalf("%d batches up to %d, want %d up to %d", len(got), l.LogEndOffset(), end-first, end)
	}
	for i, o := range got {
		if o != first+int64(i) {
			t.Fatalf("batch %d has offset %d, want %d", i, o, first+int64(i))
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// oldMessage makes an uncompressed message of format 0 or 1.
func oldMessage(magic byte, offset, ts int64, value string) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	body := []byte{magic, 0}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(ts))
	}
	body = binary.BigEndian.AppendUint32(body, math.MaxUint32)
	body = binary.BigEndian.AppendUint32(body, uint32(len(value)))
	body = append(body, value...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	return append(b, body...)
}
