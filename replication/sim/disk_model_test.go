package sim

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/replication"
	"gregor/storage"
)

// twin is a log on disk and its simulation, which must not differ.
type twin struct {
	t     *testing.T
	rng   *rand.Rand
	cfg   storage.ManagerConfig
	disk  *storage.Manager
	real  replication.Log
	sim   *simLog
	epoch int32 // the last that was assigned or appended
	steps []string
}

func newTwin(t *testing.T, seed uint64) *twin {
	w := newWorld(seed, options{}, nil)
	tw := &twin{t: t, rng: w.rng, sim: w.nodes[0].disk.create(tp0, theTopic)}
	tw.cfg = storage.ManagerConfig{
		Dirs: []string{t.TempDir()}, Logger: w.logger(nil), OnDirFailure: func(dir string, err error) { t.Errorf("%s: %v", dir, err) },
		InitialDefault: storage.LogConfig{
			SegmentBytes: 400, SegmentMs: math.MaxInt64, SegmentIndexBytes: 1 << 20, IndexIntervalBytes: 4096, FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64,
			RetentionBytes: -1, RetentionMs: -1, FileDeleteDelayMs: 60000, MaxMessageBytes: 300, Delete: true, CompressionType: "producer",
			TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64, MinInsyncReplicas: 1,
		},
	}
	tw.open()
	t.Cleanup(func() { tw.disk.Close(false) })
	return tw
}

func (tw *twin) open() {
	tw.t.Helper()
	logs, err := storage.Open(tw.cfg)
	if err == nil {
		err = logs.Load()
	}
	if err == nil {
		tw.real, err = replication.OnDisk(logs).GetOrCreate(tp0, storage.CreateOptions{TopicID: theTopic, IsNew: true})
	}
	if err != nil {
		tw.t.Fatal(err)
	}
	tw.disk = logs
}

// realBatch is one record as the log on disk wants it, at an offset and in an epoch when a follower appends it.
func realBatch(offset int64, epoch int32) []byte {
	b := record.NewBuilder(record.None)
	b.Add(1_700_000_000_000, nil, []byte("value"))
	set := b.Build()
	binary.BigEndian.PutUint64(set, uint64(offset))
	binary.BigEndian.PutUint32(set[12:], uint32(epoch))
	return set
}

func simBatch(offset int64, epoch int32) []byte {
	set := newBatch(uint64(offset))
	binary.BigEndian.PutUint64(set, uint64(offset))
	binary.BigEndian.PutUint32(set[12:], uint32(epoch))
	return set
}

// step does the same to both.
func (tw *twin) step() {
	var what string
	var real, sim error
	end := tw.sim.end()
	somewhere := tw.rng.Int64N(end + 3)
	switch tw.rng.IntN(12) {
	case 0, 1, 2:
		what = "append as leader"
		tw.epoch = max(tw.epoch, 0)
		var reals, sims []storage.Append
		for range 1 + tw.rng.IntN(3) {
			reals, sims = append(reals, storage.Append{Set: realBatch(0, 0)}), append(sims, storage.Append{Set: simBatch(0, 0)})
		}
		tw.real.AppendAllAsLeader(reals, tw.epoch, storage.FromCoordinator)
		tw.sim.AppendAllAsLeader(sims, tw.epoch, storage.FromCoordinator)
		for i := range reals {
			real, sim = errors.Join(real, reals[i].Err), errors.Join(sim, sims[i].Err)
		}
	case 3, 4:
		what = "append as follower"
		var realSet, simSet []byte
		for i := range 1 + tw.rng.Int64N(3) {
			tw.epoch += int32(tw.rng.IntN(2))
			realSet, simSet = append(realSet, realBatch(end+i, tw.epoch)...), append(simSet, simBatch(end+i, tw.epoch)...)
		}
		real, sim = tw.real.AppendAsFollower(realSet), tw.sim.AppendAsFollower(simSet)
	case 5, 6:
		what = "become leader"
		tw.epoch += 1 + int32(tw.rng.IntN(2))
		real, sim = tw.real.AssignEpochStart(tw.epoch), tw.sim.AssignEpochStart(tw.epoch)
		tw.sim.leading = notLeading
	case 7, 8:
		what = "truncate"
		real, sim = tw.real.TruncateTail(somewhere), tw.sim.TruncateTail(somewhere)
		tw.epoch = tw.sim.LatestEpoch()
	case 9:
		what = "raise the watermark"
		if a, b := tw.real.SetHighWatermark(somewhere), tw.sim.setWatermark(somewhere); a != b {
			tw.t.Fatalf("%v: watermark %d, simulated %d", tw.steps, a, b)
		}
	case 10:
		what = "raise the log start"
		real, sim = tw.real.IncrementLogStartOffset(somewhere), tw.sim.IncrementLogStartOffset(somewhere)
	case 11:
		what = tw.seldom(somewhere)
	}
	tw.steps = append(tw.steps, what)
	if codeOf(real) != codeOf(sim) || (real == nil) != (sim == nil) {
		tw.t.Fatalf("%v at %d: %v, simulated %v", tw.steps, somewhere, real, sim)
	}
}

