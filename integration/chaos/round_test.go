package chaos

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gregor/integration/chaos/history"
)

const (
	calm            = 1500 * time.Millisecond // of traffic before a fault
	sendInterval    = 5 * time.Millisecond    // per producer
	maxMessageBytes = 65536
	grace           = 5 * time.Second // for clients and replicas that may have lost their way
)

// A round is one fault while clients work on a topic of their own.
type round struct {
	*cluster
	t          *testing.T
	rng        *rand.Rand
	rec        *history.Recorder
	topic      string
	partitions int32
	acksAll    bool
	patience   time.Duration // of the clients: limit, or less in a round that must lose records
	rest       time.Duration // how long each step of the round's end may take: patience, or little once something was awaited in vain

	acks    atomic.Int64 // acknowledged so far
	gap     atomic.Int64 // longest time without an acknowledgement, in nanoseconds
	lastAck atomic.Int64
}

// errVoid is a round that could prove nothing: when the fault came, fewer brokers had the records than the fault leaves alone.
var errVoid = errors.New("void")

// A plan is what a round does.
type plan struct {
	name     string
	fault    func(*round) error
	configs  map[string]string // of the topic, over the usual ones
	replicas [][]int32         // of the topic; default: three partitions, one led by each broker
	acks1    bool              // acks=1 instead of acks=all with idempotence
	rules    history.Rules
	loses    bool               // records must get lost: clients that lose their way are not waited for
	after    func(*round) error // further things to hold when all is over
}

// group is the round's consumer group.
func (r *round) group() string { return "group-" + r.topic }

// sent records the outcome of a send.
func (r *round) sent(e history.Event) {
	r.rec.Add(e)
	if e.Outcome == history.OK {
		r.acks.Add(1)
		now := r.rec.Now()
		if pause := now - r.lastAck.Swap(now); pause > r.gap.Load() {
			r.gap.Store(pause)
		}
	}
}

// play plays a round and returns what was wrong with it: a broken rule of the history, or an error when the cluster or a client did not come back.
func (c *cluster) play(t *testing.T, dir string, seed uint64, p plan) ([]history.Anomaly, error) {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.jsonl", p.name, seed))
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	r := &round{
		cluster: c, t: t, rng: rand.New(rand.NewPCG(seed, uint64(crc32.ChecksumIEEE([]byte(p.name))))), rec: history.NewRecorder(file), topic: fmt.Sprintf("%s-%d", p.name, seed),
		acksAll: !p.acks1, patience: limit,
	}
	if p.loses {
		r.patience = grace
	}
	r.rest = r.patience
	began := time.Now()
	var still standstill
	watching, stop := context.WithCancel(context.Background())
	defer stop()
	go still.watch(watching)
	trouble := r.run(p)
	events, err := r.rec.Close()
	trouble = errors.Join(trouble, err)
	anomalies := history.Check(events, p.rules)
	if errors.Is(trouble, errVoid) {
		anomalies, trouble = nil, nil
		t.Logf("%s seed %d is void: not enough replicas were in sync when the fault came", p.name, seed)
	}
	if trouble != nil && still.excuses() {
		t.Logf("%s seed %d ends in trouble after the machine stood still for %v: %v", p.name, seed, time.Duration(still.Load()), trouble)
		trouble = c.recover()
	}
	if trouble == nil && len(anomalies) == 0 { // otherwise the replicas' files may tell more
		trouble = r.deleteTopic()
	}
	t.Logf("%s seed %d: %d events, %d acknowledged, %.1f s at most without an acknowledgement, %.1f s in all, %d sent anew by their client; anomalies: %v; trouble: %v",
		p.name, seed, len(events), r.acks.Load(), float64(r.gap.Load())/1e9, time.Since(began).Seconds(), len(history.Resent(events)), anomalies, trouble)
	if trouble == nil && len(anomalies) == 0 {
		return nil, os.Remove(path)
	}
	return anomalies, trouble
}

