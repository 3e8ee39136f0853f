package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// recordSize is the size of the value of a record, in bytes, in every row but the one of 100 bytes.
const recordSize = 1024

// row is one line of the table.
type row struct {
	name    string
	title   string
	unit    string
	more    bool // more is better
	measure func(ctx context.Context, b *broker, o options, r row) (float64, error)

	records     int // records per produce request
	size        int // bytes of a record's value
	connections int
	depth       int // requests in flight on each connection
	fetchBytes  int // bytes per partition that a fetch asks for
	reads       string
}

// rows lists them in the order in which a session runs them: what is fetched has been produced before.
func rows() []row {
	return []row{
		{name: "start", title: "exec to the first ApiVersions answer", unit: "ms"},
		{name: "idle", title: "idle memory (RSS) 5 s after the start", unit: "MB"},
		{name: "produce15", title: "produce, 15 KiB requests, 4 connections", unit: "CPU-s/GB", measure: produceCPU, records: 15, size: recordSize, connections: 4, depth: 5},
		{name: "produce120", title: "produce, 120 KiB requests, 1 connection", unit: "CPU-s/GB", measure: produceCPU, records: 120, size: recordSize, connections: 1, depth: 5},
		{name: "produce920", title: "produce, 920 KiB requests, 4 connections", unit: "CPU-s/GB", measure: produceCPU, records: 920, size: recordSize, connections: 4, depth: 5},
		{name: "fetch15", title: "fetch, 16 KiB answers, 1 connection", unit: "CPU-s/GB", measure: fetchCPU, reads: "produce15", fetchBytes: 16 << 10},
		{name: "fetch120", title: "fetch, 128 KiB answers, 1 connection", unit: "CPU-s/GB", measure: fetchCPU, reads: "produce120", fetchBytes: 128 << 10},
		{name: "fetch920", title: "fetch, 1 MiB answers, 1 connection", unit: "CPU-s/GB", measure: fetchCPU, reads: "produce920", fetchBytes: 1 << 20},
		{name: "requests15", title: "produce requests, 15 KiB, 1 connection, 5 in flight", unit: "1/s", more: true, measure: requestRate, records: 15, size: recordSize, connections: 1, depth: 5},
		{name: "requests100", title: "produce requests, 100 B, 1 connection, 5 in flight", unit: "1/s", more: true, measure: requestRate, records: 1, size: 100, connections: 1, depth: 5},
		{name: "loaded", title: "memory (RSS) after all of it", unit: "MB"},
	}
}

func rowNames(rows []row) []string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func (o options) wants(name string) bool { return len(o.rows) == 0 || slices.Contains(o.rows, name) }

// session starts a broker of kind k, runs the rows on it, stops it and deletes its data.
func (l *lab) session(ctx context.Context, k kind, o options, out *results) error {
	if err := l.fill(ctx); err != nil {
		return err
	}
	if o.wants("start") {
		for range o.samples { // starts are cheap: sample them apart from the session's own
			b, took, err := l.start(ctx, k)
			if err != nil {
				return err
			}
			out.add("start", k, took.Seconds()*1000)
			if err := b.stop(); err != nil {
				return err
			}
		}
	}
	b, took, err := l.start(ctx, k)
	if err != nil {
		return err
	}
	defer b.stop()
	if o.wants("start") {
		out.add("start", k, took.Seconds()*1000)
	}
	if o.wants("idle") {
		if err := sleep(ctx, 5*time.Second); err != nil {
			return err
		}
		out.add("idle", k, float64(b.rss())/1e6)
	}
	if err := l.load(ctx, b, o, out); err != nil {
		return err
	}
	if o.wants("loaded") && len(o.rows) == 0 {
		out.add("loaded", k, float64(b.rss())/1e6)
	}
	return nil
}

// load runs the rows with traffic: first until the shape has settled, then the samples that count.
func (l *lab) load(ctx context.Context, b *broker, o options, out *results) error {
	for _, r := range rows() {
		if r.measure == nil || !o.wants(r.name) {
			continue
		}
		if err := settle(ctx, b, o, r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		for range o.samples {
			v, err := r.measure(ctx, b, o, r)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			out.add(r.name, b.kind, v)
			fmt.Printf("  %-12s %-8s %10.3f %s\n", r.name, b.kind, v, r.unit)
		}
		if r.fetchBytes == 0 {
			continue
		}
		for range o.samples {
			v, err := l.floorCPU(ctx, r.fetchBytes, int64(o.megabyte)*1_000_000)
			if err != nil {
				return err
			}
			out.add(r.name, floor, v)
			fmt.Printf("  %-12s %-8s %10.3f %s\n", r.name, floor, v, r.unit)
		}
	}
	return nil
}

// A shape has settled when a run is at most settledWithin better than the one before. The Java machine compiles what runs often: the first
// runs cost several times the later ones, and longer on a busy machine.
const (
	settledWithin = 0.07
	settleRuns    = 12 // at most
)

// settle runs a shape, and throws the figures away, until they get no better.
func settle(ctx context.Context, b *broker, o options, r row) error {
	last := 0.0
	for n := range settleRuns {
		v, err := r.measure(ctx, b, o, r)
		if err != nil {
			return err
		}
		gain := (last - v) / max(last, 1e-9)
		if r.more {
			gain = (v - last) / max(v, 1e-9)
		}
		if n > 0 && gain < settledWithin {
			return nil
		}
		last = v
	}
	return nil
}

func produceCPU(ctx context.Context, b *broker, o options, r row) (float64, error) {
	p, err := newProducer(b, r)
	if err != nil {
		return 0, err
	}
	before := b.cpu()
	requests, err := p.runRequests(ctx, o.megabyte*1_000_000/p.recordBytes+1)
	if err != nil {
		return 0, err
	}
	return (b.cpu() - before) / (float64(requests*p.recordBytes) / 1e9), nil
}

func requestRate(ctx context.Context, b *broker, _ options, r row) (float64, error) {
	p, err := newProducer(b, r)
	if err != nil {
		return 0, err
	}
	const window = 4 * time.Second
	requests, err := p.runFor(ctx, window)
	return float64(requests) / window.Seconds(), err
}

// fetchCPU reads what another row has produced; when that row was not asked for, it produces a sample first.
func fetchCPU(ctx context.Context, b *broker, o options, r row) (float64, error) {
	source := rows()[slices.Index(rowNames(rows()), r.reads)]
	if !b.produced[source.name] {
		p, err := newProducer(b, source)
		if err != nil {
			return 0, err
		}
		if _, err := p.runRequests(ctx, o.megabyte*1_000_000/p.recordBytes+1); err != nil {
			return 0, err
		}
	}
	before := b.cpu()
	n, err := fetchAll(ctx, b, source.name, r.fetchBytes, int64(o.megabyte)*1_000_000)
	if err != nil {
		return 0, err
	}
	return (b.cpu() - before) / (float64(n) / 1e9), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
