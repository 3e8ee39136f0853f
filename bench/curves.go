package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"gregor/bench/load"
)

// curve is cost against one driver of it, all else fixed (performance.md 5).
type curve struct {
	driver string // what grows, with its unit
	points []float64
	charts []chart
}

// chart is one cost along a curve.
type chart struct {
	name string
	cost string // with its unit
	want string // the shape that is wanted
}

// at names the figure of a chart at a point.
func (c chart) at(x float64) string { return fmt.Sprintf("%s@%g", c.name, x) }

// unitOf is what stands behind the last comma of a cost, or the cost itself where there is none.
func unitOf(cost string) string { return strings.TrimSpace(cost[strings.LastIndexByte(cost, ',')+1:]) }

// newCurve makes a scenario that calls point for each point of a curve, which returns the costs of the charts, in order.
func newCurve(name, title string, h home, c curve, point func(ctx context.Context, r *turn, x float64) ([]float64, error)) scenario {
	s := scenario{name: name, title: title, home: h, limit: 15 * time.Minute, pace: pace{60, 40, 0}, once: true, curve: &c}
	for _, chart := range c.charts {
		for _, x := range c.points {
			s.measures = append(s.measures, measure{name: chart.at(x), what: fmt.Sprintf("%s, at %g %s", chart.cost, x, c.driver), unit: unitOf(chart.cost)})
		}
	}
	s.run = func(ctx context.Context, r *turn) error {
		for _, x := range c.points {
			costs, err := point(ctx, r, x)
			if err != nil {
				return fmt.Errorf("at %g %s: %w", x, c.driver, err)
			}
			for i, chart := range c.charts {
				r.add(chart.at(x), costs[i])
			}
		}
		return nil
	}
	return s
}

// curves lists them.
func curves() []scenario {
	return []scenario{
		newCurve("K1", "bytes produced, 120 KiB requests", oneBroker, curve{"MB", []float64{64, 256, 1024, 4096},
			[]chart{{"cpu", "CPU of the broker, s", "slope 1"}, {"rss", "memory (RSS), MB", "flat"}}}, bytesPoint),
		newCurve("K2", "records in a batch of 900 kB", oneBroker, curve{"records", []float64{1, 10, 100, 1000, 10000},
			[]chart{{"cpu", "CPU of the broker, s/GB", "flat"}}}, recordsPoint),
		newCurve("K3", "size of a produce request", oneBroker, curve{"KiB", []float64{1, 4, 16, 64, 256, 1000},
			[]chart{{"cpu", "CPU of the broker per request, µs", "constant + bytes"}}}, sizePoint),
		newCurve("K4", "partitions, one of them written to", alone, curve{"partitions", []float64{1, 10, 100, 1000, 10000},
			[]chart{{"cpu", "CPU of the broker per request, µs", "flat"}, {"idle", "CPU with nothing to do, %", "flat"}, {"rss", "memory (RSS), MB", "below 1 KiB each"}}}, partitionsPoint),
		newCurve("K5", "idle connections beside one that works", alone, curve{"connections", []float64{10, 100, 1000, 5000},
			[]chart{{"rss", "memory (RSS), MB", "3.5 KiB each"}, {"cpu", "CPU of the broker per request, µs", "flat"}}}, connectionsPoint),
		newCurve("K6", "consumers at the end of a partition, 50 MB/s in", oneBroker, curve{"consumers", []float64{1, 5, 20, 50},
			[]chart{{"cpu", "CPU of the broker per GB sent, s", "flat"}}}, func(ctx context.Context, r *turn, x float64) ([]float64, error) {
			v, err := r.fanOut(ctx, int(x))
			return []float64{v}, err
		}),
		newCurve("K7", "length of the log behind a reader", oneBroker, curve{"MB", []float64{1, 10, 100, 1000, 4000},
			[]chart{{"p50", "first fetch at any offset: p50, ms", "O(log n)"}}}, lengthPoint),
		newCurve("K8", "bytes written right before kill -9, none of them flushed by a checkpoint", alone, curve{"MB", []float64{10, 100, 1000, 4000},
			[]chart{{"start", "exec to the first ApiVersions answer, s", "follows what was not flushed"}}}, crashPoint),
		newCurve("K9", "requests in flight, acks=all, three replicas, 15 KiB requests, 1 connection", threeBrokers, curve{"in flight", []float64{1, 2, 5, 10, 20, 32},
			[]chart{{"rate", "requests per second", "rises to what disk or CPU allow"}}}, depthPoint),
		newCurve("K10", "members of a consumer group, one joins", oneBroker, curve{"members", []float64{1, 10, 100, 300},
			[]chart{{"join", "until all have their assignment, s", "round trips"}}}, membersPoint),
	}
}