// recover waits for the cluster to be well again.
func (c *cluster) recover() error {
	return errors.Join(c.heal(), eventually(limit, func() error { return c.converged(context.Background()) }))
}

func (r *round) run(p plan) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := eventually(limit, func() error { return r.converged(ctx) }); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := r.makeTopic(ctx, p); err != nil {
		return err
	}
	work := r.startClients(ctx)
	fault := errors.Join(r.warmUp(), p.fault(r))
	healing := r.rec.Now()
	r.rec.Faultf("the fault ends")
	heal := r.heal()
	converged := eventually(limit, func() error { return r.converged(ctx) })
	r.rec.Faultf("converged after %.1f s: %v", float64(r.rec.Now()-healing)/1e9, converged == nil)
	if fault != nil || heal != nil || converged != nil {
		r.rest = grace // what there is is recorded and judged, but nothing is waited for any more
	}
	progress := r.progress()
	clients := work.end()
	if progress != nil || clients != nil {
		r.rest = grace
	}
	if err := errors.Join(fault, heal, converged, progress, clients, r.healthy(), r.recordEnd(ctx)); err != nil {
		r.rec.Faultf("trouble: %v", err)
		return err
	}
	if p.after != nil {
		return p.after(r)
	}
	return nil
}

func (r *round) makeTopic(ctx context.Context, p plan) error {
	configs := map[string]string{"segment.bytes": "262144", "max.message.bytes": fmt.Sprint(maxMessageBytes)}
	for key, value := range p.configs {
		configs[key] = value
	}
	replicas := p.replicas
	if replicas == nil {
		replicas = [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}
	}
	r.partitions = int32(len(replicas))
	r.rec.Faultf("%s: %s on %v, %v", p.name, r.topic, replicas, configs)
	return r.createTopic(ctx, r.topic, replicas, configs)
}

// deleteTopic asks until it is so: the cluster is well, but a busy machine may cost any broker its session.
func (r *round) deleteTopic() error {
	return eventually(limit, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		answer, err := r.admin.DeleteTopics(ctx, r.topic)
		if err != nil {
			return err
		}
		if err := answer[r.topic].Err; !errors.Is(err, kerr.UnknownTopicOrPartition) { // otherwise an earlier request has done it
			return err
		}
		return nil
	})
}

// workers is the clients and observers of a round.
type workers struct {
	r                          *round
	producing, reading, member context.CancelFunc
	producers, readers, others sync.WaitGroup
	mu                         sync.Mutex
	failures                   []error
	ends                       atomic.Pointer[map[int32]int64] // how far readers are to read, once it is known
}

func (r *round) startClients(ctx context.Context) *workers {
	w := &workers{r: r}
	producing, stopProducing := context.WithCancel(ctx)
	reading, stopReading := context.WithCancel(ctx)
	member, stopMember := context.WithCancel(ctx)
	w.producing, w.reading, w.member = stopProducing, stopReading, stopMember
	r.lastAck.Store(r.rec.Now())
	w.do(&w.producers, func() error { return r.franzProducer(producing, "franz") })
	w.do(&w.producers, func() error { return r.librdkafkaProducer(producing, "librdkafka") })
	w.do(&w.producers, func() error { return r.refusedProducer(producing, "refused") })
	w.do(&w.readers, func() error { return r.franzReader(reading, "franz-reader", history.Poll, w.until) })
	w.do(&w.readers, func() error { return r.librdkafkaReader(reading, "librdkafka-reader", w.until) })
	w.do(&w.others, func() error { return r.franzMember(member, "franz-member") })
	w.do(&w.others, func() error { return r.librdkafkaMember(member, "librdkafka-member") })
	for _, watch := range []func(context.Context){r.watchStates, r.watchEnds, r.watchCommits} {
		w.do(&w.others, func() error { watch(member); return nil })
	}
	return w
}

func (w *workers) do(group *sync.WaitGroup, work func() error) {
	group.Go(func() {
		if err := work(); err != nil {
			w.mu.Lock()
			w.failures = append(w.failures, err)
			w.mu.Unlock()
		}
	})
}

