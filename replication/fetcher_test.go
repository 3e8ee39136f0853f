package replication

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// A follower takes records, watermark and log start from its leader, and asks for no more than has changed.
func TestFollowerTakesFromLeader(t *testing.T) {
	for _, version := range []int16{4, 5, 7, 11, 12, 13, 17} {
		h := newChase(t, testFollowConfig(version))
		from := history(t, h.leader, 0, [2]int{0, 5})
		h.follow(1, 0)
		log := h.disk.Get(tp0)
		h.settle()
		h.expectEqual(0)
		history(t, h.leader, 0, [2]int{1, 3})
		if h.serve(h.next(Fetch)); log.LogEndOffset() != 8 || log.HighWatermark() != 5 {
			t.Errorf("Fetch %d: log end %d, high watermark %d", version, log.LogEndOffset(), log.HighWatermark())
		}
		from.SetHighWatermark(7)
		h.serve(h.next(Fetch))
		if log.HighWatermark() != 7 {
			t.Errorf("Fetch %d: high watermark %d", version, log.HighWatermark())
		}
		if err := from.IncrementLogStartOffset(4); err != nil {
			t.Fatal(err)
		}
		h.serve(h.next(Fetch))
		if want := map[bool]int64{true: 4, false: 0}[version >= 5]; log.LogStartOffset() != want {
			t.Errorf("Fetch %d: log start %d, want %d", version, log.LogStartOffset(), want)
		}
	}
}

// What the request says of the follower itself.
func TestFetchRequestOfAFollower(t *testing.T) {
	for _, version := range []int16{5, 12, 13, 14, 15, 17} {
		h := newChase(t, testFollowConfig(version))
		h.copyHistory(history(t, h.leader, 0, [2]int{0, 5}), 3)
		h.follow(1, 0)
		step := h.next(map[bool]StepKind{true: Fetch, false: AskEpochs}[version >= 12])
		if step.Kind == AskEpochs {
			h.serve(step)
			step = h.next(Fetch)
		}
		req := step.Request.(*kmsg.FetchRequest)
		id, epoch := req.ReplicaID, req.ReplicaState.Epoch
		if version >= 15 {
			if id != -1 {
				t.Errorf("Fetch %d: replica id %d beside the replica's state", version, id)
			}
			id = req.ReplicaState.ID
		}
		if id != me || version >= 15 && epoch != brokerEpoch || version < 15 && epoch != -1 {
			t.Errorf("Fetch %d: replica %d with broker epoch %d", version, id, epoch)
		}
		if req.Version != version || req.MaxWaitMillis != 500 || req.MinBytes != 1 || req.MaxBytes != 10<<20 {
			t.Errorf("Fetch %d: %+v", version, req)
		}
		p := req.Topics[0].Partitions[0]
		want := kmsg.NewFetchRequestTopicPartition()
		want.CurrentLeaderEpoch, want.FetchOffset, want.LastFetchedEpoch, want.LogStartOffset, want.PartitionMaxBytes = 1, 3, -1, 0, 1<<20
		if version >= 12 {
			want.LastFetchedEpoch = 0
		}
		if p.CurrentLeaderEpoch != want.CurrentLeaderEpoch || p.FetchOffset != want.FetchOffset || p.LastFetchedEpoch != want.LastFetchedEpoch ||
			p.LogStartOffset != want.LogStartOffset || p.PartitionMaxBytes != want.PartitionMaxBytes {
			t.Errorf("Fetch %d: %+v, want %+v", version, p, want)
		}
	}
}

// failing makes the leader answer code for partition 0 as long as *on.
func (c *chase) failing(code protocol.ErrorCode, on *bool) {
	c.answer = func(p *protocol.FetchedPartition) {
		if p.Partition == 0 && *on {
			*p = protocol.FetchedPartition{ErrorCode: code, HighWatermark: -1, LogStartOffset: -1, DivergingEpoch: protocol.EpochEndOffset{Epoch: -1, EndOffset: -1}}
		}
	}
}

// asksFor reports whether the leader was last asked for a partition.
func (c *chase) asksFor(partition int32) bool {
	_, ok := c.session.asks[protocol.TopicPartition{Topic: tp0.Topic, Partition: partition}]
	return ok
}

