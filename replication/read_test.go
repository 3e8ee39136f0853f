package replication

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"gregor/protocol"
	"gregor/storage"
)

// Leader epoch fencing (KIP-320), the same for reads and for CheckLeader.
func TestCheckLeader(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(5, 1)
	check := func(role string, want map[int32]protocol.ErrorCode) {
		for epoch, code := range want {
			var rd Read
			if got := p.CheckLeader(epoch); got != code {
				t.Errorf("%s, epoch %d: %v, want %v", role, epoch, got, code)
			}
			if got := codeOf(t, p.Read(Ask{CurrentLeaderEpoch: epoch, LastFetchedEpoch: -1}, &rd)); got != code {
				t.Errorf("%s, read in epoch %d: %v, want %v", role, epoch, got, code)
			}
		}
	}
	check("leader", map[int32]protocol.ErrorCode{
		-1: noCode, 5: noCode, 6: protocol.UnknownLeaderEpoch, 4: protocol.FencedLeaderEpoch, -2: protocol.FencedLeaderEpoch,
	})
	r.set(partitionState{leader: 2, epoch: 6, isr: []int32{1, 2}, replicas: []int32{1, 2}})
	check("follower", map[int32]protocol.ErrorCode{
		-1: protocol.NotLeaderOrFollower, 6: protocol.NotLeaderOrFollower, 5: protocol.FencedLeaderEpoch, 7: protocol.UnknownLeaderEpoch,
	})
	var out storage.AppendResult
	if got := codeOf(t, p.Append(batch(1), 1, storage.FromClient, &out)); got != protocol.NotLeaderOrFollower {
		t.Errorf("an append to a follower: %v", got)
	}
	if _, err := p.DeleteRecords(0); codeOf(t, err) != protocol.NotLeaderOrFollower {
		t.Errorf("DeleteRecords of a follower: %v", err)
	}
}

// A reader whose log ends otherwise than ours is told where to truncate (KIP-595); an offset below the log start or an epoch nobody had comes first (KAFKA-12996).
func TestDivergingEpoch(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(2, 1)
	mustAppend(t, p, 10, 1) // epoch 2: offsets 0 to 9
	r.lead(5, 1)
	mustAppend(t, p, 10, 1) // epoch 5: offsets 10 to 19
	r.lead(7, 1)            // epoch 7: nothing yet
	for _, tc := range []struct {
		name        string
		offset      int64
		lastFetched int32
		want        protocol.ErrorCode
		diverging   bool
		epoch       int32
		end         int64
	}{
		{name: "not compared", offset: 20, lastFetched: -1},
		{name: "at the end", offset: 20, lastFetched: 5},
		{name: "at the end of an older epoch", offset: 10, lastFetched: 2},
		{name: "inside", offset: 15, lastFetched: 5},
		{name: "beyond the epoch's end", offset: 12, lastFetched: 2, diverging: true, epoch: 2, end: 10},
		{name: "an epoch between ours", offset: 12, lastFetched: 3, diverging: true, epoch: 2, end: 10},
		{name: "before our first epoch", offset: 1, lastFetched: 1, diverging: true, epoch: 1, end: 0},
		{name: "the current epoch, beyond the end", offset: 25, lastFetched: 7, diverging: true, epoch: 7, end: 20},
		{name: "an epoch to come", offset: 20, lastFetched: 8, want: protocol.OffsetOutOfRange},
		{name: "below the log start", offset: -1, lastFetched: 5, want: protocol.OffsetOutOfRange},
	} {
		var rd Read
		err := p.Read(Ask{Offset: tc.offset, CurrentLeaderEpoch: -1, LastFetchedEpoch: tc.lastFetched, Isolation: LogEnd, MaxBytes: 1 << 20, MinOneBatch: true}, &rd)
		if got := codeOf(t, err); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		if rd.Diverging != tc.diverging || tc.diverging && (rd.DivergingEpoch != tc.epoch || rd.DivergingEnd != tc.end || rd.Result.Slice.Size != 0) {
			t.Errorf("%s: diverging %v in %d at %d, %d bytes", tc.name, rd.Diverging, rd.DivergingEpoch, rd.DivergingEnd, rd.Result.Slice.Size)
		}
		rd.Result.Slice.Release()
	}
}

// The isolation bounds what is read.
func TestReadIsolation(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1)
	mustAppend(t, p, 4, 1)
	r.lead(1, 1, 2)
	mustAppend(t, p, 4, 1) // not committed: broker 2 lacks it
	for isolation, want := range map[Isolation]int{LogEnd: 2, HighWatermark: 1, LastStableOffset: 1} {
		var rd Read
		if err := p.Read(Ask{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Isolation: isolation, MaxBytes: 1 << 20}, &rd); err != nil {
			t.Fatal(err)
		}
		if got, size := rd.Result.Slice.Size, len(batch(4)); got != want*size || rd.HighWatermark != 4 || rd.LastStableOffset != 4 || rd.LogStartOffset != 0 {
			t.Errorf("isolation %d: %d bytes of batches of %d; %+v", isolation, got, size, rd)
		}
		rd.Result.Slice.Release()
	}
}

func TestDeleteRecords(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1)
	mustAppend(t, p, 10, 1)
	r.lead(1, 1, 2)
	mustAppend(t, p, 10, 1) // above the high watermark of 10
	for _, tc := range []struct {
		before, required, start int64
		want                    protocol.ErrorCode
	}{{3, 3, 3, noCode}, {2, 2, 3, noCode}, {11, -1, 3, protocol.OffsetOutOfRange}, {-2, -1, 3, protocol.OffsetOutOfRange}, {-1, 10, 10, noCode}} {
		required, err := p.DeleteRecords(tc.before)
		if got, start := codeOf(t, err), p.Log().LogStartOffset(); got != tc.want || required != tc.required || start != tc.start {
			t.Errorf("before %d: %d, %v, log start %d; want %d, %v, %d", tc.before, required, got, start, tc.required, tc.want, tc.start)
		}
	}
	r.restart()
	if p := r.lead(2, 1, 2); p.Log().LogStartOffset() != 10 {
		t.Errorf("log start %d after a restart", p.Log().LogStartOffset())
	}
}

