package replication

import (
	"runtime"
	"testing"

	"gregor/storage"
)

// TestAppendCostsOnlyItsOwnWaiters: an append wakes those who wait for its partition and nobody else, and allocates no more when many wait elsewhere.
func TestAppendCostsOnlyItsOwnWaiters(t *testing.T) {
	var least float64
	for _, others := range []int{1, 20, 400} {
		r := newReplica(t, 1, 1)
		p := r.lead(0, me)
		quiet := r.set(partitionState{partition: 1, leader: me, isr: []int32{me}, replicas: []int32{me}, isNew: true})
		var elsewhere []*Waiter
		for i := range others {
			w := NewWaiter()
			quiet.Watch(w, []Isolation{LogEnd, HighWatermark}[i%2])
			elsewhere = append(elsewhere, w)
		}
		mine := NewWaiter()
		p.Watch(mine, HighWatermark)
		set, template := batch(10), batch(10)
		var out storage.AppendResult
		appendOnce := func() {
			copy(set, template)
			if err := p.Append(set, 1, storage.FromClient, &out); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			appendOnce()
		}
		if len(mine.C) != 1 {
			t.Error("an append does not wake who waits for it")
		}
		for _, w := range elsewhere {
			if len(w.C) != 0 {
				t.Fatal("an append wakes who waits for another partition")
			}
		}
		got := testing.AllocsPerRun(100, appendOnce)
		if others == 1 {
			least = got
		} else if !raceEnabled && got > least {
			t.Errorf("beside %d that wait elsewhere, an append allocates %v times, beside one %v", others, got, least)
		}
	}
}

// TestWaitingAllocatesLittle: who begins to wait for a partition and stops again allocates next to nothing, however many others wait: now and then a map
// puts itself in order.
func TestWaitingAllocatesLittle(t *testing.T) {
	const times, most = 1000, 64 // bytes
	for _, others := range []int{10, 100, 1000} {
		p := newReplica(t, 1, 1).lead(0, me)
		for range others {
			p.Watch(NewWaiter(), HighWatermark)
		}
		w := NewWaiter()
		got := bytesAllocated(func() {
			for range times {
				p.Watch(w, HighWatermark)
				p.Unwatch(w)
			}
		})
		if !raceEnabled && got > times*most {
			t.Errorf("to wait beside %d others allocates %d bytes", others, got/times)
		}
	}
}

func bytesAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
