package main

import (
	"context"
	"time"

	"gregor/bench/load"
)

// latencyRows are about time rather than about work.
func latencyRows() []scenario {
	return []scenario{
		{name: "L2", title: "produce to fetch, 100 B at 1,000 records/s, a consumer at the end", pace: pace{15, 11, 0}, once: true, home: oneBroker, measures: []measure{
			{name: "p50", what: "latency: p50", unit: "ms"}, {name: "p99", what: "latency: p99", unit: "ms"}, {name: "p99.9", what: "latency: p99.9", unit: "ms"},
		}, run: func(ctx context.Context, r *turn) error {
			p, err := r.tailed(ctx, "l2", 1000)
			if err != nil {
				return err
			}
			return r.sampleShares(ctx, []string{"p50", "p99", "p99.9"}, []float64{0.5, 0.99, 0.999}, func(ctx context.Context) ([]time.Duration, error) {
				return p.EndToEnd(ctx, "l2")
			})
		}},
		{name: "D1", title: "durable acks: flush.messages=1, one record of 1 KiB per request, 1 in flight on each connection", pace: pace{30, 22, 22}, once: true, home: oneBroker, ceilings: []kind{loop},
			limit: 5 * time.Minute, measures: []measure{
				{name: "1x1", what: "1 connection, 1 partition", unit: "1/s", more: true},
				{name: "1x1 p99", what: "1 connection, 1 partition: p99", unit: "ms"},
				{name: "16x1", what: "16 connections, 1 partition", unit: "1/s", more: true},
				{name: "16x1 p99", what: "16 connections, 1 partition: p99", unit: "ms"},
				{name: "64x1", what: "64 connections, 1 partition", unit: "1/s", more: true, goal: goal{ratio: 10}},
				{name: "64x1 p99", what: "64 connections, 1 partition: p99", unit: "ms"},
				{name: "64x100", what: "64 connections, 100 partitions", unit: "1/s", more: true},
				{name: "64x100 p99", what: "64 connections, 100 partitions: p99", unit: "ms"},
			}, run: durable},
	}
}

// tailed makes a topic of one partition and the load of single records of 100 B for it.
func (r *turn) tailed(ctx context.Context, topic string, rate int) (load.Paced, error) {
	p := load.Paced{Addr: r.c.brokers[0].addr, Frame: load.ProduceFrame(topic, 1, load.Batch(1, 100), 0), Rate: rate, Count: int(pacedWindow.Seconds()) * rate}
	return p, r.c.topic(ctx, topic, 1)
}

func (r *turn) addShares(took []time.Duration, names []string, shares []float64) {
	for i, v := range millis(took, shares...) {
		r.add(names[i], v)
	}
}

func durable(ctx context.Context, r *turn) error {
	for _, s := range []struct {
		name        string
		connections int
		partitions  int32
	}{{"1x1", 1, 1}, {"16x1", 16, 1}, {"64x1", 64, 1}, {"64x100", 64, 100}} {
		topic := "d1-" + s.name
		if err := r.c.topic(ctx, topic, s.partitions, "flush.messages=1"); err != nil {
			return err
		}
		l, err := r.c.load(ctx, shape{topic: topic, partitions: s.partitions, acks: 1, records: 1, size: recordSize, connections: s.connections, depth: 1})
		if err != nil {
			return err
		}
		l.Latencies = true
		err = r.sample(ctx, []string{s.name, s.name + " p99"}, func(ctx context.Context) ([]float64, error) {
			done, err := l.For(ctx, rateWindow)
			if err != nil {
				return nil, err
			}
			return append([]float64{done.Rate()}, millis(done.Latencies, 0.99)...), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