// sent sends so many bytes of a load, once for the broker to warm up and a second time to measure, and returns the CPU time and the number of requests.
func (r *turn) sent(ctx context.Context, s shape, bytes int64) (cpu float64, requests int, err error) {
	s.acks = 1
	l, err := r.c.load(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	if _, err := l.Send(ctx, min(bytes, 300e6)); err != nil {
		return 0, 0, err
	}
	before := r.c.cpu()
	done, err := l.Send(ctx, bytes)
	return r.c.cpu() - before, done.Requests, err
}

func bytesPoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	cpu, _, err := r.sent(ctx, shape{topic: "k1", partitions: stockPartitions, records: 120, size: recordSize, connections: 1, depth: 5}, int64(x*1e6))
	return []float64{cpu, r.c.brokers[0].rss()}, err
}

func recordsPoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	const bytes = 600e6
	cpu, _, err := r.sent(ctx, shape{topic: fmt.Sprintf("k2-%g", x), partitions: stockPartitions, records: int(x), size: int(900_000 / x), connections: 1, depth: 5}, bytes)
	return []float64{cpu / (bytes / 1e9)}, err
}

func sizePoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	const requests = 20_000
	cpu, n, err := r.sent(ctx, shape{topic: fmt.Sprintf("k3-%g", x), partitions: stockPartitions, records: 1, size: int(x * 1024), connections: 1, depth: 5}, int64(min(requests*x*1024, 1e9)))
	return []float64{cpu / float64(n) * 1e6}, err
}

func partitionsPoint(ctx context.Context, r *turn, x float64) (costs []float64, err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, ""); err != nil {
		return nil, err
	}
	defer r.c.stop()
	if _, _, err := createMany(ctx, r.c, max(int(x)/perTopic, 1), int32(min(x, perTopic))); err != nil {
		return nil, err
	}
	idle, err := r.c.idle(ctx)
	if err != nil {
		return nil, err
	}
	rss := r.c.brokers[0].rss()
	cpu, n, err := r.sent(ctx, shape{topic: "k4", partitions: 1, records: 15, size: recordSize, connections: 1, depth: 5}, 300e6)
	return []float64{cpu / float64(n) * 1e6, idle, rss}, err
}

func connectionsPoint(ctx context.Context, r *turn, x float64) (costs []float64, err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, ""); err != nil {
		return nil, err
	}
	defer r.c.stop()
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	if conns, err = openIdle(ctx, r.c.brokers[0].addr, int(x)); err != nil {
		return nil, err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	rss := r.c.brokers[0].rss()
	cpu, n, err := r.sent(ctx, shape{topic: "k5", partitions: 1, records: 15, size: recordSize, connections: 1, depth: 5}, 300e6)
	return []float64{rss, cpu / float64(n) * 1e6}, err
}

// lengthPoint makes a log of so many megabytes and fetches from anywhere in it, each time on a connection of its own, from the page cache.
func lengthPoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	topic := fmt.Sprintf("k7-%g", x)
	l, err := r.c.load(ctx, shape{topic: topic, partitions: 1, acks: 1, records: 15, size: recordSize, connections: 1, depth: 5})
	if err != nil {
		return nil, err
	}
	done, err := l.Send(ctx, int64(x*1e6))
	if err != nil {
		return nil, err
	}
	const tries = 400
	var took []time.Duration
	anywhere := rand.New(rand.NewPCG(1, uint64(x)))
	for range tries {
		reader := load.Reader{Addr: r.c.brokers[0].addr, Topic: topic, Partitions: 1, Bytes: 1024, Latencies: true, Offsets: []int64{anywhere.Int64N(int64(done.Requests) * 15)}}
		one, err := reader.Read(ctx, 1)
		if err != nil {
			return nil, err
		}
		took = append(took, one.Latencies...)
	}
	return millis(took[len(took)/2:], 0.5), nil // the first half warms up
}

func crashPoint(ctx context.Context, r *turn, x float64) (costs []float64, err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, shortSession); err != nil {
		return nil, err
	}
	defer r.c.stop()
	if err := r.c.fillUp(ctx, "k8", stockPartitions, int64(x*1e6)); err != nil {
		return nil, err
	}
	r.c.brokers[0].kill()
	if err := r.c.awaitGone(ctx, 0); err != nil {
		return nil, err
	}
	took, err := r.lab.run(ctx, r.c.brokers[0])
	return []float64{took.Seconds()}, err
}

func depthPoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	l, err := r.c.load(ctx, shape{topic: "k9", partitions: 1, acks: -1, records: 15, size: recordSize, connections: 1, depth: int(x)})
	if err != nil {
		return nil, err
	}
	if _, err := l.For(ctx, rateWindow); err != nil { // to warm up
		return nil, err
	}
	done, err := l.For(ctx, rateWindow)
	return []float64{done.Rate()}, err
}

func membersPoint(ctx context.Context, r *turn, x float64) ([]float64, error) {
	g, err := load.NewGroup(ctx, r.c.brokers[0].addr, fmt.Sprintf("k10-%g", x), 1000, false)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	if _, err := g.Add(ctx, int(x)); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range 5 {
		one, err := g.Add(ctx, 1)
		if err != nil {
			return nil, err
		}
		took = append(took, one)
		if _, err := g.Leave(ctx); err != nil {
			return nil, err
		}
	}
	return []float64{millis(took, 0.5)[0] / 1000}, nil
}