// After an error a partition waits, ever longer up to replica.fetch.backoff.ms, and then goes on; the others are not held up.
func TestPartitionErrorsWait(t *testing.T) {
	for _, code := range []protocol.ErrorCode{
		protocol.NotLeaderOrFollower, protocol.UnknownLeaderEpoch, protocol.UnknownTopicOrPartition, protocol.UnknownTopicID, protocol.InconsistentTopicID,
		protocol.KafkaStorageError, protocol.CorruptMessage, protocol.UnknownServerError,
	} {
		h := newChase(t, testFollowConfig(17))
		history(t, h.leader, 0, [2]int{0, 5})
		other := history(t, h.leader, 1, [2]int{0, 2})
		h.follow(1, 0, 1)
		on := true
		h.failing(code, &on)
		for i := range 7 {
			h.serve(h.next(Fetch))
			if !h.asksFor(0) {
				t.Fatalf("%v: not asked for again after error %d", code, i)
			}
			h.now = h.now.Add(time.Second>>max(4-i, 0) - 1)
			if h.serve(h.next(Fetch)); h.asksFor(0) {
				t.Fatalf("%v: asked for again before its time, after error %d", code, i)
			}
			if got := h.disk.Get(other.TopicPartition()); got.LogEndOffset() != other.LogEndOffset() {
				t.Fatalf("%v: the other partition ends at %d, on the leader at %d", code, got.LogEndOffset(), other.LogEndOffset())
			}
			history(t, h.leader, 1, [2]int{1, 1})
			h.now = h.now.Add(1)
		}
		on = false
		h.settle()
		h.expectEqual(0)
		h.expectEqual(1)
	}
}

// A fenced follower asks no more until the controller tells the next leader epoch.
func TestFencedPartitionAwaitsController(t *testing.T) {
	for _, version := range []int16{17, 11} {
		h := newChase(t, testFollowConfig(version))
		h.copyHistory(history(t, h.leader, 0, [2]int{0, 5}), 2)
		h.tellLeader(4, 0)
		h.tellFollower(3, 0)
		h.settle()
		if log := h.disk.Get(tp0); log.LogEndOffset() != 2 {
			t.Errorf("Fetch %d: the log ends at %d; asked %q", version, log.LogEndOffset(), h.asked)
		}
		h.now = h.now.Add(time.Hour)
		if step := h.next(Idle); !step.Until.IsZero() {
			t.Errorf("Fetch %d: waits until %v", version, step.Until)
		}
		h.tellFollower(4, 0)
		h.settle()
		h.expectEqual(0)
	}
}

// Records with a wrong checksum are not taken, and asked for again.
func TestCorruptRecordsAreFetchedAgain(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 5})
	h.follow(1, 0)
	h.answer = func(p *protocol.FetchedPartition) { wrongChecksum(p.Records) }
	h.serve(h.next(Fetch))
	if log := h.disk.Get(tp0); log.LogEndOffset() != 0 || log.HighWatermark() != 0 {
		t.Errorf("log end %d, high watermark %d", log.LogEndOffset(), log.HighWatermark())
	}
	h.answer = nil
	h.settle()
	h.expectEqual(0)
}

// A partition whose log refuses what the leader sends fails alone (KIP-461), until the next leader epoch.
func TestFailedPartitionHoldsUpNobody(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 5})
	history(t, h.leader, 1, [2]int{0, 5})
	h.follow(1, 0, 1)
	first := []byte(nil)
	h.answer = func(p *protocol.FetchedPartition) {
		if p.Partition == 0 && first == nil {
			first = slices.Clone(p.Records)
			p.Records = append(p.Records, first...) // offsets that go back
		}
	}
	h.settle()
	if log := h.disk.Get(tp0); log.LogEndOffset() != 0 || h.asksFor(0) {
		t.Errorf("the log ends at %d, asked for again: %v", log.LogEndOffset(), h.asksFor(0))
	}
	h.expectEqual(1)
	h.follow(2, 0)
	h.settle()
	h.expectEqual(0)
}

// A leader whose log starts inside a batch sends all of that batch to a follower that has nothing (KAFKA-6975).
func TestLeaderStartsInsideBatch(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	from := history(t, h.leader, 0)
	var out storage.AppendResult
	for range 2 {
		if err := from.AppendAsLeader(batch(10), 0, storage.FromClient, &out); err != nil {
			t.Fatal(err)
		}
	}
	h.tellLeader(1, 0)
	from.SetHighWatermark(20)
	if err := from.IncrementLogStartOffset(14); err != nil {
		t.Fatal(err)
	}
	h.tellFollower(1, 0)
	h.settle()
	log := h.disk.Get(tp0)
	if log.LogStartOffset() != 14 || log.LogEndOffset() != 20 || log.HighWatermark() != 20 {
		t.Errorf("log [%d, %d), high watermark %d", log.LogStartOffset(), log.LogEndOffset(), log.HighWatermark())
	}
	if string(logBytes(t, log)) != string(logBytes(t, from)) {
		t.Error("other bytes than the leader's")
	}
}

