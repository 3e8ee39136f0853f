package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

// traffic is idempotent producers with acks=all, and a group of two members that commits what it read, while others do things to the cluster. Every record of
// a partition holds its number; each is sent when the one before it is acknowledged or is on its way, so the log's order is the numbers' order.
type traffic struct {
	t       *testing.T
	cluster *harness.Cluster
	topic   string
	stop    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	acked map[int32]map[string]int64 // partition → value → offset
	read  map[int32]map[string]bool  // partition → values that the group has seen
	errs  []error                    // of sends: with all the retries in the world there are none
	gap   time.Duration              // longest time between two acks of one partition
}

// startTraffic writes to every partition of a topic, some hundred records a second each.
func startTraffic(t *testing.T, c *harness.Cluster, topic string, partitions int32) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{t: t, cluster: c, topic: topic, stop: cancel, acked: map[int32]map[string]int64{}, read: map[int32]map[string]bool{}}
	t.Cleanup(func() {
		cancel()
		tr.running.Wait()
	})
	for p := range partitions {
		tr.acked[p], tr.read[p] = map[string]int64{}, map[string]bool{}
		client := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.RecordRetries(1<<30), kgo.RecordDeliveryTimeout(2*time.Minute), kgo.ProduceRequestTimeout(5*time.Second))
		tr.running.Go(func() { tr.produce(ctx, client, p) })
	}
	for range 2 {
		client := c.Client(kgo.ConsumerGroup(topic+"-group"), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchMaxWait(200*time.Millisecond), kgo.SessionTimeout(10*time.Second), kgo.AutoCommitInterval(500*time.Millisecond))
		tr.running.Go(func() { tr.consume(ctx, client) })
	}
	return tr
}

func (tr *traffic) produce(ctx context.Context, client *kgo.Client, p int32) {
	last := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%d-%d", p, i)
		client.Produce(context.Background(), &kgo.Record{Topic: tr.topic, Partition: p, Value: []byte(value)}, func(r *kgo.Record, err error) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if err != nil {
				tr.errs = append(tr.errs, fmt.Errorf("%s: %w", value, err))
				return
			}
			tr.acked[p][value] = r.Offset
			tr.gap = max(tr.gap, time.Since(last))
			last = time.Now()
		})
		if client.BufferedProduceRecords() > 500 {
			if err := client.Flush(ctx); err != nil && ctx.Err() == nil {
				tr.fail(err)
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	end, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := client.Flush(end); err != nil {
		tr.fail(err)
	}
}

func (tr *traffic) fail(err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.errs = append(tr.errs, err)
}

func (tr *traffic) consume(ctx context.Context, client *kgo.Client) {
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		tr.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) { tr.read[r.Partition][string(r.Value)] = true })
		tr.mu.Unlock()
	}
	client.LeaveGroup()
}

// ackedMore waits until every partition has acknowledged some more records: the cluster serves again.
func (tr *traffic) ackedMore() {
	tr.t.Helper()
	before := tr.counts()
	harness.Eventually(tr.t, 90*time.Second, func() error {
		now := tr.counts()
		for p, n := range before {
			if now[p] < n+20 {
				return fmt.Errorf("%s-%d: %d records acknowledged, %d of them new", tr.topic, p, now[p], now[p]-n)
			}
		}
		return nil
	})
}

func (tr *traffic) counts() map[int32]int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	out := map[int32]int{}
	for p, values := range tr.acked {
		out[p] = len(values)
	}
	return out
}

// finish ends the traffic and wants every acknowledged record where it was acknowledged, once, in order, and seen by the group.
func (tr *traffic) finish() {
	t := tr.t
	t.Helper()
	tr.groupCatchesUp()
	tr.stop()
	tr.running.Wait()
	for _, err := range tr.errs {
		t.Errorf("sending: %v", err)
	}
	total := 0
	for p, records := range tr.cluster.Running()[0].ReadAll(tr.topic) {
		at := map[string]int64{}
		for i, r := range records {
			if want := fmt.Sprintf("%d-%d", p, i); string(r.Value) != want {
				t.Errorf("%s-%d: offset %d holds %q, not %q", tr.topic, p, r.Offset, r.Value, want)
				break
			}
			at[string(r.Value)] = r.Offset
		}
		lost := 0
		for value, offset := range tr.acked[p] {
			if got, ok := at[value]; !ok || got != offset {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%s-%d: %d of %d acknowledged records are not where they were acknowledged", tr.topic, p, lost, len(tr.acked[p]))
		}
		total += len(tr.acked[p])
	}
	if total == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Logf("%d records acknowledged; the longest time without an ack was %v", total, tr.gap.Round(time.Millisecond))
}

// groupCatchesUp waits until the group has seen everything that is acknowledged at the call.
func (tr *traffic) groupCatchesUp() {
	tr.t.Helper()
	want := map[int32][]string{}
	tr.mu.Lock()
	for p, values := range tr.acked {
		for value := range values {
			want[p] = append(want[p], value)
		}
	}
	tr.mu.Unlock()
	harness.Eventually(tr.t, 2*time.Minute, func() error {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		for p, values := range want {
			missing := 0
			for _, value := range values {
				if !tr.read[p][value] {
					missing++
				}
			}
			if missing > 0 {
				return fmt.Errorf("%s-%d: the group has not seen %d of %d records", tr.topic, p, missing, len(values))
			}
		}
		return nil
	})
}

// admin is an admin client with a deadline for all that a part does with it.
func admin(t *testing.T, c *harness.Cluster) (*kadm.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return kadm.NewClient(c.Client()), ctx
}

// done fails the test on any of an admin request's errors.
func done(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
