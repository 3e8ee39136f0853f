package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gregor/bench/load"
)

// The Java machine compiles what runs often, in threads beside those that work: for a minute and more where three brokers share two processors, and again
// whenever a load takes new paths. What is measured meanwhile is the compiler: one broker's rate may rise tenfold. So loads warm a broker up until its
// compilers rest. Gregor and the bare programs have none: one turn is enough.

// compilerThreads are what the Java machine calls the threads that compile, as far as Linux keeps a thread's name.
var compilerThreads = []string{"C1 CompilerThre", "C2 CompilerThre"}

// compilers is what the compiler threads of some brokers had used when somebody last looked, in seconds by thread.
type compilers map[string]float64

// used is the CPU time, in seconds, that the brokers' compilers have used since the last call.
func (p compilers) used(brokers []*broker) (sum float64) {
	for _, b := range brokers {
		tasks, _ := filepath.Glob(b.proc() + "/task/*")
		for _, task := range tasks {
			seconds, ok := compilerSeconds(task)
			if ok {
				sum += seconds - p[task]
				p[task] = seconds
			}
		}
	}
	return sum
}

// compilerSeconds is the CPU time of a thread; ok is false when it does not compile.
func compilerSeconds(task string) (seconds float64, ok bool) {
	for _, name := range compilerThreads {
		ok = ok || strings.TrimSpace(readSystem(task+"/comm")) == name
	}
	if !ok {
		return 0, false
	}
	return cpuOf(statOf(task)), true
}

// statOf are the fields of a process's or a thread's stat from the state on; none when there is no such thing.
func statOf(proc string) []string {
	text, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold blanks
	return strings.Fields(rest)
}

// cpuOf is the time that those fields tell, user and system, in seconds.
func cpuOf(fields []string) float64 {
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond
}

const (
	// settledWithin says when a load has settled: a turn is at most this much better than the one before, and compilers took at most this share of its CPU time.
	settledWithin = 0.07
	// settleTurns is how often a load is tried at most until it has settled.
	settleTurns = 6
	// restWithin is how long compilers may take to come to rest between two turns.
	restWithin = 4 * time.Second
	// resting is the share of a CPU that compilers at rest use at most.
	resting = 0.15
)

// settle repeats a load until what it costs (less is better) gets no better and the compilers rest meanwhile.
func (c *cluster) settle(ctx context.Context, f func(context.Context) (cost float64, err error)) error {
	p, last := compilers{}, 0.0
	for n := range settleTurns {
		p.used(c.brokers)
		before := c.cpu()
		cost, err := f(ctx)
		if err != nil {
			return err
		}
		compiled, all := p.used(c.brokers), c.cpu()-before
		if len(p) == 0 || n > 0 && (last-cost)/max(last, 1e-9) < settledWithin && compiled <= settledWithin*all {
			break
		}
		last = cost
		if err := c.rest(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// rest leaves the processors to the compilers until these rest.
func (c *cluster) rest(ctx context.Context, p compilers) error {
	const step = 250 * time.Millisecond
	for end := time.Now().Add(restWithin); time.Now().Before(end); {
		p.used(c.brokers)
		if err := sleep(ctx, step); err != nil {
			return err
		}
		if p.used(c.brokers) <= resting*step.Seconds() {
			break
		}
	}
	return nil
}

// Warming up: turns of warmTurn until compilers take at most warmShare of the CPU time, at most warmTurns of them.
const (
	warmTurn  = 3 * time.Second
	warmTurns = 12
	warmShare = 0.1
)

// warm has a new home's brokers work, each of them as leader and, where there are several, as follower, until their compilers have little left to do: small and
// large produce requests and fetches.
func (c *cluster) warm(ctx context.Context) error {
	s := shape{topic: "warm", partitions: stockPartitions, acks: -1, records: 15, size: recordSize, connections: stockPartitions, depth: 5}
	small, err := c.load(ctx, s)
	if err != nil {
		return err
	}
	s.records = 120
	large, err := c.load(ctx, s)
	if err != nil {
		return err
	}
	leaders, _, err := c.leaders(ctx, s.topic, -1)
	if err != nil {
		return err
	}
	p := compilers{}
	for range warmTurns {
		p.used(c.brokers)
		before := c.cpu()
		if _, err := small.For(ctx, warmTurn*2/3); err != nil {
			return err
		}
		if _, err := large.For(ctx, warmTurn/6); err != nil {
			return err
		}
		if _, err := load.Together(len(leaders), func(i int) (load.Result, error) {
			r := load.Reader{Addr: c.brokers[leaders[i]].addr, Topic: s.topic, First: int32(i), Partitions: 1, Bytes: 64 << 10}
			return r.Read(ctx, 50e6)
		}); err != nil {
			return err
		}
		if p.used(c.brokers) <= warmShare*(c.cpu()-before) {
			break
		}
		if err := c.rest(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
