package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// perfTest are the arguments of a kafka-producer-perf-test run.
type perfTest struct {
	topic      string
	partitions int32
	records    int
	size       int // bytes of a record
	rate       int // records per second; 0: as many as it can
	acks       string
	lingerMs   int
	batch      int // bytes
	codec      string
}

// tool runs one of Kafka's own programs and returns what it printed.
func (l *lab) tool(ctx context.Context, class string, args ...string) (string, error) {
	logFile := filepath.Join(l.dir, "tool.log")
	cmd, err := l.java([]string{"-Xmx512M", "-XX:+UseG1GC"}, class, logFile, args...)
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	err = cmd.Wait()
	text, _ := os.ReadFile(logFile)
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", class, err, text[max(0, len(text)-2000):])
	}
	return string(text), nil
}

// perfTotal is the last line of kafka-producer-perf-test: "... records/sec (N MB/sec), ... avg latency, ... 50th, ... 95th, ... 99th, ... 99.9th."
var perfTotal = regexp.MustCompile(`records sent, ([0-9.]+) records/sec \(([0-9.]+) MB/sec\), .* ([0-9]+) ms 50th, ([0-9]+) ms 95th, ([0-9]+) ms 99th, ([0-9]+) ms 99.9th`)

// perfResult is what kafka-producer-perf-test and the broker's process say of a run.
type perfResult struct {
	megabytes      float64 // per second, of 10^6 bytes
	p50, p99, p999 float64 // ms
	cpu            float64 // CPU-s/GB of all brokers
}

// producerPerf makes the topic and runs kafka-producer-perf-test once.
func (r *turn) producerPerf(ctx context.Context, t perfTest) (perfResult, error) {
	var result perfResult
	if err := r.c.topic(ctx, t.topic, t.partitions); err != nil {
		return result, err
	}
	var addrs []string
	for _, b := range r.c.brokers {
		addrs = append(addrs, b.addr)
	}
	rate := -1
	if t.rate > 0 {
		rate = t.rate
	}
	args := []string{"--topic", t.topic, "--num-records", strconv.Itoa(t.records), "--record-size", strconv.Itoa(t.size), "--throughput", strconv.Itoa(rate),
		"--producer-props", "bootstrap.servers=" + strings.Join(addrs, ","), "acks=" + t.acks, fmt.Sprintf("linger.ms=%d", t.lingerMs), fmt.Sprintf("batch.size=%d", t.batch)}
	if t.codec != "" {
		args = append(args, "compression.type="+t.codec)
	}
	before := r.c.cpu()
	text, err := r.tool(ctx, "org.apache.kafka.tools.ProducerPerformance", args...)
	if err != nil {
		return result, err
	}
	used := r.c.cpu() - before
	totals := perfTotal.FindAllStringSubmatch(text, -1)
	if len(totals) == 0 {
		return result, fmt.Errorf("kafka-producer-perf-test printed no total:\n%s", text[max(0, len(text)-2000):])
	}
	number := func(i int) float64 {
		v, _ := strconv.ParseFloat(totals[len(totals)-1][i], 64) // the expression lets only numbers through
		return v
	}
	return perfResult{megabytes: number(2) * mebibyte, p50: number(3), p99: number(5), p999: number(6),
		cpu: used / (float64(t.records) * float64(t.size) / 1e9)}, nil
}

// perfTest runs the tool once to warm the broker up, and then as often as samples are wanted: throughput, where it has a name, and CPU per GB.
func (r *turn) perfTest(ctx context.Context, t perfTest, rate, cpu string) error {
	for n := range 1 + r.o.samples {
		result, err := r.producerPerf(ctx, t)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if rate != "" {
			r.add(rate, result.megabytes)
		}
		r.add(cpu, result.cpu)
	}
	return nil
}
