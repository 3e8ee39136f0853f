package storage

import (
	"fmt"
	"math"
	"os"
	"testing"
)

func TestEpochCache(t *testing.T) {
	c, _, err := loadEpochCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	entries := func() string { return fmt.Sprint(c.mu.entries) }
	for _, s := range []struct {
		epoch int32
		start int64
		want  string
	}{
		{0, 0, "[{0 0}]"}, {0, 5, "[{0 0}]"}, {2, 10, "[{0 0} {2 10}]"}, {2, 12, "[{0 0} {2 10}]"},
		{3, 10, "[{0 0} {3 10}]"}, // an epoch without records leaves none
		{7, 20, "[{0 0} {3 10} {7 20}]"}, {5, 15, "[{0 0} {3 10} {5 15}]"}, {-1, 3, "[{0 0} {3 10} {5 15}]"}, {5, 12, "[{0 0} {3 10} {5 12}]"},
	} {
		if c.assign(s.epoch, s.start); entries() != s.want {
			t.Errorf("epoch %d at %d: %s, want %s", s.epoch, s.start, entries(), s.want)
		}
	}
	for asked, want := range map[int32][2]int64{-1: {-1, -1}, 0: {0, 10}, 1: {0, 10}, 3: {3, 12}, 4: {3, 12}, 5: {5, 100}, 6: {-1, -1}} {
		if e, end := c.endOffset(asked, 100); int64(e) != want[0] || end != want[1] {
			t.Errorf("epoch %d ends as %d at %d, want %v", asked, e, end, want)
		}
	}
	for offset, want := range map[int64]int32{0: 0, 9: 0, 10: 3, 11: 3, 12: 5, 1000: 5} {
		if got := c.forOffset(offset); got != want {
			t.Errorf("offset %d is of epoch %d, want %d", offset, got, want)
		}
	}
	if err := c.save(math.MaxInt64, writeFileAtomic); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(c.path()); string(data) != "0\n3\n0 0\n3 10\n5 12\n" {
		t.Errorf("the file is %q", data)
	}
	if c.truncateHead(11); entries() != "[{3 11} {5 12}]" {
		t.Errorf("head cut at 11: %s", entries())
	}
	if e, end := c.endOffset(1, 100); e != 1 || end != 11 {
		t.Errorf("an epoch before all known ends as %d at %d", e, end)
	}
	if c.truncateTail(12); entries() != "[{3 11}]" {
		t.Errorf("tail cut at 12: %s", entries())
	}
	if c.truncateTail(0); c.latest() != -1 {
		t.Errorf("tail cut at 0: %s", entries())
	}
}

// A broker that led an epoch and wrote nothing in it follows another leader, which does not know that epoch.
func TestTruncationForgetsEpochsWithoutRecords(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	fill(t, l, 3)
	was := l.LatestEpoch()
	for _, offset := range []int64{3, 4} {
		if err := l.AssignEpochStart(was + 1); err != nil {
			t.Fatal(err)
		}
		if err := l.TruncateTail(offset); err != nil {
			t.Fatal(err)
		}
		if l.LatestEpoch() != was || l.LogEndOffset() != 3 {
			t.Errorf("truncated to %d: latest epoch %d, end %d", offset, l.LatestEpoch(), l.LogEndOffset())
		}
	}
}

func TestEpochsOfALeader(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	if err := l.AssignEpochStart(4); err != nil {
		t.Fatal(err)
	}
	if l.LatestEpoch() != 4 {
		t.Errorf("an empty log does not know its epoch: %d", l.LatestEpoch())
	}
	var out AppendResult
	if err := l.AppendAsLeader(batch(1, 10, 1), 4, FromClient, &out); err != nil {
		t.Fatal(err)
	}
	if err := l.AssignEpochStart(6); err != nil {
		t.Fatal(err)
	}
	if e, end := l.EndOffsetForEpoch(5); e != 4 || end != 1 || l.LatestEpoch() != 6 {
		t.Errorf("epoch 5 ends as %d at %d, the latest is %d", e, end, l.LatestEpoch())
	}
	// As in Apache Kafka, an epoch without records is forgotten by a restart: the next one begins at the same offset.
	for _, reopen := range []func(...func(string)) *Log{r.restart, r.crash} {
		if l = reopen(); l.LatestEpoch() != 4 {
			t.Errorf("after a restart the latest epoch is %d", l.LatestEpoch())
		}
	}
	if l = r.restart(remove("t-0/leader-epoch-checkpoint")); l.LatestEpoch() != 4 {
		t.Errorf("from the batches: %d", l.LatestEpoch())
	}
}