// An answer that comes after the role has changed counts for nothing: not for a new leader epoch, not for a leader, not for a replica that is gone (KAFKA-13207).
func TestLateAnswers(t *testing.T) {
	for name, change := range map[string]func(*chase){
		"new leader epoch": func(h *chase) { h.tellFollower(2, 0) },
		"became leader":    func(h *chase) { h.lead(2, me) },
		"stopped":          func(h *chase) { h.StopReplica(stopRequest(1, -1, 5, false)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newChase(t, testFollowConfig(17))
			h.copyHistory(history(t, h.leader, 0, [2]int{0, 5}), 2)
			h.follow(1, 0)
			log, f := h.disk.Get(tp0), h.fetcher()
			resp := h.fetch(h.next(Fetch).Request.(*kmsg.FetchRequest)) // the leader is not in the new epoch yet
			change(h)
			hw := log.HighWatermark()
			f.ApplyFetch(h.now, resp)
			if log.LogEndOffset() != 2 || log.HighWatermark() != hw {
				t.Errorf("log end %d, high watermark %d", log.LogEndOffset(), log.HighWatermark())
			}
		})
	}
}

// The log itself is fenced, too: what belongs to another leader epoch than the one in force, or comes to a leader, changes nothing.
func TestFollowerIsFencedByEpoch(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	from := history(t, h.leader, 0, [2]int{0, 5})
	log := h.copyHistory(from, 2)
	var out storage.ReadResult
	if err := from.Read(2, 1<<20, 5, true, &out); err != nil {
		t.Fatal(err)
	}
	defer out.Slice.Release()
	got := &protocol.FetchedPartition{HighWatermark: 5, LogStartOffset: 1, Records: sliceBytes(t, out.Slice)}
	refused := func(when string, epoch int32) {
		t.Helper()
		p, _ := h.Partition(tp0)
		_, _, err := p.replicate(epoch, 2, got)
		cut, restart := p.truncateAsFollower(epoch, 1), p.startAsFollowerAt(epoch, 9)
		if err != errNotFollowing || cut != errNotFollowing || restart != errNotFollowing {
			t.Errorf("%s: %v, %v, %v", when, err, cut, restart)
		}
		if log.LogEndOffset() != 2 || log.LogStartOffset() != 0 {
			t.Fatalf("%s: log [%d, %d)", when, log.LogStartOffset(), log.LogEndOffset())
		}
	}
	h.tellFollower(3, 0)
	refused("an earlier leader epoch", 2)
	refused("a later leader epoch", 4)
	h.lead(4, me)
	refused("a leader", 4)
	h.tellFollower(5, 0)
	if end, epoch, err := h.mustPartition().replicate(5, 2, got); end != 5 || epoch != 0 || err != nil || log.HighWatermark() != 5 || log.LogStartOffset() != 1 {
		t.Errorf("end %d, epoch %d, %v; high watermark %d, log start %d", end, epoch, err, log.HighWatermark(), log.LogStartOffset())
	}
	if _, _, err := h.mustPartition().replicate(5, 4, got); err == nil {
		t.Error("records for another offset than the log end are taken")
	}
}

func (c *chase) mustPartition() *Partition {
	c.t.Helper()
	p, code := c.Partition(tp0)
	if code != noCode {
		c.t.Fatal(code)
	}
	return p
}

// News of the brokers that come while a request fails end the wait that follows.
func TestRetryDuringRequest(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 5})
	h.follow(1, 0)
	h.next(Fetch)
	h.fetcher().Failed(h.now)
	if step := h.next(Idle); step.Until.Sub(h.now) != time.Second {
		t.Errorf("waits %v", step.Until.Sub(h.now))
	}
	h.BrokersChanged()
	h.next(Fetch)
	h.BrokersChanged()
	h.fetcher().Failed(h.now)
	h.next(Fetch)
}

