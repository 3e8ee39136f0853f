package main

import (
	"context"
	"fmt"
	"time"

	"gregor/bench/load"
)

// replicatedRows are measured in a cluster of three: every topic has three replicas and min.insync.replicas=2, every request acks=all. The goals of R1's CPU
// follow from those of its rates: so many requests per second leave no more of two processors for each GB.
func replicatedRows() []scenario {
	return []scenario{
		{name: "R1", title: "three replicas, acks=all, 15 KiB requests", pace: pace{100, 20, 0}, home: threeBrokers, limit: 5 * time.Minute, measures: []measure{
			{name: "d1", what: "requests, 1 connection, 1 in flight", unit: "1/s", more: true},
			{name: "d1 p50", what: "latency, 1 connection, 1 in flight: p50", unit: "ms"},
			{name: "d5", what: "requests, 1 connection, 5 in flight", unit: "1/s", more: true, goal: goal{8.7, 13500}},
			{name: "d5 p50", what: "latency, 1 connection, 5 in flight: p50", unit: "ms", goal: goal{7.6, 0.37}},
			{name: "d5 cpu", what: "CPU of all three, 1 connection, 5 in flight", unit: "CPU-s/GB", goal: goal{5, 9.6}},
			{name: "4x5", what: "requests, 4 connections, 5 in flight each", unit: "1/s", more: true, goal: goal{6.8, 20000}},
			{name: "4x5 p50", what: "latency, 4 connections, 5 in flight each: p50", unit: "ms"},
			{name: "4x5 cpu", what: "CPU of all three, 4 connections, 5 in flight each", unit: "CPU-s/GB", goal: goal{4.8, 6.5}},
		}, run: replicatedSmall},
		{name: "R2", title: "three replicas, acks=all, large requests", pace: pace{30, 15, 0}, home: threeBrokers, limit: 5 * time.Minute, measures: []measure{
			{name: "120x1", what: "120 KiB requests, 1 connection, 5 in flight", unit: "MB/s", more: true},
			{name: "120x1 cpu", what: "CPU of all three, 120 KiB requests, 1 connection", unit: "CPU-s/GB"},
			{name: "120x4", what: "120 KiB requests, 4 connections, 5 in flight each", unit: "MB/s", more: true},
			{name: "900x4", what: "900 KiB requests, 4 connections, 5 in flight each", unit: "MB/s", more: true, goal: goal{2.7, 600}},
			{name: "900x4 cpu", what: "CPU of all three, 900 KiB requests, 4 connections", unit: "CPU-s/GB"},
		}, run: replicatedLarge},
		{name: "R3", title: "three replicas, acks=all, 100 B at 500 requests/s", pace: pace{16, 11, 0}, home: threeBrokers, measures: []measure{
			{name: "p50", what: "latency: p50", unit: "ms", goal: goal{3, 0.18}},
			{name: "p99", what: "latency: p99", unit: "ms", goal: goal{9, 0.6}},
		}, run: replicatedPaced},
		{name: "R4", title: "three replicas, kafka-producer-perf-test, acks=all, 1 KiB, linger 10 ms, batches of 128 KiB", pace: pace{15, 12, 0}, once: true, home: threeBrokers, measures: []measure{
			{name: "rate", what: "throughput", unit: "MB/s", more: true},
			{name: "cpu", what: "CPU of all three", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error {
			return r.perfTest(ctx, perfTest{topic: "r4", partitions: 6, records: 300_000, size: recordSize, acks: "all", lingerMs: 10, batch: 131072}, "rate", "cpu")
		}},
		{name: "R5", title: "kill -9 at up to 20 MB/s, acks=all", pace: pace{60, 45, 0}, once: true, home: threeBrokers, limit: 6 * time.Minute, measures: []measure{
			{name: "leader", what: "of the leader: time without an ack", unit: "s"},
			{name: "leader lost", what: "of the leader: acknowledged requests lost", unit: "requests"},
			{name: "controller", what: "of the controller, a follower: time without an ack", unit: "s"},
			{name: "controller lost", what: "of the controller, a follower: acknowledged requests lost", unit: "requests"},
		}, run: failover},
	}
}

// rates samples requests/s, the median latency and CPU per GB of a load; a name that is empty is left out.
func (r *turn) rates(ctx context.Context, s shape, rate, p50, cpu string) error {
	l, err := r.c.load(ctx, s)
	if err != nil {
		return err
	}
	l.Latencies = p50 != ""
	var names []string
	for _, name := range []string{rate, p50, cpu} {
		if name != "" {
			names = append(names, name)
		}
	}
	return r.sample(ctx, names, func(ctx context.Context) ([]float64, error) {
		before := r.c.cpu()
		done, err := l.For(ctx, rateWindow)
		if err != nil {
			return nil, err
		}
		used := r.c.cpu() - before
		figures := []float64{done.Rate()}
		if r.measure(rate).unit == "MB/s" {
			figures[0] = float64(done.Bytes) / 1e6 / done.Took.Seconds()
		}
		if p50 != "" {
			figures = append(figures, millis(done.Latencies, 0.5)...)
		}
		if cpu != "" {
			figures = append(figures, used/(float64(done.Bytes)/1e9))
		}
		return figures, nil
	})
}

func replicatedSmall(ctx context.Context, r *turn) error {
	for _, s := range []struct {
		connections, depth int
		rate, p50, cpu     string
	}{{1, 1, "d1", "d1 p50", ""}, {1, 5, "d5", "d5 p50", "d5 cpu"}, {4, 5, "4x5", "4x5 p50", "4x5 cpu"}} {
		load := shape{topic: fmt.Sprintf("r1-%d", s.connections), partitions: int32(s.connections), acks: -1, records: 15, size: recordSize, connections: s.connections, depth: s.depth, own: true}
		if err := r.rates(ctx, load, s.rate, s.p50, s.cpu); err != nil {
			return err
		}
	}
	return nil
}

func replicatedLarge(ctx context.Context, r *turn) error {
	for _, s := range []struct {
		records, connections int
		rate, cpu            string
	}{{120, 1, "120x1", "120x1 cpu"}, {120, 4, "120x4", ""}, {900, 4, "900x4", "900x4 cpu"}} {
		load := shape{topic: fmt.Sprintf("r2-%d", s.connections), partitions: int32(s.connections), acks: -1, records: s.records, size: recordSize, connections: s.connections, depth: 5, own: true}
		if err := r.rates(ctx, load, s.rate, "", s.cpu); err != nil {
			return err
		}
	}
	return nil
}

// pacedWindow is how long a fixed rate is held.
const pacedWindow = 5 * time.Second

// paced sends single records of 100 B to one partition at a fixed rate. The names are those of shares of the latencies.
func (r *turn) paced(ctx context.Context, topic string, acks int16, rate int, names []string, shares []float64) error {
	if err := r.c.topic(ctx, topic, 1); err != nil {
		return err
	}
	leader, err := r.c.leader(ctx, topic, 0, -1)
	if err != nil {
		return err
	}
	p := load.Paced{Addr: leader.addr, Frame: load.ProduceFrame(topic, acks, load.Batch(1, 100), 0), Rate: rate, Count: int(pacedWindow.Seconds()) * rate}
	return r.sampleShares(ctx, names, shares, func(ctx context.Context) ([]time.Duration, error) { return p.Run(ctx) })
}

// sampleShares calls f until the median of what it measures has settled, and then as often as samples are wanted. The names are those of shares of the
// durations.
func (r *turn) sampleShares(ctx context.Context, names []string, shares []float64, f func(context.Context) ([]time.Duration, error)) error {
	err := r.c.settle(ctx, func(ctx context.Context) (float64, error) {
		took, err := f(ctx)
		if err != nil {
			return 0, err
		}
		return millis(took, 0.5)[0], nil
	})
	if err != nil {
		return err
	}
	for range r.o.samples {
		took, err := f(ctx)
		if err != nil {
			return err
		}
		r.addShares(took, names, shares)
	}
	return nil
}

func replicatedPaced(ctx context.Context, r *turn) error {
	return r.paced(ctx, "r3", -1, 500, []string{"p50", "p99"}, []float64{0.5, 0.99})
}
