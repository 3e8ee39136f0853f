package replication

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

// With acks -1 and too small an ISR nothing is written; with acks 1 it is, and stays invisible (KAFKA-15583).
func TestTooSmallISR(t *testing.T) {
	r := newReplica(t, 1, 2)
	p := r.lead(0, 1)
	var out storage.AppendResult
	if got := codeOf(t, p.Append(batch(1), -1, storage.FromClient, &out)); got != protocol.NotEnoughReplicas {
		t.Fatalf("acks -1: %v", got)
	}
	if end := p.Log().LogEndOffset(); end != 0 {
		t.Fatalf("the refused batch was written: the log ends at %d", end)
	}
	mustAppend(t, p, 3, 1)
	if end, hw := p.Log().LogEndOffset(), p.Log().HighWatermark(); end != 3 || hw != 0 {
		t.Fatalf("acks 1: log end %d, high watermark %d; want 3, 0", end, hw)
	}
	var rd Read
	if err := p.Read(Ask{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, Isolation: HighWatermark, MaxBytes: 1 << 20}, &rd); err != nil || rd.Result.Slice.Size != 0 {
		t.Fatalf("a consumer reads %d bytes beyond the watermark, %v", rd.Result.Slice.Size, err)
	}
}

// min.insync.replicas never asks for more than there are replicas.
func TestMinISRBeyondReplicas(t *testing.T) {
	r := newReplica(t, 1, 3)
	p := r.set(partitionState{leader: me, isr: []int32{1}, replicas: []int32{1}, isNew: true})
	if out := mustAppend(t, p, 2, -1); !p.Committed(out.LastOffset) {
		t.Fatal("not committed on the only replica")
	}
}

// A leader alone in the ISR commits what it has; the ISR's shrinking to it commits what waited.
func TestWatermarkFollowsISR(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1, 2)
	out := mustAppend(t, p, 4, -1)
	if hw := p.Log().HighWatermark(); hw != 0 || p.Committed(out.LastOffset) {
		t.Fatalf("watermark %d while a follower lacks the batch", hw)
	}
	r.lead(1, 1)
	if hw := p.Log().HighWatermark(); hw != 4 || !p.Committed(out.LastOffset) {
		t.Fatalf("watermark %d, want 4", hw)
	}
	r.set(partitionState{leader: 2, epoch: 2, isr: []int32{2}, replicas: []int32{1, 2}})
	if hw := p.Log().HighWatermark(); hw != 4 {
		t.Fatalf("watermark %d after the role moved, want 4", hw)
	}
}

// Waiting for a commit: what ends it, with what, and when.
func TestWaitCommitted(t *testing.T) {
	const timeout = 30 * time.Second
	for _, tc := range []struct {
		name   string
		minISR int32
		isr    []int32
		epoch  int32 // that the append had
		after  func(r *replica, cancel context.CancelFunc)
		want   protocol.ErrorCode
		waited time.Duration
	}{
		{"committed already", 1, []int32{1}, 0, nil, noCode, 0},
		{"an epoch that is over", 1, []int32{1}, -1, nil, protocol.NotLeaderOrFollower, 0},
		{"timeout", 1, []int32{1, 2}, 0, nil, protocol.RequestTimedOut, timeout},
		{"the caller leaves", 1, []int32{1, 2}, 0, func(_ *replica, cancel context.CancelFunc) { cancel() }, protocol.RequestTimedOut, time.Second},
		{"an append that commits nothing", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) {
			p, _ := r.Partition(tp0)
			mustAppend(t, p, 1, 1)
		}, protocol.RequestTimedOut, timeout},
		{"leadership moves", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) {
			r.set(partitionState{leader: 2, epoch: 1, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
		}, protocol.NotLeaderOrFollower, time.Second},
		{"leader still in the next epoch", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) { r.lead(1, 1, 2) }, protocol.RequestTimedOut, timeout},
		{"leader still in the next epoch, which commits", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) { r.lead(1, 1) }, noCode, time.Second},
		{"leader again after an epoch of somebody else", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) { r.lead(2, 1, 2) }, protocol.NotLeaderOrFollower, time.Second},
		{"the replica goes", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) {
			r.StopReplica(stopRequest(1, -1, epochDuringDelete, false))
		}, protocol.NotLeaderOrFollower, time.Second},
		{"the directory fails", 1, []int32{1, 2}, 0, func(r *replica, _ context.CancelFunc) { r.DirFailed(r.cfg.Dirs[0]) }, protocol.NotLeaderOrFollower, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newReplica(t, 1, tc.minISR)
			p := r.lead(0, tc.isr...)
			out := mustAppend(t, p, 1, -1)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.after != nil {
					time.AfterFunc(time.Second, func() { tc.after(r, cancel) })
				}
				start := time.Now()
				if got := p.WaitCommitted(ctx, NewWaiter(), out.LastOffset, tc.epoch, start.Add(timeout)); got != tc.want {
					t.Errorf("answered %v, want %v", got, tc.want)
				}
				if waited := time.Since(start); waited != tc.waited {
					t.Errorf("waited %v, want %v", waited, tc.waited)
				}
			})
			if n := p.wait.watermark.count.Load(); n != 0 {
				t.Errorf("%d waiters are left", n)
			}
		})
	}
}

