package main

import (
	"testing"
	"time"
)

func TestMemoryIsGivenBackAtRest(t *testing.T) {
	const mib = 1 << 20
	var r rest
	var used time.Duration
	look := func(allocated, live, held uint64, want bool, why string) {
		t.Helper()
		used += quietTime / 10
		if got := r.due(heap{allocated: allocated * mib, live: live * mib, held: held * mib}, used); got != want {
			t.Errorf("%s: due is %v", why, got)
		}
		if want {
			r.returned()
		}
	}
	look(100, 20, 45, false, "the first look knows of no pause")
	look(150, 20, 45, false, "50 MiB were allocated since")
	used += quietTime
	look(150, 20, 45, false, "nothing allocated, but busy: its buffers are warm")
	look(150, 20, 45, true, "at rest, 25 MiB are not in use")
	look(150, 20, 45, false, "nothing was allocated since memory was given back")
	look(165, 20, 45, false, "busy")
	look(165, 20, 45, false, "less was allocated since than is in use")
	look(175, 20, 45, false, "busy")
	look(175, 20, 24, false, "there is nothing to give back")
	look(175, 20, 45, true, "at rest again")
}

func TestReadHeap(t *testing.T) {
	before := readHeap()
	kept := make([]byte, 8<<20)
	after := readHeap()
	if after.allocated-before.allocated < uint64(len(kept)) || after.held < uint64(len(kept)) {
		t.Errorf("8 MiB more: %+v, then %+v", before, after)
	}
}
