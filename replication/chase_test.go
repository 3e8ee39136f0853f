package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/storage"
)

// leaderID is the broker that me follows in the tests of followers.
const leaderID int32 = 2

// chase is a follower under test and its leader. The follower's Fetchers are driven by hand: settle answers what they ask for from the leader's logs, over bytes as
// they go over the wire.
type chase struct {
	*replica
	leader   *replica
	fetchers map[int]*Fetcher
	stopped  int // Fetchers that were stopped
	now      time.Time
	asked    []string // what was asked for, in short
	session  serverSession
	answer   func(*protocol.FetchedPartition) // changes what the leader answers for a partition; nil: nothing
}

// serverSession is the leader's side of a fetch session.
type serverSession struct {
	id, epoch int32
	asks      map[protocol.TopicPartition]kmsg.FetchRequestTopicPartition
	order     []protocol.TopicPartition
	told      map[protocol.TopicPartition][2]int64 // the watermark and log start that were last told
	news      int                                  // partitions of the last answer with anything new
}

func testFollowConfig(fetchVersion int16) FollowConfig {
	return FollowConfig{
		Fetchers: 1, FetchVersion: fetchVersion, ListOffsetsVersion: 5, EpochVersion: 3, MaxWait: 500 * time.Millisecond, MinBytes: 1,
		MaxBytes: 1 << 20, ResponseMaxBytes: 10 << 20, Backoff: time.Second,
	}
}

func newChase(t testing.TB, cfg FollowConfig) *chase {
	t.Helper()
	c := &chase{replica: newReplica(t, 1, 1), leader: newReplica(t, 1, 1), fetchers: map[int]*Fetcher{}, now: time.Unix(1700000000, 0)}
	c.leader.Manager = NewManager(Config{
		BrokerID: leaderID, BrokerEpoch: func() int64 { return -1 }, Logs: OnDisk(c.leader.disk), Logger: c.leader.cfg.Logger,
		OnLeader: func(protocol.TopicPartition, int32) {}, OnFollower: func(protocol.TopicPartition, int32) {},
	})
	c.Manager = NewManager(Config{
		BrokerID: me, BrokerEpoch: func() int64 { return brokerEpoch }, Logs: OnDisk(c.disk), Logger: c.replica.cfg.Logger,
		OnLeader: func(protocol.TopicPartition, int32) {}, OnFollower: func(protocol.TopicPartition, int32) {},
		Follow: cfg,
		RunFetcher: func(f *Fetcher) (stop func()) {
			c.fetchers[f.ID()] = f
			return func() { c.stopped++; delete(c.fetchers, f.ID()) }
		},
	})
	return c
}