// A Fetcher that follows nothing any more is stopped; so are all when the broker stops.
func TestIdleFetchersAreStopped(t *testing.T) {
	cfg := testFollowConfig(17)
	cfg.Fetchers = 2
	h := newChase(t, cfg)
	for p := range int32(4) {
		history(t, h.leader, p, [2]int{0, 1})
	}
	h.follow(1, 0, 1, 2, 3)
	if len(h.fetchers) != 2 {
		t.Fatalf("%d fetchers", len(h.fetchers))
	}
	for _, p := range []int32{0, 2} {
		h.set(partitionState{partition: p, leader: me, epoch: 2, isr: []int32{me}, replicas: []int32{me, leaderID}})
	}
	if len(h.fetchers) != 1 || h.stopped != 1 {
		t.Errorf("%d fetchers, %d stopped", len(h.fetchers), h.stopped)
	}
	h.ResizeFetchers(1)
	if len(h.fetchers) != 1 || h.fetcher().ID() != 0 || h.stopped != 2 {
		t.Errorf("%d fetchers, %d stopped", len(h.fetchers), h.stopped)
	}
	h.settle()
	h.expectEqual(1)
	h.expectEqual(3)
	h.Close()
	if len(h.fetchers) != 0 || h.stopped != 3 {
		t.Errorf("%d fetchers, %d stopped", len(h.fetchers), h.stopped)
	}
	h.tellFollower(3, 0)
	if len(h.fetchers) != 0 {
		t.Error("a fetcher was started while the broker stops")
	}
}

// A failed log directory takes its partitions out of their Fetcher.
func TestDirFailureStopsFollowing(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 1})
	h.follow(1, 0)
	h.DirFailed(h.disk.Get(tp0).Dir())
	if len(h.fetchers) != 0 {
		t.Error("still followed")
	}
}

// A log that cannot be written fails its partition.
func TestAppendErrorFailsPartition(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	h.follow(1, 0)
	h.settle()
	if err := os.RemoveAll(filepath.Join(h.disk.Get(tp0).Dir(), "t-0")); err != nil {
		t.Fatal(err)
	}
	history(t, h.leader, 0, [2]int{0, 2}) // the first batch makes files in the directory that is gone
	h.settle()
	if h.asksFor(0) {
		t.Error("still asked for")
	}
	select {
	case <-h.failed:
	case <-time.After(10 * time.Second):
		t.Error("the directory has not failed")
	}
}

// A partition without a leader is not followed and keeps its watermark (KAFKA-1647).
func TestNoLeader(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 5})
	h.follow(1, 0)
	h.settle()
	h.set(partitionState{leader: -1, epoch: 2, isr: []int32{leaderID}, replicas: []int32{me, leaderID}})
	if len(h.fetchers) != 0 {
		t.Error("nobody is followed")
	}
	if log := h.disk.Get(tp0); log.HighWatermark() != 5 || log.LogEndOffset() != 5 {
		t.Errorf("log end %d, high watermark %d", log.LogEndOffset(), log.HighWatermark())
	}
	h.follow(3, 0)
	h.settle()
	h.expectEqual(0)
}

// A broker that starts again has its watermark, and goes on behind its log end.
func TestFollowerStartsAgain(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 5})
	h.follow(1, 0)
	h.settle()
	if err := h.disk.Close(true); err != nil {
		t.Fatal(err)
	}
	again := newChase(t, testFollowConfig(17))
	again.disk.Close(false)
	again.replica.cfg.Dirs = h.replica.cfg.Dirs
	again.replica.open()
	if log := again.disk.Get(tp0); log.HighWatermark() != 5 || log.LogEndOffset() != 5 || log.LatestEpoch() != 0 {
		t.Errorf("log end %d, high watermark %d, epoch %d", log.LogEndOffset(), log.HighWatermark(), log.LatestEpoch())
	}
}

// Partitions go to Fetchers as in Apache Kafka: abs(31 * topic.hashCode() + partition) % num.replica.fetchers.
func TestFetcherID(t *testing.T) {
	for _, c := range []struct {
		topic     string
		partition int32
		count     int
		want      int
	}{
		{"t", 0, 1000, 596}, {"t", 7, 1000, 603}, {"__consumer_offsets", 49, 7, 6}, {"polygenelubricants", 0, 5, 0}, {"orders", 3, 4, 2},
	} {
		if got := fetcherID(protocol.TopicPartition{Topic: c.topic, Partition: c.partition}, c.count); got != c.want {
			t.Errorf("%s-%d of %d: %d, want %d", c.topic, c.partition, c.count, got, c.want)
		}
	}
}