// Committed in a smaller ISR than min.insync.replicas is not acknowledged as if it were enough.
func TestWaitCommittedISRTooSmallAfterwards(t *testing.T) {
	r := newReplica(t, 1, 2)
	p := r.lead(0, 1, 2)
	out := mustAppend(t, p, 1, -1)
	p.Log().SetHighWatermark(1) // as a follower's fetch would raise it
	p.mu.Lock()
	p.mu.state.isr = []int32{1} // as the leader's own shrinking would
	p.mu.Unlock()
	if got := p.WaitCommitted(t.Context(), NewWaiter(), out.LastOffset, 0, time.Now().Add(time.Second)); got != protocol.NotEnoughReplicasAfterAppend {
		t.Fatalf("answered %v", got)
	}
}

// The follower's fetch that commits a batch wakes whoever waits for it, at once.
func TestWaitCommittedWakes(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1, 2)
	out := mustAppend(t, p, 1, -1)
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(time.Second, func() {
			var rd Read
			if err := p.Read(Ask{Offset: 1, CurrentLeaderEpoch: 0, LastFetchedEpoch: -1, Follower: &FollowerFetch{ID: 2, BrokerEpoch: -1}}, &rd); err != nil {
				t.Error(err)
			}
		})
		start := time.Now()
		if got := p.WaitCommitted(t.Context(), NewWaiter(), out.LastOffset, 0, start.Add(time.Minute)); got != noCode || time.Since(start) != time.Second {
			t.Fatalf("answered %v after %v", got, time.Since(start))
		}
	})
}

// A watcher gets one token for any number of movements of the partitions it watches, and none for anything else.
func TestWatch(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1)
	other := r.set(partitionState{partition: 1, leader: me, isr: []int32{1}, replicas: []int32{1}, isNew: true})
	w := NewWaiter()
	p.Watch(w, LogEnd)
	woken := func() bool {
		select {
		case <-w.C:
			return true
		default:
			return false
		}
	}
	var rd Read
	var out storage.AppendResult
	for _, tc := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"an append to another partition", func() { mustAppend(t, other, 1, 1) }, false},
		{"an append that fails", func() {
			if p.Append([]byte("no batch"), 1, storage.FromClient, &out) == nil {
				t.Error("garbage was appended")
			}
		}, false},
		{"a read", func() { _ = p.Read(Ask{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}, &rd) }, false},
		{"an append", func() { mustAppend(t, p, 1, 1) }, true},
		{"three appends", func() { mustAppend(t, p, 1, 1); mustAppend(t, p, 1, 0); mustAppend(t, p, 1, -1) }, true},
		{"a stale LeaderAndIsr", func() { r.leaderAndISR(1, -1, idA, partitionState{leader: me, isr: []int32{1}, replicas: []int32{1}}) }, false},
		{"a change of role", func() { r.set(partitionState{leader: 2, epoch: 1, isr: []int32{2}, replicas: []int32{1, 2}}) }, true},
		{"the end", func() { r.StopReplica(stopRequest(1, -1, epochDuringDelete, false)) }, true},
	} {
		tc.do()
		if got := woken(); got != tc.want {
			t.Errorf("%s: woken %v, want %v", tc.name, got, tc.want)
		}
		if woken() {
			t.Errorf("%s: woken twice", tc.name)
		}
	}
	p.Unwatch(w)
	p.wait.wakeAll()
	if woken() || p.wait.logEnd.count.Load() != 0 {
		t.Error("woken after Unwatch")
	}
}