// A failed directory takes its partitions with it, and only its own.
func TestDirFailed(t *testing.T) {
	r := newReplica(t, 2, 1)
	var states []partitionState
	for i := range int32(4) {
		states = append(states, partitionState{partition: i, leader: me, epoch: 3, isr: []int32{1}, replicas: []int32{1}, isNew: true})
	}
	states[3].leader = 2
	if code, codes := r.leaderAndISR(1, -1, idA, states...); code != noCode || slices.Max(codes) != noCode {
		t.Fatal(code, codes)
	}
	all := r.Partitions()
	r.told()
	dead := all[0].Log().Dir()
	r.DirFailed(dead)
	ledThere := 0
	for _, p := range all {
		_, code := r.Partition(p.TopicPartition())
		want := noCode
		if p.Log().Dir() == dead {
			want = protocol.KafkaStorageError
			if leader, _ := p.Leader(); leader == me {
				ledThere++
			}
		}
		if code != want {
			t.Errorf("%v in %s: %v, want %v", p.TopicPartition(), p.Log().Dir(), code, want)
		}
		if want == noCode {
			continue
		}
		var out storage.AppendResult
		if got := codeOf(t, p.Append(batch(1), 1, storage.FromClient, &out)); got != want {
			t.Errorf("an append there: %v", got)
		}
		index := p.TopicPartition().Partition
		if _, codes := r.leaderAndISR(1, -1, idA, partitionState{partition: index, leader: me, epoch: 9, isr: []int32{1}, replicas: []int32{1}}); codes[0] != want {
			t.Errorf("LeaderAndIsr there: %v", codes)
		}
		stop := stopRequest(1, -1, epochDuringDelete, true)
		stop.Topics[0].PartitionStates[0].Partition = index
		if got := protocol.ErrorCode(r.StopReplica(stop).Partitions[0].ErrorCode); got != want {
			t.Errorf("StopReplica there: %v", got)
		}
	}
	if moves := r.told(); len(moves) != ledThere {
		t.Errorf("told %v; %d leaders were lost", moves, ledThere)
	}
}

// A partition whose log cannot be made is offline.
func TestLogCannotBeMade(t *testing.T) {
	r := newReplica(t, 1, 1)
	dir := r.cfg.Dirs[0]
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, codes := r.leaderAndISR(1, -1, idA, partitionState{leader: me, isr: []int32{1}, replicas: []int32{1}, isNew: true}); codes[0] != protocol.KafkaStorageError {
			t.Fatalf("answered %v", codes)
		}
	}
	if got := <-r.failed; got != dir {
		t.Errorf("directory %s failed", got)
	}
	if _, code := r.Partition(tp0); code != protocol.KafkaStorageError {
		t.Errorf("the partition: %v", code)
	}
}

// Appends race with changes of role: every append lands whole in the epoch it was let in, epochs ascend with the offsets, and the watermark never
// falls or passes the log end.
func TestAppendsRaceWithRoles(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1)
	stop := make(chan struct{})
	var writers, watcher sync.WaitGroup
	var mu sync.Mutex
	acked := map[int64]bool{}
	for range 3 {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var out storage.AppendResult
				err := p.Append(batch(2), 1, storage.FromClient, &out)
				switch {
				case err == nil:
					mu.Lock()
					if acked[out.BaseOffset] {
						t.Errorf("offset %d was given twice", out.BaseOffset)
					}
					acked[out.BaseOffset] = true
					mu.Unlock()
				case !errors.Is(err, protocol.NotLeaderOrFollower):
					t.Error(err)
					return
				}
			}
		})
	}
	watcher.Go(func() {
		w, last := NewWaiter(), int64(0)
		p.Watch(w, HighWatermark)
		defer p.Unwatch(w)
		for {
			select {
			case <-stop:
				return
			case <-w.C:
			}
			hw := p.Log().HighWatermark()
			if end := p.Log().LogEndOffset(); hw < last || hw > end {
				t.Errorf("watermark %d after %d, log end %d", hw, last, end)
			}
			last = hw
		}
	})
	for epoch := int32(1); epoch <= 60; epoch++ {
		s := partitionState{leader: me, epoch: epoch, isr: []int32{1}, replicas: []int32{1, 2}}
		if epoch%3 == 0 {
			s.leader = 2
		}
		r.set(s)
		mustRead(t, p, epoch)
	}
	close(stop)
	writers.Wait()
	watcher.Wait()
	p = r.set(partitionState{leader: me, epoch: 100, isr: []int32{1}, replicas: []int32{1}})
	if got := p.Log().LogEndOffset(); got != int64(2*len(acked)) || p.Log().HighWatermark() != got {
		t.Errorf("%d appends were acknowledged; the log ends at %d, watermark %d", len(acked), got, p.Log().HighWatermark())
	}
}

// mustRead reads while roles move: a follower refuses, a leader answers.
func mustRead(t *testing.T, p *Partition, epoch int32) {
	t.Helper()
	var rd Read
	err := p.Read(Ask{CurrentLeaderEpoch: epoch, LastFetchedEpoch: -1, Isolation: LogEnd, MaxBytes: 100}, &rd)
	if leads := epoch%3 != 0; leads != (err == nil) {
		t.Errorf("epoch %d: %v", epoch, err)
	}
	rd.Result.Slice.Release()
}
