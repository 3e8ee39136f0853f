package sim

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gregor/storage"
)

var (
	schedules = flag.Int("schedules", 1000, "how many random schedules to run")
	firstSeed = flag.Uint64("first", 1, "the seed of the first schedule; the others follow")
	replay    = flag.Uint64("seed", 0, "run this one schedule and print it")
)

// options of a schedule that its seed does not decide.
type options struct {
	mutant       mutant
	log          storage.LogConfig
	fetchVersion int16
	isrByLeader  bool // inter.broker.protocol.version below 2.7-IV2: leaders write the ISR into ZooKeeper
}

// Phases of a schedule, in simulated milliseconds.
const (
	settle   = 150   // brokers start, a controller is elected, the topic gets its leader
	turmoil  = 1500  // faults happen
	patience = 10000 // at most until everything is as it should be again
)

// newWorld prepares a schedule.
func newWorld(seed uint64, o options, transcript io.Writer) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), options: o, transcript: transcript, cut: map[[2]int32]bool{}}
	w.options.log = storage.LogConfig{MinInsyncReplicas: int32(w.between(1, 2))}
	if w.options.fetchVersion == 0 {
		w.options.fetchVersion = 17
		if w.oneIn(4) {
			w.options.fetchVersion = 11 // below KIP-595: followers ask for the ends of epochs
			w.options.isrByLeader = w.oneIn(2)
		}
	}
	w.rules = rules{world: w, leaders: map[int32]int32{}}
	w.tree = newTree(w)
	for id := range int32(w.between(3, 4)) {
		w.nodes = append(w.nodes, newNode(w, id+1))
	}
	return w
}

// play runs a schedule from its beginning to its end.
func (w *world) play() {
	defer w.close()
	defer func() {
		if p := recover(); p != nil {
			w.broken("panic: %v\n%s", p, debug.Stack())
		}
	}()
	for _, n := range w.nodes {
		w.in(w.between(0, 5), n.start)
	}
	w.in(10, func() { w.tree.createTopic([]int32{1, 2, 3}) })
	w.run(settle)
	end := w.now + w.between(turmoil/3, turmoil)
	w.every(30, end, w.produce)
	w.every(80, end, w.consume)
	w.every(90, end, w.strike)
	w.run(end)
	if w.over() {
		return
	}
	w.heal()
	w.every(60, w.now+1000, w.produce)
	for deadline := w.now + patience; !w.over() && !w.whole(); {
		if w.now >= deadline {
			w.broken("the cluster does not recover: %s", w.wrong())
			return
		}
		w.run(w.now + 100)
	}
}

// every repeats do about every so many milliseconds until end.
func (w *world) every(about, end int64, do func()) {
	w.in(w.between(1, 2*about), func() {
		if w.now < end {
			do()
			w.every(about, end, do)
		}
	})
}

// close ends what the schedule began.
func (w *world) close() {
	for _, n := range w.nodes {
		if n.running && n.control.stop != nil {
			n.control.stop()
		}
	}
}

// whole reports whether the cluster has recovered: everybody in sync, all logs equal, and everything in them committed.
func (w *world) whole() bool { return w.wrong() == "" }

// wrong says what is not as it should be.
func (w *world) wrong() string {
	st := w.tree.state()
	replicas, settled := w.tree.replicas()
	if st.Leader < 1 || len(st.ISR) < len(replicas) || !settled {
		return fmt.Sprintf("leader %d, ISR %v, replicas %v, settled %v", st.Leader, st.ISR, replicas, settled)
	}
	leader := w.node(st.Leader).disk.get(tp0)
	for _, id := range replicas {
		n := w.node(id)
		l := n.disk.get(tp0)
		if l == nil || leader == nil {
			return "a broker has no log"
		}
		if l.end() != leader.end() || l.hw != leader.end() {
			return fmt.Sprintf("broker %d ends at %d with high watermark %d, the leader at %d", n.id, l.end(), l.hw, leader.end())
		}
		ours, known := l.chainAt(l.end() - 1)
		if theirs, ok := leader.chainAt(leader.end() - 1); ok && known && theirs != ours {
			return fmt.Sprintf("broker %d has another log than the leader", n.id)
		}
	}
	return ""
}

// TestSchedules runs random schedules and prints the first that breaks a rule.
func TestSchedules(t *testing.T) {
	if *replay != 0 {
		if failure, transcript := retell(*replay, options{}); failure != "" {
			t.Fatalf("%s\nseed %d: %s", transcript, *replay, failure)
		} else {
			t.Logf("%s\nseed %d breaks no rule", transcript, *replay)
		}
		return
	}
	n := *schedules
	if testing.Short() {
		n /= 10
	}
	s := search(*firstSeed, n, options{})
	if s.seed != 0 {
		failure, transcript := retell(s.seed, options{})
		t.Fatalf("%s\nseed %d: %s\nagain: go test ./replication/sim -run TestSchedules -seed %d", transcript, s.seed, failure, s.seed)
	}
	t.Logf("%d schedules, %d of them cut short because more failed than may; %d records acknowledged, %d elections, %d logs moved", n, s.excused, s.acked, s.elections, s.moves)
}

// outcome of a search.
type outcome struct {
	seed                             uint64 // of the first schedule that broke a rule, 0 none
	ran                              int
	excused, acked, elections, moves int
}

// search runs schedules until one breaks a rule.
func search(first uint64, count int, o options) outcome {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // a schedule is short-lived and small
	var total outcome
	var mu sync.Mutex
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				seed := first + uint64(i)
				w := newWorld(seed, o, nil)
				w.play()
				mu.Lock()
				total.ran++
				if w.failure != "" && (total.seed == 0 || seed < total.seed) {
					total.seed = seed
					next.Store(int64(count))
				}
				if w.excused {
					total.excused++
				}
				total.acked += w.rules.acked
				total.moves += w.moves
				total.elections += int(w.tree.state().LeaderEpoch)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return total
}

// retell runs one schedule and returns its text.
func retell(seed uint64, o options) (failure, transcript string) {
	var text strings.Builder
	w := newWorld(seed, o, &text)
	w.play()
	return w.failure, text.String()
}
