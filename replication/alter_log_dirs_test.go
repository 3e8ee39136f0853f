package replication

import (
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/storage"
)

// inPieces has moves copy a batch at a time, by hand.
func (r *replica) inPieces() *Mover {
	r.Manager.cfg.Move = MoveConfig{MaxBytes: 1}
	return r.NewMover()
}

// moveTo begins to move partition 0 to log directory i.
func (r *replica) moveTo(i int, want protocol.ErrorCode) {
	r.t.Helper()
	if code := r.AlterLogDir(tp0, r.cfg.Dirs[i]); code != want {
		r.t.Fatalf("moving to %d: %v, want %v", i, code, want)
	}
}

// steps takes n steps, or all there are when n is -1.
func (r *replica) steps(mv *Mover, n int) {
	r.t.Helper()
	for i := 0; i != n; i++ {
		if _, idle := mv.Step(time.Unix(1_700_000_000, 0)); idle && n < 0 {
			return
		}
		if i > 1000 {
			r.t.Fatal("it does not end")
		}
	}
}

// contents is everything in a log, batch by batch.
func contents(t testing.TB, l Log) (all []byte) {
	t.Helper()
	for offset := l.LogStartOffset(); offset < l.LogEndOffset(); {
		set, err := l.ReadBytes(offset, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, last, ok := storage.BatchOffsets(set)
		if !ok {
			t.Fatalf("no batch at offset %d", offset)
		}
		all, offset = append(all, set...), last+1
	}
	return all
}

// A log moves while it is read and written, and while its tail is cut and its head deleted: it ends in the other directory as it would have without the move.
func TestMoveOfALogInUse(t *testing.T) {
	for _, tc := range []struct {
		name     string
		then     func(t *testing.T, r *replica, p *Partition) // when half of the log is copied
		from, to int64
	}{
		{"nothing happens", func(*testing.T, *replica, *Partition) {}, 0, 20},
		{"it grows", func(t *testing.T, _ *replica, p *Partition) { mustAppend(t, p, 2, 1); mustAppend(t, p, 3, 1) }, 0, 25},
		{"its head is deleted, the copy's with it", func(t *testing.T, _ *replica, p *Partition) { deleteBefore(t, p, 5) }, 5, 20},
		{"its head is deleted, with all that is copied", func(t *testing.T, _ *replica, p *Partition) { deleteBefore(t, p, 15) }, 15, 20},
		{"all is deleted", func(t *testing.T, _ *replica, p *Partition) { deleteBefore(t, p, 20) }, 20, 20},
		{"another leads and cuts what is copied", func(t *testing.T, r *replica, p *Partition) {
			r.set(partitionState{leader: 2, epoch: 2, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
			if err := p.truncateAsFollower(2, 6); err != nil {
				t.Fatal(err)
			}
			followOther(t, p, 2, 6, 3)
		}, 0, 12},
		{"another leads and cuts what is not copied yet", func(t *testing.T, r *replica, p *Partition) {
			r.set(partitionState{leader: 2, epoch: 2, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
			if err := p.truncateAsFollower(2, 18); err != nil {
				t.Fatal(err)
			}
		}, 0, 18},
		{"another leads and its log begins later", func(t *testing.T, r *replica, p *Partition) {
			r.set(partitionState{leader: 2, epoch: 2, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
			if err := p.startAsFollowerAt(2, 100); err != nil {
				t.Fatal(err)
			}
			followOther(t, p, 2, 100, 4)
		}, 100, 108},
		{"the broker is started anew", func(t *testing.T, r *replica, p *Partition) {
			r.restart()
			r.Manager.cfg.Move.MaxBytes = 1
			r.lead(3, 1)
		}, 0, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t, 2, 1)
			mv := r.inPieces()
			p := r.lead(1, 1)
			for range 10 {
				mustAppend(t, p, 2, 1)
			}
			first := p.Log()
			r.moveTo(1, noCode)
			r.steps(mv, 5)
			if future := p.Future(); future == nil || future.LogEndOffset() == 0 || future.LogEndOffset() > 14 {
				t.Fatalf("half-way the future log is %v", future)
			}
			tc.then(t, r, p)
			p, _ = r.Partition(tp0) // after a restart it is another one
			old := p.Log()
			want, hw, epoch := contents(t, old), old.HighWatermark(), old.LatestEpoch()
			if first == old {
				r.steps(mv, -1)
			} else {
				r.steps(r.inPieces(), -1)
			}
			l := p.Log()
			if l.Dir() != r.cfg.Dirs[1] || p.Future() != nil {
				t.Fatalf("the log is in %s, its future log %v", l.Dir(), p.Future())
			}
			if l.LogStartOffset() != tc.from || l.LogEndOffset() != tc.to || l.HighWatermark() != hw || l.LatestEpoch() != epoch || string(contents(t, l)) != string(want) {
				t.Errorf("the log is [%d, %d) with watermark %d and epoch %d, want [%d, %d) with %d and %d; equal contents: %v", l.LogStartOffset(), l.LogEndOffset(),
					l.HighWatermark(), l.LatestEpoch(), tc.from, tc.to, hw, epoch, string(contents(t, l)) == string(want))
			}
			if p.IsLeader() {
				mustAppend(t, p, 1, 1)
				if p.Log().LogEndOffset() != tc.to+1 {
					t.Error("the moved log does not grow")
				}
			}
		})
	}
}

func deleteBefore(t *testing.T, p *Partition, offset int64) {
	t.Helper()
	if _, err := p.DeleteRecords(offset); err != nil {
		t.Fatal(err)
	}
}

// followOther appends batches of two records as another leader sent them.
func followOther(t *testing.T, p *Partition, epoch int32, offset int64, batches int) {
	t.Helper()
	for range batches {
		b := record.Batch(batch(2))
		b.SetBaseOffset(offset)
		b.SetLeaderEpoch(epoch)
		if err := p.appendAsFollower(epoch, offset, b); err != nil {
			t.Fatal(err)
		}
		offset += 2
	}
}

// A future log that was there before the broker's start is cut to where it parts from the log, which a power failure or other brokers may have changed meanwhile.
func TestFutureOfAnEarlierLife(t *testing.T) {
	for _, tc := range []struct {
		name        string
		log, future runs
		hw          int64 // of the future log
		shared      int64
	}{
		{"behind", runs{{0, 10}}, runs{{0, 4}}, 0, 4},
		{"equal", runs{{0, 10}}, runs{{0, 10}}, 0, 10},
		{"ahead of a log that lost its tail", runs{{0, 4}}, runs{{0, 9}}, 3, 4},
		{"of another leader's records", runs{{0, 4}, {2, 6}}, runs{{0, 4}, {1, 6}}, 0, 4},
		{"of records that the log lost with their epoch", runs{{0, 4}}, runs{{0, 4}, {1, 6}}, 6, 4},
		{"of epochs that the log never had", runs{{0, 2}, {3, 6}}, runs{{0, 2}, {1, 3}, {2, 3}}, 0, 2},
		{"of a log that is empty now", nil, runs{{0, 4}}, 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t, 2, 1)
			p := r.lead(0, 1)
			future, err := r.disk.CreateFuture(tp0, r.cfg.Dirs[1])
			if err != nil {
				t.Fatal(err)
			}
			for l, history := range map[Log]runs{p.Log(): tc.log, future: tc.future} {
				for _, run := range history {
					for range run[1] {
						b := record.Batch(batch(1))
						b.SetBaseOffset(l.LogEndOffset())
						b.SetLeaderEpoch(int32(run[0]))
						if err := l.AppendAsFollower(b); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			future.SetHighWatermark(tc.hw)
			r.restart()
			p = r.lead(7, 1)
			if got := p.Future().LogEndOffset(); got != tc.shared {
				t.Errorf("the future log is taken up to %d, want %d", got, tc.shared)
			}
			want := contents(t, p.Log())
			r.steps(r.inPieces(), -1)
			if p.Log().Dir() != r.cfg.Dirs[1] || string(contents(t, p.Log())) != string(want) || p.Log().LatestEpoch() != 7 {
				t.Errorf("moved to %s, ends at %d in epoch %d", p.Log().Dir(), p.Log().LogEndOffset(), p.Log().LatestEpoch())
			}
		})
	}
}

// What AlterReplicaLogDirs answers, and what becomes of a move.
func TestAlterLogDir(t *testing.T) {
	r := newReplica(t, 3, 1)
	mv := r.inPieces()
	unknown := protocol.TopicPartition{Topic: "u", Partition: 3}
	long := protocol.TopicPartition{Topic: string(make([]byte, 249))}
	for _, tc := range []struct {
		tp   protocol.TopicPartition
		dir  string
		want protocol.ErrorCode
	}{
		{tp0, "/nowhere", protocol.LogDirNotFound}, {tp0, "", protocol.LogDirNotFound}, {long, r.cfg.Dirs[0], protocol.InvalidTopicException},
		{unknown, r.cfg.Dirs[2], protocol.UnknownTopicOrPartition}, {tp0, r.cfg.Dirs[2], protocol.UnknownTopicOrPartition},
	} {
		if got := r.AlterLogDir(tc.tp, tc.dir); got != tc.want {
			t.Errorf("%.20v to %q: %v, want %v", tc.tp, tc.dir, got, tc.want)
		}
	}
	p := r.lead(1, 1)
	if p.Log().Dir() != r.cfg.Dirs[2] {
		t.Errorf("the log is made in %s, not where it was wanted", p.Log().Dir())
	}
	for range 20 {
		mustAppend(t, p, 1, 1)
	}
	for _, step := range []struct {
		to     int
		future string
	}{
		{2, ""}, {0, r.cfg.Dirs[0]}, {0, r.cfg.Dirs[0]}, {1, r.cfg.Dirs[1]}, {2, ""}, {1, r.cfg.Dirs[1]},
	} {
		r.moveTo(step.to, noCode)
		r.steps(mv, 3)
		if _, future := p.dirs(); future != step.future {
			t.Errorf("after a move to %d the future log is in %q, want %q", step.to, future, step.future)
		}
	}
	r.steps(mv, -1)
	if p.Log().Dir() != r.cfg.Dirs[1] || p.Log().LogEndOffset() != 20 {
		t.Errorf("moved to %s, ends at %d", p.Log().Dir(), p.Log().LogEndOffset())
	}
	if len(r.Manager.moves.mu.known)+len(r.Manager.moves.mu.waiting) > 0 {
		t.Error("moves are left")
	}
}

// A partition that leaves, or a directory that fails, ends the move; what stays is in use.
func TestMoveEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, r *replica)
		want protocol.ErrorCode // of the partition
	}{
		{"the topic is deleted", func(t *testing.T, r *replica) { r.stop(tp0, epochDuringDelete, true) }, protocol.UnknownTopicOrPartition},
		{"the replica stops", func(t *testing.T, r *replica) { r.stop(tp0, noEpoch, false) }, protocol.UnknownTopicOrPartition},
		{"the directory that it moves to fails", func(t *testing.T, r *replica) { r.DirFailed(r.cfg.Dirs[1]) }, noCode},
		{"the directory that it lies in fails", func(t *testing.T, r *replica) { r.DirFailed(r.cfg.Dirs[0]) }, protocol.KafkaStorageError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t, 2, 1)
			mv := r.inPieces()
			p := r.lead(1, 1)
			for range 10 {
				mustAppend(t, p, 1, 1)
			}
			r.moveTo(1, noCode)
			r.steps(mv, 4)
			tc.do(t, r)
			future := r.disk.Future(tp0)
			var end int64
			if future != nil {
				end = future.LogEndOffset()
			}
			r.steps(mv, -1)
			_, code := r.Partition(tp0)
			if code != tc.want || p.Log().Dir() != r.cfg.Dirs[0] {
				t.Errorf("%v, in %s", code, p.Log().Dir())
			}
			if future != nil && future.LogEndOffset() != end {
				t.Error("something was copied after the end")
			}
			if left := r.disk.Future(tp0) != nil; left == (tc.name == "the topic is deleted") {
				t.Errorf("a future log is left: %v", left)
			}
			if code == noCode {
				mustAppend(t, p, 1, 1)
			}
		})
	}
}

// Movers wait for the quota, look at it again when it has changed, and end when there is nothing to do.
func TestMoversRunAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, 2, 1)
		p := r.lead(1, 1)
		for range 30 {
			mustAppend(t, p, 1, 1)
		}
		var mu sync.Mutex
		copied, most := 0, 100
		r.Manager.cfg.Move = MoveConfig{Threads: 2, MaxBytes: 1, Throttle: func(bytes int, _ time.Time) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if copied += bytes; copied > most {
				return time.Hour
			}
			return 0
		}}
		r.moveTo(1, noCode)
		time.Sleep(time.Minute)
		synctest.Wait()
		if mu.Lock(); copied > most+100 || p.Log().Dir() != r.cfg.Dirs[0] {
			t.Errorf("%d bytes were copied", copied)
		}
		most = 1 << 20
		mu.Unlock()
		time.Sleep(2 * maxMoveWait)
		synctest.Wait()
		if p.Log().Dir() != r.cfg.Dirs[1] || r.Manager.moves.mu.movers != 0 {
			t.Errorf("in %s, %d movers are left", p.Log().Dir(), r.Manager.moves.mu.movers)
		}
		r.moveTo(0, noCode)
		synctest.Wait()
		if p.Log().Dir() != r.cfg.Dirs[0] {
			t.Error("it does not move back")
		}
		r.Close()
		if r.disk.Close(true) != nil {
			t.Error("cannot close")
		}
	})
}