// seldom is what happens to a log now and then.
func (tw *twin) seldom(somewhere int64) string {
	if tw.rng.IntN(3) == 0 {
		if err := errors.Join(tw.real.TruncateFullyAndStartAt(somewhere), tw.sim.TruncateFullyAndStartAt(somewhere)); err != nil {
			tw.t.Fatal(err)
		}
		tw.epoch = noEpoch
		return "truncate fully"
	}
	if err := tw.disk.Close(true); err != nil {
		tw.t.Fatal(err)
	}
	tw.open()
	tw.sim.checkpoint = tw.sim.hw
	tw.sim = tw.sim.reopened(false)
	tw.epoch = tw.sim.LatestEpoch()
	return "restart"
}

// setWatermark is SetHighWatermark without the rules of a cluster.
func (l *simLog) setWatermark(o int64) int64 {
	l.hw = max(l.hw, max(min(o, l.end()), l.start))
	return l.hw
}

// marks is everything that replication can ask a log.
type marks struct {
	start, hw, end int64
	latest         int32
	ends           [12]protocol.EpochEndOffset
	epochs         [12]int32
	sizes          [12]bool // something is to be read there
	codes          [12]protocol.ErrorCode
}

func marksOf(t *testing.T, l replication.Log) (m marks) {
	m.start, m.hw, m.end, m.latest = l.LogStartOffset(), l.HighWatermark(), l.LogEndOffset(), l.LatestEpoch()
	for i := range m.ends {
		m.ends[i].Epoch, m.ends[i].EndOffset = l.EndOffsetForEpoch(m.latest - int32(i) + 2)
		offset := m.end - int64(i) + 2
		m.epochs[i] = l.EpochForOffset(offset)
		var out storage.ReadResult
		m.codes[i] = codeOf(l.Read(offset, 1000, m.end, true, &out))
		m.sizes[i] = out.Slice.Size > 0
		out.Slice.Release()
	}
	return m
}

// TestSimulatedLog holds the simulated log to what the one on disk does.
func TestSimulatedLog(t *testing.T) {
	for seed := range uint64(10) {
		tw := newTwin(t, seed)
		for range 50 {
			tw.step()
			if real, sim := marksOf(t, tw.real), marksOf(t, tw.sim); real != sim {
				t.Fatalf("seed %d, %v:\n%+v\nsimulated\n%+v", seed, tw.steps, real, sim)
			}
		}
	}
}

// TestReplay shows that a seed tells the same story twice.
func TestReplay(t *testing.T) {
	for seed := range uint64(20) {
		_, first := retell(seed+1, options{})
		_, second := retell(seed+1, options{})
		if first != second {
			t.Fatalf("seed %d runs differently the second time:\n%s\n\n%s", seed+1, first, second)
		}
	}
}
