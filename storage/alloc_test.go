package storage

import (
	"testing"

	"gregor/protocol/record"
)

// A warm append and a warm read allocate nothing: what they need is pooled or on the stack.
func TestAppendAndReadAllocateNothing(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	template, set := batch(10, 1600, 1700000000000), record.Batch(nil)
	set = append(set, template...)
	var out AppendResult
	appendOnce := func() {
		copy(set, template)
		if err := l.AppendAsLeader(set, 0, FromClient, &out); err != nil {
			t.Fatal(err)
		}
	}
	for range 600 {
		appendOnce()
	}
	expectNoAllocs(t, "append", appendOnce)

	var in ReadResult
	readAt := func(offset, maxOffset int64) {
		if err := l.Read(offset, 1<<20, maxOffset, true, &in); err != nil || in.Slice.Size == 0 {
			t.Fatal(err, in.Slice.Size)
		}
		in.Slice.Release()
	}
	end := l.LogEndOffset()
	expectNoAllocs(t, "read at the tail", func() { readAt(end-10, end) })
	expectNoAllocs(t, "read in the middle", func() { readAt(end/2, end) })
	expectNoAllocs(t, "read up to an offset in the middle", func() { readAt(10, end/2) })
}

// An idempotent producer that is known costs no allocation either.
func TestIdempotentAppendAllocatesNothing(t *testing.T) {
	l := newRig(t, 1, nil).log()
	var batches []record.Batch
	for i := range int32(400) {
		batches = append(batches, idempotent(1, 0, i, 1))
	}
	var out AppendResult
	i := 0
	appendOnce := func() {
		if err := l.AppendAsLeader(batches[i], 0, FromClient, &out); err != nil {
			t.Fatal(err)
		}
		i++
	}
	for range 200 {
		appendOnce()
	}
	expectNoAllocs(t, "append", appendOnce)
}

func expectNoAllocs(t *testing.T, what string, fn func()) {
	t.Helper()
	if raceEnabled {
		return // the race detector allocates and empties pools
	}
	if n := testing.AllocsPerRun(100, fn); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func BenchmarkAppend16K(b *testing.B) {
	l := newRig(b, 1, nil).log()
	template := batch(16, 1000, 1700000000000)
	set := append(record.Batch(nil), template...)
	var out AppendResult
	b.SetBytes(int64(len(set)))
	for b.Loop() {
		copy(set, template)
		if err := l.AppendAsLeader(set, 0, FromClient, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadMiddle(b *testing.B) {
	l := newRig(b, 1, nil).log()
	fill(b, l, 20000)
	var in ReadResult
	i := int64(0)
	for b.Loop() {
		if err := l.Read(i*7919%20000, 1<<20, 20000, true, &in); err != nil {
			b.Fatal(err)
		}
		in.Slice.Release()
		i++
	}
}
