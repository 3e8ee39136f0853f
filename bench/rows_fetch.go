package main

import (
	"context"
	"fmt"

	"gregor/bench/load"
)

// fetchRows read from one broker what the load generator has written to six partitions.
func fetchRows() []scenario {
	cpu := func(name, what string, g goal) measure {
		return measure{name: name, what: what, unit: "CPU-s/GB", goal: g}
	}
	return []scenario{
		{name: "C2", title: "fetch, 1 MiB of each of six partitions in an answer, from the page cache", pace: pace{22, 12, 0}, home: oneBroker, measures: []measure{
			{name: "rate", what: "1 connection", unit: "MB/s", more: true},
			cpu("cpu", "CPU, 1 connection", goal{2.8, 0.08}),
			{name: "rate 3", what: "3 connections", unit: "MB/s", more: true},
			cpu("cpu 3", "CPU, 3 connections", goal{3.7, 0.08}),
		}, run: bulkFetch},
		{name: "C3", title: "fetch, one partition and one request at a time, from the page cache", pace: pace{32, 25, 0}, once: true, home: oneBroker, measures: []measure{
			cpu("16K", "CPU, answers of 16 KiB", goal{}),
			{name: "64K", what: "requests, answers of 64 KiB", unit: "1/s", more: true},
			{name: "64K p50", what: "latency, answers of 64 KiB: p50", unit: "ms"},
			cpu("128K", "CPU, answers of 128 KiB", goal{}),
			cpu("1M", "CPU, answers of 1 MiB", goal{}),
		}, run: singleFetch},
	}
}

// stored makes a topic that holds so many bytes of record data in batches of so many records of 1 KiB.
func (r *turn) stored(ctx context.Context, topic string, records int, bytes int64) error {
	l, err := r.c.load(ctx, shape{topic: topic, partitions: stockPartitions, acks: 1, records: records, size: recordSize, connections: 4, depth: 5})
	if err != nil {
		return err
	}
	_, err = l.Send(ctx, bytes)
	return err
}

// fetchBytes is what topics hold that are fetched.
func (r *turn) fetchBytes() int64 { return int64(r.o.megabyte) * 1_000_000 }

func bulkFetch(ctx context.Context, r *turn) error {
	const topic = "c2"
	if err := r.stored(ctx, topic, 120, r.fetchBytes()); err != nil {
		return err
	}
	for _, s := range []struct {
		connections int
		rate, cpu   string
	}{{1, "rate", "cpu"}, {3, "rate 3", "cpu 3"}} {
		err := r.sample(ctx, []string{s.cpu, s.rate}, func(ctx context.Context) ([]float64, error) {
			before := r.c.cpu()
			done, err := load.Together(s.connections, func(int) (load.Result, error) {
				reader := load.Reader{Addr: r.c.brokers[0].addr, Topic: topic, Partitions: stockPartitions, Bytes: 1 << 20, Together: true}
				return reader.For(ctx, rateWindow)
			})
			gigabytes := float64(done.Bytes) / 1e9
			return []float64{(r.c.cpu() - before) / gigabytes, gigabytes * 1000 / done.Took.Seconds()}, err
		})
		if err != nil {
			return err
		}
		if err := r.addFloor(ctx, s.cpu, s.connections, stockPartitions<<20); err != nil {
			return err
		}
	}
	return nil
}

// addFloor has the bare loop answer size bytes at a time over so many connections, where gregor has been measured.
func (r *turn) addFloor(ctx context.Context, figure string, connections, size int) error {
	if r.kind != gregor {
		return nil
	}
	for range r.o.samples {
		v, err := r.floorCPU(ctx, connections, size, r.fetchBytes())
		if err != nil {
			return err
		}
		r.addAs(floor, figure, v)
	}
	return nil
}

func singleFetch(ctx context.Context, r *turn) error {
	for _, s := range []struct {
		records   int // in a batch of what is read
		size      int32
		cpu       string
		rate, p50 string
	}{{15, 16 << 10, "16K", "", ""}, {60, 64 << 10, "", "64K", "64K p50"}, {120, 128 << 10, "128K", "", ""}, {900, 1 << 20, "1M", "", ""}} {
		topic := fmt.Sprintf("c3-%d", s.records)
		if err := r.stored(ctx, topic, s.records, r.fetchBytes()); err != nil {
			return err
		}
		names := []string{s.cpu}
		if s.cpu == "" {
			names = []string{s.rate, s.p50}
		}
		err := r.sample(ctx, names, func(ctx context.Context) ([]float64, error) {
			reader := load.Reader{Addr: r.c.brokers[0].addr, Topic: topic, Partitions: stockPartitions, Bytes: s.size, Latencies: s.cpu == ""}
			before := r.c.cpu()
			done, err := reader.For(ctx, rateWindow)
			if err != nil {
				return nil, err
			}
			if s.cpu == "" {
				return append([]float64{done.Rate()}, millis(done.Latencies, 0.5)...), nil
			}
			return []float64{(r.c.cpu() - before) / (float64(done.Bytes) / 1e9)}, nil
		})
		if err != nil {
			return err
		}
		if s.cpu == "" {
			continue
		}
		if err := r.addFloor(ctx, s.cpu, 1, int(s.size)); err != nil {
			return err
		}
	}
	return nil
}
