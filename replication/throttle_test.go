package replication

import (
	"testing"
	"time"

	"gregor/protocol"
)

// A partition over its quota waits as long as it is told, while the others go on; one that has all that is committed never waits (KAFKA-4313).
func TestThrottledPartitionWaits(t *testing.T) {
	cfg := testFollowConfig(17)
	cfg.MaxBytes = 1 // a batch at a time
	var counted int
	cfg.Throttle = func(tp protocol.TopicPartition, bytes int, _ time.Time) time.Duration {
		if tp.Partition != 0 {
			return 0
		}
		counted += bytes
		return 3 * time.Second
	}
	h := newChase(t, cfg)
	history(t, h.leader, 0, [2]int{0, 3})
	history(t, h.leader, 1, [2]int{0, 3})
	mark := int64(3)
	h.answer = func(p *protocol.FetchedPartition) { p.HighWatermark = mark }
	h.follow(1, 0, 1)
	ends := func() [2]int64 {
		var got [2]int64
		for i := range got {
			got[i] = h.disk.Get(protocol.TopicPartition{Topic: tp0.Topic, Partition: int32(i)}).LogEndOffset()
		}
		return got
	}
	h.serve(h.next(Fetch))
	if got := ends(); got != [2]int64{1, 1} || counted == 0 {
		t.Fatalf("after one fetch: log ends %v, %d bytes counted", got, counted)
	}
	h.now = h.now.Add(3*time.Second - 1)
	h.serve(h.next(Fetch))
	if got := ends(); got != [2]int64{1, 2} {
		t.Fatalf("while partition 0 waits: log ends %v", got)
	}
	h.now = h.now.Add(1)
	mark = 2 // from here on partition 0 is in sync when it has 2
	h.serve(h.next(Fetch))
	if got := ends(); got != [2]int64{2, 3} {
		t.Fatalf("after the wait: log ends %v", got)
	}
	h.serve(h.next(Fetch))
	if got := ends(); got != [2]int64{3, 3} {
		t.Fatalf("in sync, and yet it waits: log ends %v", got)
	}
}