// history makes the log of a partition hold one-record batches, as many of each epoch as asked for: {epoch, count}...
func history(t testing.TB, r *replica, partition int32, runs ...[2]int) *storage.Log {
	t.Helper()
	l, err := r.disk.GetOrCreate(protocol.TopicPartition{Topic: tp0.Topic, Partition: partition}, storage.CreateOptions{TopicID: idA, IsNew: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		for range run[1] {
			var out storage.AppendResult
			w := record.NewBuilder(record.None)
			w.Add(1700000000000, nil, fmt.Appendf(nil, "epoch %d at %d of %p", run[0], l.LogEndOffset(), r))
			if err := l.AppendAsLeader(w.Build(), int32(run[0]), storage.FromClient, &out); err != nil {
				t.Fatal(err)
			}
		}
		if run[1] == 0 {
			if err := l.AssignEpochStart(int32(run[0])); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

// copyHistory gives the follower the first n batches of the leader's log.
func (c *chase) copyHistory(from *storage.Log, n int64) *storage.Log {
	c.t.Helper()
	to := history(c.t, c.replica, from.TopicPartition().Partition)
	var out storage.ReadResult
	if err := from.Read(from.LogStartOffset(), 1<<20, n, true, &out); err != nil {
		c.t.Fatal(err)
	}
	defer out.Slice.Release()
	if err := to.AppendAsFollower(sliceBytes(c.t, out.Slice)); err != nil {
		c.t.Fatal(err)
	}
	return to
}

func sliceBytes(t testing.TB, s storage.FileSlice) []byte {
	t.Helper()
	if s.Size == 0 {
		return nil
	}
	data := make([]byte, s.Size)
	if _, err := s.File.ReadAt(data, s.Offset); err != nil {
		t.Fatal(err)
	}
	return data
}

// follow has both brokers hear that broker 2 leads partitions in this epoch.
func (c *chase) follow(epoch int32, partitions ...int32) {
	c.t.Helper()
	c.tellLeader(epoch, partitions...)
	c.tellFollower(epoch, partitions...)
}

func (c *chase) tellLeader(epoch int32, partitions ...int32) {
	c.t.Helper()
	for _, p := range partitions {
		c.leader.set(partitionState{partition: p, leader: leaderID, epoch: epoch, isr: []int32{leaderID}, replicas: []int32{me, leaderID}})
	}
}

func (c *chase) tellFollower(epoch int32, partitions ...int32) {
	c.t.Helper()
	for _, p := range partitions {
		c.set(partitionState{partition: p, leader: leaderID, epoch: epoch, isr: []int32{leaderID}, replicas: []int32{me, leaderID}})
	}
}

// fetcher is the only one there is.
func (c *chase) fetcher() *Fetcher {
	c.t.Helper()
	if len(c.fetchers) != 1 {
		c.t.Fatalf("%d fetchers run", len(c.fetchers))
	}
	for _, f := range c.fetchers {
		return f
	}
	return nil
}

// next takes the next step, which is expected to be of that kind.
func (c *chase) next(kind StepKind) Step {
	c.t.Helper()
	step := c.fetcher().Next(c.now)
	if step.Kind != kind {
		c.t.Fatalf("step %d, want %d (%T)", step.Kind, kind, step.Request)
	}
	return step
}

// settle serves the follower until a fetch finds nothing new, and returns what was asked for meanwhile. Waits pass at once.
func (c *chase) settle() []string {
	c.t.Helper()
	c.asked = nil
	for range 200 {
		step := c.fetcher().Next(c.now)
		if step.Kind == Idle {
			if step.Until.IsZero() {
				return c.asked
			}
			c.now = step.Until
			continue
		}
		if c.serve(step) == 0 && step.Kind == Fetch && len(c.session.asks) > 0 {
			return c.asked
		}
	}
	c.t.Fatalf("the follower does not settle: %q", c.asked)
	return nil
}

// serve answers one step, and returns for how many partitions a fetch brought anything new.
func (c *chase) serve(step Step) (news int) {
	c.t.Helper()
	switch req := step.Request.(type) {
	case *kmsg.FetchRequest:
		c.fetcher().ApplyFetch(c.now, c.fetch(req))
		return c.session.news
	case *kmsg.OffsetForLeaderEpochRequest:
		c.fetcher().ApplyEpochs(c.now, c.epochs(req))
	case *kmsg.ListOffsetsRequest:
		c.fetcher().ApplyOffsets(c.now, c.offsets(req))
	}
	return 0
}

func (c *chase) note(format string, args ...any) {
	c.asked = append(c.asked, fmt.Sprintf(format, args...))
}

func (c *chase) epochs(req *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			c.note("epoch %d", p.LeaderEpoch)
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition = p.Partition
			lp, code := c.leader.Partition(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			if code == noCode {
				code = lp.CheckLeader(p.CurrentLeaderEpoch)
			}
			if rp.ErrorCode = int16(code); code == noCode {
				rp.LeaderEpoch, rp.EndOffset = lp.Log().EndOffsetForEpoch(p.LeaderEpoch)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (c *chase) offsets(req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			c.note("offset %d", p.Timestamp)
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset = p.Partition, -1
			lp, code := c.leader.Partition(protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			if code == noCode {
				code = lp.CheckLeader(p.CurrentLeaderEpoch)
			}
			switch rp.ErrorCode = int16(code); {
			case code != noCode:
			case p.Timestamp == latestOffset:
				rp.Offset = lp.Log().LogEndOffset()
			case p.Timestamp == earliestOffset:
				rp.Offset = lp.Log().LogStartOffset()
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetch answers a fetch as a leader does, and returns what the follower reads off the wire.
func (c *chase) fetch(req *kmsg.FetchRequest) *protocol.FetchResponse {
	c.t.Helper()
	resp := new(protocol.FetchResponse)
	if err := resp.Decode(req.Version, 7, c.fetchFrame(req, 7)[4:]); err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// fetchFrame is the leader's answer on the wire.
func (c *chase) fetchFrame(req *kmsg.FetchRequest, correlationID int32) []byte {
	c.t.Helper()
	s := &c.session
	full := req.SessionEpoch == 0
	if full {
		s.id, s.epoch = s.id+1, 0
		s.asks, s.order = map[protocol.TopicPartition]kmsg.FetchRequestTopicPartition{}, nil
		if s.told == nil || req.Version >= 7 {
			s.told = map[protocol.TopicPartition][2]int64{}
		}
	} else if req.SessionID != s.id || req.SessionEpoch != s.epoch {
		c.t.Fatalf("session %d epoch %d, want %d epoch %d", req.SessionID, req.SessionEpoch, s.id, s.epoch)
	}
	s.epoch++
	named := 0
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: tp0.Topic, Partition: p.Partition}
			if _, known := s.asks[tp]; !known {
				s.order = append(s.order, tp)
			}
			s.asks[tp] = p
			named++
		}
	}
	forgotten := 0
	for _, t := range req.ForgottenTopics {
		for _, p := range t.Partitions {
			delete(s.asks, protocol.TopicPartition{Topic: tp0.Topic, Partition: p})
			forgotten++
		}
	}
	kind := "incremental"
	if full {
		kind = "full"
	}
	c.note("%s %d", kind, named)
	if forgotten > 0 {
		c.note("forget %d", forgotten)
	}
	return c.encode(protocol.RequestHeader{Key: 1, Version: req.Version, CorrelationID: correlationID}, c.collect(full))
}

// collect is what a fetch finds.
func (c *chase) collect(full bool) []protocol.FetchedPartition {
	c.t.Helper()
	var parts []protocol.FetchedPartition
	c.session.news = 0
	for _, tp := range c.session.order {
		ask, asked := c.session.asks[tp]
		if !asked {
			continue
		}
		got := c.read(tp, ask)
		if c.answer != nil {
			c.answer(&got)
		}
		now := [2]int64{got.HighWatermark, got.LogStartOffset}
		told, ok := c.session.told[tp]
		if !ok || told != now || len(got.Records) > 0 || got.ErrorCode != noCode || got.DivergingEpoch.Epoch >= 0 {
			c.session.news++
		} else if !full {
			continue
		}
		c.session.told[tp] = now
		parts = append(parts, got)
	}
	return parts
}

func (c *chase) encode(h protocol.RequestHeader, parts []protocol.FetchedPartition) []byte {
	topics := min(len(parts), 1)
	buf := protocol.AppendFetchResponseHeader(nil, h, 0, noCode, c.session.id, topics)
	if topics > 0 {
		buf = protocol.AppendFetchTopic(buf, h.Version, tp0.Topic, idA, len(parts))
		for i := range parts {
			p := &parts[i]
			w := protocol.FetchPartitionResponse{Partition: p.Partition, ErrorCode: p.ErrorCode, HighWatermark: p.HighWatermark, LogStartOffset: p.LogStartOffset}
			if p.DivergingEpoch.Epoch >= 0 {
				w.DivergingEpoch = &p.DivergingEpoch
			}
			buf = protocol.AppendFetchPartition(buf, h.Version, &w, len(p.Records))
			buf = append(buf, p.Records...)
			buf = protocol.AppendFetchPartitionEnd(buf, h.Version, &w)
		}
		buf = protocol.AppendFetchTopicEnd(buf, h.Version)
	}
	buf = protocol.AppendFetchResponseEnd(buf, h.Version, nil)
	protocol.PatchFetchFrameSize(buf, 0)
	return buf
}

// read is what the leader has for one partition.
func (c *chase) read(tp protocol.TopicPartition, ask kmsg.FetchRequestTopicPartition) protocol.FetchedPartition {
	got := protocol.FetchedPartition{Partition: tp.Partition, HighWatermark: -1, LogStartOffset: -1, DivergingEpoch: protocol.EpochEndOffset{Epoch: -1, EndOffset: -1}}
	lp, code := c.leader.Partition(tp)
	if code != noCode {
		got.ErrorCode = code
		return got
	}
	var out Read
	err := lp.Read(Ask{
		Offset: ask.FetchOffset, CurrentLeaderEpoch: ask.CurrentLeaderEpoch, LastFetchedEpoch: ask.LastFetchedEpoch, Isolation: LogEnd,
		MaxBytes: int(ask.PartitionMaxBytes), MinOneBatch: true,
	}, &out)
	if err != nil {
		got.ErrorCode = codeOf(c.t, err)
		return got
	}
	defer out.Result.Slice.Release()
	got.HighWatermark, got.LogStartOffset = out.HighWatermark, out.LogStartOffset
	if out.Diverging {
		got.DivergingEpoch = protocol.EpochEndOffset{Epoch: out.DivergingEpoch, EndOffset: out.DivergingEnd}
		return got
	}
	got.Records = sliceBytes(c.t, out.Result.Slice)
	return got
}

// expectEqual checks that the follower's log of a partition holds the leader's bytes, epochs and marks.
func (c *chase) expectEqual(partition int32) {
	c.t.Helper()
	tp := protocol.TopicPartition{Topic: tp0.Topic, Partition: partition}
	want, got := c.leader.disk.Get(tp), c.disk.Get(tp)
	if want.LogStartOffset() != got.LogStartOffset() || want.LogEndOffset() != got.LogEndOffset() || want.HighWatermark() != got.HighWatermark() {
		c.t.Fatalf("log [%d, %d) with high watermark %d, the leader's [%d, %d) with %d", got.LogStartOffset(), got.LogEndOffset(), got.HighWatermark(),
			want.LogStartOffset(), want.LogEndOffset(), want.HighWatermark())
	}
	a, b := logBytes(c.t, want), logBytes(c.t, got)
	if !bytes.Equal(a, b) {
		c.t.Fatalf("%d bytes differ from the leader's %d", len(b), len(a))
	}
	for o := got.LogStartOffset(); o < got.LogEndOffset(); o++ {
		if want.EpochForOffset(o) != got.EpochForOffset(o) {
			c.t.Fatalf("offset %d is of epoch %d, on the leader of %d", o, got.EpochForOffset(o), want.EpochForOffset(o))
		}
	}
}

// logBytes is the log from its start.
func logBytes(t testing.TB, l *storage.Log) (all []byte) {
	t.Helper()
	for next := l.LogStartOffset(); next < l.LogEndOffset(); {
		var out storage.ReadResult
		if err := l.Read(next, 1<<20, l.LogEndOffset(), true, &out); err != nil {
			t.Fatal(err)
		}
		set := sliceBytes(t, out.Slice)
		out.Slice.Release()
		for rest := set; len(rest) > 0; {
			b, more, err := record.Split(rest)
			if errors.Is(err, record.ErrIncomplete) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
			next, rest = b.LastOffset()+1, more
		}
	}
	return all
}

// wrongChecksum breaks the first batch.
func wrongChecksum(records []byte) {
	if len(records) > 0 {
		binary.BigEndian.PutUint32(records[17:], ^binary.BigEndian.Uint32(records[17:]))
	}
}

// oldFormatMessage is a message of format 1 without key and value.
func oldFormatMessage(offset int64) []byte {
	body := append([]byte{1, 0}, make([]byte, 8)...)
	body = binary.BigEndian.AppendUint32(body, 1<<32-1)
	body = binary.BigEndian.AppendUint32(body, 1<<32-1)
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	return append(b, body...)
}
