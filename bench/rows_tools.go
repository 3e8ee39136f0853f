package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// toolRows are measured with Kafka's own programs, whose Java clients take most of the machine: throughput says as much about them as about a broker
// (performance.md 4.4), so that CPU per GB is what counts.
func toolRows() []scenario {
	perf := []measure{{name: "rate", what: "throughput", unit: "MB/s", more: true}, {name: "cpu", what: "CPU of the broker", unit: "CPU-s/GB"}}
	run := func(t perfTest) func(context.Context, *turn) error {
		t.partitions = stockPartitions
		return func(ctx context.Context, r *turn) error { return r.perfTest(ctx, t, "rate", "cpu") }
	}
	return []scenario{
		{name: "P1", title: "kafka-producer-perf-test, 3 million records of 100 B, acks=1, linger 0, batches of 16 KiB", pace: pace{30, 30, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: perf,
			run: run(perfTest{topic: "p1", records: 3_000_000, size: 100, acks: "1", batch: 16384})},
		{name: "P2", title: "kafka-producer-perf-test, 3 million records of 100 B, acks=1, linger 10 ms, batches of 128 KiB", pace: pace{25, 25, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: perf,
			run: run(perfTest{topic: "p2", records: 3_000_000, size: 100, acks: "1", lingerMs: 10, batch: 131072})},
		{name: "P3", title: "kafka-producer-perf-test, 1 million records of 1 KiB, acks=1, linger 0, batches of 16 KiB", pace: pace{25, 25, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: perf,
			run: run(perfTest{topic: "p3", records: 1_000_000, size: recordSize, acks: "1", batch: 16384})},
		{name: "P4", title: "kafka-producer-perf-test, 500,000 records of 1 KiB, linger 10 ms, batches of 128 KiB", pace: pace{28, 25, 0}, once: true, home: oneBroker, measures: []measure{
			{name: "rate", what: "throughput, acks=1", unit: "MB/s", more: true},
			{name: "cpu", what: "CPU of the broker, acks=1", unit: "CPU-s/GB"},
			{name: "all rate", what: "throughput, acks=all", unit: "MB/s", more: true},
			{name: "all cpu", what: "CPU of the broker, acks=all", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error {
			t := perfTest{topic: "p4", partitions: stockPartitions, records: 500_000, size: recordSize, acks: "1", lingerMs: 10, batch: 131072}
			if err := r.perfTest(ctx, t, "rate", "cpu"); err != nil {
				return err
			}
			t.acks = "all"
			return r.perfTest(ctx, t, "all rate", "all cpu")
		}},
		{name: "P5", title: "kafka-producer-perf-test, 300,000 records of 1 KiB, acks=1, linger 10 ms, batches of 128 KiB, compressed", pace: pace{60, 50, 0}, once: true, home: oneBroker, limit: 5 * time.Minute, measures: []measure{
			{name: "lz4", what: "CPU of the broker per GB before compression, lz4", unit: "CPU-s/GB"},
			{name: "zstd", what: "the same, zstd", unit: "CPU-s/GB", goal: goal{7, 0.6}},
			{name: "gzip", what: "the same, gzip", unit: "CPU-s/GB"},
		}, run: func(ctx context.Context, r *turn) error {
			for _, codec := range []string{"lz4", "zstd", "gzip"} {
				t := perfTest{topic: "p5-" + codec, partitions: stockPartitions, records: 300_000, size: recordSize, acks: "1", lingerMs: 10, batch: 131072, codec: codec}
				if err := r.perfTest(ctx, t, "", codec); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "P6", title: "kafka-producer-perf-test at a fixed rate, records of 1 KiB, acks=1", pace: pace{60, 60, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: []measure{
			{name: "10k p50", what: "10,000 records/s: p50", unit: "ms"}, {name: "10k p99", what: "p99", unit: "ms"}, {name: "10k p99.9", what: "p99.9", unit: "ms"},
			{name: "50k p50", what: "50,000 records/s: p50", unit: "ms"}, {name: "50k p99", what: "p99", unit: "ms"}, {name: "50k p99.9", what: "p99.9", unit: "ms"},
		}, run: pacedTool},
		{name: "C1", title: "kafka-consumer-perf-test, 1 million records of 1 KiB in 6 partitions, from the page cache", pace: pace{12, 10, 0}, once: true, home: oneBroker, measures: []measure{
			{name: "rate", what: "throughput", unit: "MB/s", more: true},
			{name: "cpu", what: "CPU of the broker", unit: "CPU-s/GB"},
		}, run: consumerPerf},
		{name: "L1", title: "kafka-e2e-latency, 5,000 records of 100 B", pace: pace{60, 50, 0}, home: oneBroker, once: true, long: true, limit: 5 * time.Minute, measures: []measure{
			{name: "avg", what: "acks=1: average", unit: "ms"}, {name: "p99", what: "acks=1: p99", unit: "ms"}, {name: "p99.9", what: "acks=1: p99.9", unit: "ms"},
			{name: "all avg", what: "acks=all: average", unit: "ms"}, {name: "all p99", what: "acks=all: p99", unit: "ms"}, {name: "all p99.9", what: "acks=all: p99.9", unit: "ms"},
		}, run: endToEndTool},
	}
}

func pacedTool(ctx context.Context, r *turn) error {
	for _, s := range []struct {
		name string
		rate int
	}{{"10k", 10_000}, {"50k", 50_000}} {
		for n := range 1 + r.o.samples {
			result, err := r.producerPerf(ctx, perfTest{topic: "p6", partitions: stockPartitions, records: 10 * s.rate, size: recordSize, rate: s.rate, acks: "1", batch: 16384})
			if err != nil {
				return err
			}
			if n > 0 {
				r.add(s.name+" p50", result.p50)
				r.add(s.name+" p99", result.p99)
				r.add(s.name+" p99.9", result.p999)
			}
		}
	}
	return nil
}

// consumerPerf reads a topic with kafka-consumer-perf-test, whose last line is: start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, and the
// rates of the fetching alone.
func consumerPerf(ctx context.Context, r *turn) error {
	const topic, records = "c1", 1_000_000
	if err := r.stored(ctx, topic, 120, records*(recordSize+32)); err != nil { // 32: more than a record's header, so that the tool need not wait for the last
		return err
	}
	for n := range 1 + r.o.samples {
		before := r.c.cpu()
		text, err := r.tool(ctx, "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", r.c.brokers[0].addr, "--topic", topic,
			"--messages", strconv.Itoa(records), "--group", fmt.Sprintf("c1-%d", n), "--hide-header", "--timeout", "60000")
		if err != nil {
			return err
		}
		used := r.c.cpu() - before
		fields := strings.Split(lastLine(text), ", ")
		if len(fields) < 10 {
			return fmt.Errorf("kafka-consumer-perf-test printed %q", text)
		}
		megabytes, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return err
		}
		rate, err := strconv.ParseFloat(fields[8], 64)
		if err != nil {
			return err
		}
		if n > 0 {
			r.add("rate", rate*mebibyte)
			r.add("cpu", used/(megabytes*mebibyte/1000))
		}
	}
	return nil
}

// mebibyte is what Kafka's programs call "MB", in MB.
const mebibyte = 1 << 20 / 1e6

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// What kafka-e2e-latency prints at the end.
var (
	endToEndAverage     = regexp.MustCompile(`Avg latency: ([0-9.]+) ms`)
	endToEndPercentiles = regexp.MustCompile(`Percentiles: 50th = [0-9]+, 99th = ([0-9]+), 99.9th = ([0-9]+)`)
)

func endToEndTool(ctx context.Context, r *turn) error {
	const topic = "l1"
	if err := r.c.topic(ctx, topic, 1); err != nil {
		return err
	}
	for _, s := range []struct{ acks, prefix string }{{"1", ""}, {"all", "all "}} {
		for n := range 1 + r.o.samples {
			text, err := r.tool(ctx, "org.apache.kafka.tools.EndToEndLatency", r.c.brokers[0].addr, topic, "5000", s.acks, "100")
			if err != nil {
				return err
			}
			average, shares := endToEndAverage.FindStringSubmatch(text), endToEndPercentiles.FindStringSubmatch(text)
			if average == nil || shares == nil {
				return fmt.Errorf("kafka-e2e-latency printed %q", text[max(0, len(text)-500):])
			}
			if n == 0 {
				continue
			}
			for i, name := range []string{"avg", "p99", "p99.9"} {
				v, err := strconv.ParseFloat([]string{average[1], shares[1], shares[2]}[i], 64)
				if err != nil {
					return err
				}
				r.add(s.prefix+name, v)
			}
		}
	}
	return nil
}