func (w *workers) until() map[int32]int64 {
	if ends := w.ends.Load(); ends != nil {
		return *ends
	}
	return nil
}

// end ends the work: producers first, then readers, once they have read everything, and then the group, once it has committed everything.
func (w *workers) end() error {
	w.producing()
	w.producers.Wait()
	ends, err := w.r.highWatermarks()
	if err == nil {
		w.ends.Store(&ends)
		inTime := time.AfterFunc(w.r.rest, w.reading)
		w.readers.Wait()
		if !inTime.Stop() {
			w.r.rest = grace
		}
		err = eventually(w.r.rest, func() error { return w.r.groupAt(ends) })
	}
	w.reading()
	w.member()
	w.readers.Wait()
	w.others.Wait()
	return errors.Join(append(w.failures, err)...)
}

// highWatermarks is the end of every partition as its leader tells.
func (r *round) highWatermarks() (ends map[int32]int64, err error) {
	err = eventually(r.rest, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		list, err := r.admin.ListEndOffsets(ctx, r.topic)
		if err = errors.Join(err, list.Error()); err != nil {
			return err
		}
		ends = map[int32]int64{}
		for p := range r.partitions {
			end, ok := list.Lookup(r.topic, p)
			if !ok {
				return fmt.Errorf("no end of %s-%d", r.topic, p)
			}
			ends[p] = end.Offset
		}
		return nil
	})
	return ends, err
}

// groupAt says whether the group has committed that far.
func (r *round) groupAt(ends map[int32]int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	offsets, err := r.admin.FetchOffsets(ctx, r.group())
	if err != nil {
		return err
	}
	for p, end := range ends {
		if o, ok := offsets.Lookup(r.topic, p); !ok || o.At != end {
			return fmt.Errorf("%s-%d: the group has committed %d of %d (%v)", r.topic, p, o.At, end, o.Err)
		}
	}
	return nil
}

// warmUp waits for the first acknowledgements and lets the clients work for a moment.
func (r *round) warmUp() error {
	err := eventually(limit, func() error {
		if r.acks.Load() < 20 {
			return errors.New("the producers do not get going")
		}
		return nil
	})
	r.pause(calm, calm+500*time.Millisecond)
	return err
}

// progress waits until the producers are heard of again.
func (r *round) progress() error {
	before := r.acks.Load()
	return eventually(r.rest, func() error {
		if r.acks.Load() < before+50 {
			return errors.New("no acknowledgements after the fault")
		}
		return nil
	})
}

// pause lets time go by, of a length that the seed decides.
func (r *round) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(r.rng.Int64N(int64(most-least)+1)))
}

// healthy says whether a broker has died by itself or panicked.
func (r *round) healthy() error {
	var failures []error
	for _, n := range r.nodes {
		if n.wanted && !n.Running() {
			failures = append(failures, fmt.Errorf("%v is dead", n))
		}
		if n.lives > 0 && strings.Contains(n.Log(), "\ngoroutine ") {
			failures = append(failures, fmt.Errorf("%v panicked", n))
		}
	}
	return errors.Join(failures...)
}

// leader is the broker that leads a partition of the round's topic now.
func (r *round) leader(partition int32) (*node, error) {
	s, err := r.tree.state(r.topic, partition)
	if err != nil {
		return nil, err
	}
	if s.Leader < 1 || int(s.Leader) > len(r.nodes) {
		return nil, fmt.Errorf("%s-%d has no leader", r.topic, partition)
	}
	return r.nodes[s.Leader-1], nil
}

// any is a partition that the seed decides.
func (r *round) any() int32 { return r.rng.Int32N(r.partitions) }

// awaitLeader waits until somebody other than these leads the partition.
func (r *round) awaitLeader(partition int32, not ...*node) error {
	return eventually(limit, func() error {
		n, err := r.leader(partition)
		if err == nil && slices.Contains(not, n) {
			err = fmt.Errorf("%v still leads %s-%d", n, r.topic, partition)
		}
		return err
	})
}