// Producers and consumers go on while a log moves back and forth; all that was acknowledged is there, once, in order.
func TestMovesUnderLoad(t *testing.T) {
	r := newReplica(t, 2, 1)
	r.Manager.cfg.Move = MoveConfig{Threads: 1, MaxBytes: 1 << 16}
	p := r.lead(1, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end()
	var appended []int64
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var out storage.AppendResult
			if err := p.Append(batch(1), 1, storage.FromClient, &out); err != nil {
				t.Error(err)
				return
			}
			appended = append(appended, out.BaseOffset)
		}
	})
	wg.Go(func() {
		for next := int64(0); ; {
			select {
			case <-stop:
				return
			default:
			}
			var rd Read
			if err := p.Read(Ask{Offset: next, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Isolation: HighWatermark, MaxBytes: 1, MinOneBatch: true}, &rd); err != nil {
				t.Error(err)
				return
			}
			if slice := &rd.Result.Slice; slice.Size > 0 {
				set := make([]byte, slice.Size)
				if _, err := slice.File.ReadAt(set, slice.Offset); err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				if first, _, _ := storage.BatchOffsets(set); first != next {
					t.Errorf("read offset %d, want %d", first, next)
					return
				}
				slice.Release()
				next++
			}
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for moves := range 4 {
		to := r.cfg.Dirs[(moves+1)%2]
		r.moveTo((moves+1)%2, noCode)
		for p.Log().Dir() != to {
			if time.Now().After(deadline) {
				t.Fatalf("move %d does not end", moves)
			}
			time.Sleep(time.Millisecond)
		}
	}
	end()
	r.Close()
	if !slices.IsSorted(appended) || int64(len(appended)) != p.Log().LogEndOffset() {
		t.Errorf("%d appends, the log ends at %d", len(appended), p.Log().LogEndOffset())
	}
}
