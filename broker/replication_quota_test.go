package broker

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// The rate over three windows of a second.
func TestRateMeter(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	m := rateMeter{windows: 3, window: time.Second}
	for _, step := range []struct {
		ms    int
		bytes int64
		rate  float64 // after the bytes
	}{
		{0, 0, 0}, {0, 100, 100}, {500, 100, 200}, {1500, 100, 200}, {2000, 0, 150}, {2999, 0, 300 / 2.999},
		{3000, 0, 100 / 1.5}, // the first window is over
		{4499, 0, 100 / 2.999}, {4500, 0, 0}, {9000, 50, 50},
	} {
		now := start.Add(time.Duration(step.ms) * time.Millisecond)
		if step.bytes > 0 {
			m.record(step.bytes, now)
		}
		if got := m.rate(now); math.Abs(got-step.rate) > 0.001 {
			t.Errorf("at %d ms: %v, want %v", step.ms, got, step.rate)
		}
	}
}

// Which partitions a list throttles on broker 7, and that only those count and wait.
func TestThrottledReplicas(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		list string
		want bool
	}{{"", false}, {"*", true}, {"3:7", true}, {"3:6", false}, {"2:7", false}, {"2:7, 3:7", true}, {"3:6,3:7", true}, {"2:3,,7:3", false}} {
		limit := int64(10)
		q := &replicationQuota{me: 7, limit: func() int64 { return limit }, list: func(string) string { return tc.list }, meter: rateMeter{windows: 11, window: time.Second}}
		tp := protocol.TopicPartition{Topic: "t", Partition: 3}
		q.record(tp, 11, now)
		if got := q.exceeded(tp, now); got != tc.want {
			t.Errorf("%q: exceeded %v, want %v", tc.list, got, tc.want)
		}
		if limit = 11; q.exceeded(tp, now) {
			t.Errorf("%q: exceeded at the limit", tc.list)
		}
		if limit = math.MaxInt64; q.exceeded(tp, now) {
			t.Errorf("%q: exceeded without a limit", tc.list)
		}
	}
}

// How long a follower waits.
func TestThrottlePause(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	limit := int64(100)
	tp := protocol.TopicPartition{Topic: "t"}
	q := &replicationQuota{me: 7, limit: func() int64 { return limit }, list: func(string) string { return "0:7" }, meter: rateMeter{windows: 11, window: time.Second}}
	for _, step := range []struct {
		ms    int
		limit int64
		tp    protocol.TopicPartition
		bytes int
		want  time.Duration
	}{
		{0, 100, protocol.TopicPartition{Topic: "t", Partition: 1}, 1000, 0}, // not listed
		{0, 100, tp, 100, 0},
		{0, 100, tp, 200, 3 * time.Second},
		{2500, 100, tp, 0, 500 * time.Millisecond},
		{3000, 100, tp, 0, 0},
		{3000, 100, tp, 5000, 10500 * time.Millisecond}, // too much for all windows together: until that of second 2.5 is over
		{3000, 0, tp, 0, 10500 * time.Millisecond},
		{3000, math.MaxInt64, tp, 5000, 0},
	} {
		limit = step.limit
		if got := q.pause(step.tp, step.bytes, now.Add(time.Duration(step.ms)*time.Millisecond)); got != step.want {
			t.Errorf("%+v: %v", step, got)
		}
	}
}

// A follower that always takes what it may gets the rate, in the long run neither more nor less.
func TestThrottledRate(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	tp := protocol.TopicPartition{Topic: "t"}
	for _, chunk := range []int{1, 70, 150, 1000, 1500} {
		q := &replicationQuota{me: 7, limit: func() int64 { return 100 }, list: func(string) string { return "*" }, meter: rateMeter{windows: 11, window: time.Second}}
		total := 0
		for now := start; now.Sub(start) < 1000*time.Second; {
			total += chunk
			now = now.Add(q.pause(tp, chunk, now) + time.Millisecond)
		}
		if total < 80_000 || total > 125_000 && chunk < 1100 {
			t.Errorf("chunks of %d: %d bytes in 1000 s at 100 bytes/s", chunk, total)
		}
	}
}

// A leader that has sent throttled replicas more than their rate sends them nothing, unless they are in sync (KIP-73). Consumers are not concerned.
func TestThrottledFollower(t *testing.T) {
	r := startBroker(t, map[string]string{"replication.quota.window.num": "3600"})
	id := r.createTopic("t", 1, "leader.replication.throttled.replicas=0:0")
	r.createTopic("free", 1)
	c := r.dial()
	c.produced("t", 0, "a")
	setISR(t, r, id, 0, 2)
	if errs := r.config.SetDynamic(false, map[string]string{"leader.replication.throttled.rate": "1"}); len(errs) != 0 {
		t.Fatal(errs)
	}
	fetch := func(what string, replica int32, want int) {
		t.Helper()
		req := fetchPartitions("t", 1)
		req.ReplicaID = replica
		p := ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(recordValues(t, p.RecordBatches)) != want {
			t.Errorf("%s: %v, %d bytes; want %d records", what, protocol.ErrorCode(p.ErrorCode), len(p.RecordBatches), want)
		}
	}
	fetch("nothing was sent yet", 1, 1)
	fetch("more than the rate was sent", 1, 0)
	fetch("in sync", 2, 1)
	fetch("out of sync, still", 1, 0)
	fetch("a consumer", consumerReplicaID, 1)
	if errs := r.config.SetDynamic(false, nil); len(errs) != 0 {
		t.Fatal(errs)
	}
	fetch("the throttle is gone", 1, 1)
}
