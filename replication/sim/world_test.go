// Package sim runs brokers, controllers and ZooKeeper in one goroutine, under a simulated clock, network and disk, from one seed.
//
// What decides is the product's own code: replication.Manager with its partitions and fetchers, and the whole controller, whose event loop is
// stepped here and whose every ZooKeeper operation gives way to the schedule. What is simulated is what they stand on: logs in memory
// (disk_test.go), ZooKeeper's tree, sessions and watches (zookeeper_test.go), connections (network_test.go), processes that pause, crash and start
// again (node_test.go). The rules that must hold are in rules_test.go.
package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"gregor/protocol"
)

// world is one schedule. Time is in simulated milliseconds since its beginning.
type world struct {
	rng     *rand.Rand
	now     int64
	queue   queue
	options options

	nodes     []*node
	tree      *tree
	sessions  int               // opened so far
	exchanges []*exchange       // requests without an answer
	cut       map[[2]int32]bool // {from, to}: what is sent stays on the way
	rules     rules
	records   uint64 // handed out so far
	moves     int    // logs that came into their other directory

	transcript io.Writer // nil: nobody reads along
	said       string    // its last line, which is not repeated
	failure    string    // the first rule that was broken
	excused    bool      // more failed at once than replication promises to survive: nothing more is to be learnt
}

// begin is when simulated time starts for the product's code.
var begin = time.Unix(1_700_000_000, 0)

// time is now as the product's code takes it.
func (w *world) time() time.Time { return begin.Add(time.Duration(w.now) * time.Millisecond) }

// in plans do outside of all processes.
func (w *world) in(delay int64, do func()) { w.plan(delay, nil, do) }

// plan plans do inside a node's present life: a crash drops it, a pause holds it up.
func (w *world) plan(delay int64, n *node, do func()) {
	ev := event{node: n, do: do}
	if n != nil {
		ev.life = n.life
	}
	w.queue.push(w.now+delay, ev)
}

// step lets the next event happen; false when there is none before the deadline.
func (w *world) step(deadline int64) bool {
	at, ok := w.queue.next()
	if !ok || at > deadline {
		w.now = max(w.now, deadline)
		return false
	}
	ev := w.queue.pop()
	w.now = at
	switch n := ev.node; {
	case n == nil:
		ev.do()
	case n.life != ev.life || !n.running:
	case n.paused:
		n.heldUp = append(n.heldUp, ev)
	default:
		ev.do()
	}
	return true
}

// run lets events happen until the deadline, a broken rule or more failures than may be.
func (w *world) run(deadline int64) {
	for !w.over() && w.step(deadline) {
	}
}

func (w *world) over() bool { return w.failure != "" || w.excused }

// between draws from [low, high].
func (w *world) between(low, high int64) int64 { return low + w.rng.Int64N(high-low+1) }

// oneIn is true once in n times.
func (w *world) oneIn(n int) bool { return w.rng.IntN(n) == 0 }

// latency of a message, or of ZooKeeper: mostly short, now and then long enough to be overtaken by elections.
func (w *world) latency() int64 {
	switch w.rng.IntN(16) {
	case 0:
		return w.between(5, 40)
	case 1:
		if w.oneIn(4) {
			return w.between(40, 250)
		}
	}
	return w.between(0, 3)
}

// say adds a line to the transcript. Callers on hot paths look at w.transcript first.
func (w *world) say(format string, args ...any) {
	if w.transcript == nil {
		return
	}
	if line := fmt.Sprintf(format, args...); line != w.said {
		fmt.Fprintf(w.transcript, "%5d  %s\n", w.now, line)
		w.said = line
	}
}

// broken ends the schedule: a rule does not hold.
func (w *world) broken(format string, args ...any) {
	if !w.over() {
		w.failure = fmt.Sprintf(format, args...)
		w.say("BROKEN %s", w.failure)
	}
}

// beyond ends the schedule without blame.
func (w *world) beyond(format string, args ...any) {
	if !w.over() {
		w.excused = true
		w.say("EXCUSED %s", fmt.Sprintf(format, args...))
	}
}

// node looks a broker up; ids begin with 1.
func (w *world) node(id int32) *node { return w.nodes[id-1] }

// logger gives the product's code a logger: the transcript's when there is one.
func (w *world) logger(n *node) func(string) *slog.Logger {
	if w.transcript == nil {
		return func(string) *slog.Logger { return quiet }
	}
	return func(name string) *slog.Logger {
		return slog.New(slog.NewTextHandler(lines{w, n}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
	}
}

var quiet = slog.New(slog.DiscardHandler)

// lines is a node's log as part of the transcript.
type lines struct {
	w *world
	n *node
}

func (l lines) Write(b []byte) (int, error) {
	l.w.say("   %d log: %s", l.n.id, b[:len(b)-1])
	return len(b), nil
}

// The one partition of all schedules.
var (
	theTopic = protocol.TopicID{15: 1}
	tp0      = protocol.TopicPartition{Topic: "t", Partition: 0}
)
