// Package crash kills brokers under load and damages their files, and wants every acknowledged record back.
package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gregor/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const topic = "crash"

// place is where an acknowledged record stands.
type place struct {
	partition int32
	offset    int64
}

// traffic produces numbered records through one idempotent producer until it is ended, and notes what was acknowledged.
type traffic struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	sent   int
	acked  map[int]place
	failed map[int]error
}

func startTraffic(b *harness.Broker) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{
		client: b.Client(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(200),
			kgo.MetadataMinAge(50*time.Millisecond), // else it looks for the restarted broker every few seconds only
			kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.RecordPartitioner(kgo.RoundRobinPartitioner())),
		stop: cancel, done: make(chan struct{}), acked: map[int]place{}, failed: map[int]error{},
	}
	go func() {
		defer close(tr.done)
		for n := 0; ctx.Err() == nil; n++ {
			// Produce blocks while 200 records wait for their answers: the broker sets the pace.
			tr.client.Produce(ctx, &kgo.Record{Value: []byte(strconv.Itoa(n))}, func(r *kgo.Record, err error) { tr.note(n, r, err) })
			tr.mu.Lock()
			tr.sent = n + 1
			tr.mu.Unlock()
			if n%50 == 49 {
				select {
				case <-time.After(2 * time.Millisecond): // some hundred thousand records in all are plenty
				case <-ctx.Done():
				}
			}
		}
	}()
	return tr
}

func (tr *traffic) note(n int, r *kgo.Record, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		tr.failed[n] = err
		return
	}
	tr.acked[n] = place{r.Partition, r.Offset}
}

func (tr *traffic) ackedCount() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.acked)
}

// awaitAcks waits until this many more records are acknowledged.
func (tr *traffic) awaitAcks(t *testing.T, more int) {
	t.Helper()
	want := tr.ackedCount() + more
	harness.Eventually(t, time.Minute, func() error {
		if got := tr.ackedCount(); got < want {
			return fmt.Errorf("%d records acknowledged, waiting for %d", got, want)
		}
		return nil
	})
}

// end stops producing and waits for the last answers.
func (tr *traffic) end(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tr.stop()
	<-tr.done
	if err := tr.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// verify reads everything and wants each acknowledged record at its offset, and no record twice. ReadAll has seen to it that
// offsets have no holes.
func (tr *traffic) verify(t *testing.T, b *harness.Broker) {
	t.Helper()
	found := map[int]place{}
	for partition, records := range b.ReadAll(topic) {
		for _, r := range records {
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				t.Fatalf("%s-%d offset %d holds %q", topic, partition, r.Offset, r.Value)
			}
			if other, twice := found[n]; twice {
				t.Errorf("record %d stands at %v and again at %s-%d offset %d", n, other, topic, partition, r.Offset)
			}
			found[n] = place{partition, r.Offset}
		}
	}
	lost := 0
	for n, want := range tr.acked {
		if got, ok := found[n]; !ok || got != want {
			if lost++; lost <= 10 {
				t.Errorf("record %d was acknowledged at %v; found %v (%v)", n, want, ok, got)
			}
		}
	}
	t.Logf("%d records sent, %d acknowledged, %d of them lost or moved; %d found", tr.sent, len(tr.acked), lost, len(found))
}

// TestKillRounds kills the broker fifty times in the middle of acknowledged traffic. The machine keeps running, so what the
// operating system was given must all come back.
func TestKillRounds(t *testing.T) {
	t.Parallel()
	rounds := 50
	if harness.DefaultKind() == harness.Apache {
		rounds = 4 // its starts take seconds; this only proves the test
	}
	zk := harness.StartZooKeeperTick(t, 100)
	sessionMs := "1000"
	if harness.DefaultKind() == harness.Apache {
		sessionMs = "2000"
	}
	b := harness.StartBroker(t, harness.DefaultKind(), zk.Chroot(), "zookeeper.session.timeout.ms="+sessionMs, "zookeeper.connection.timeout.ms=30000")
	b.CreateTopic(topic, 3, map[string]string{"segment.bytes": "100000", "index.interval.bytes": "1000"})
	tr := startTraffic(b)
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		tr.awaitAcks(t, 100+random.IntN(2000))
		b.Kill()
		if b.Kind == harness.Apache {
			b.AwaitUnregistered() // it refuses to start while its old znode stands; gregor waits by itself
		}
		b.Start()
	}
	tr.awaitAcks(t, 100)
	tr.end(t)
	tr.verify(t, b)
	b.Stop()
}
