package main

import (
	"context"
	"errors"
	"time"
)

// startRows are about starting, stopping and memory.
func startRows() []scenario {
	return []scenario{
		{name: "S1", title: "exec to the first ApiVersions answer, empty directory", pace: pace{10, 1, 1}, ceilings: []kind{null}, measures: []measure{
			{name: "start", what: "time", unit: "ms", goal: goal{60, 30}},
		}, run: func(ctx context.Context, r *turn) error {
			for range 1 + r.o.samples {
				b, took, err := r.start(ctx, r.kind, "")
				if err != nil {
					return err
				}
				r.add("start", took.Seconds()*1000)
				b.stop()
			}
			return nil
		}},
		{name: "S2", title: "memory (RSS)", pace: pace{20, 12, 11}, ceilings: []kind{null}, measures: []measure{
			{name: "idle", what: "5 s after the start", unit: "MB", goal: goal{22, 16}},
			{name: "loaded", what: "after 4 GB in 120 KiB requests over 4 connections", unit: "MB", goal: goal{21, 48}},
		}, run: memory},
		{name: "S3", title: "stop and start with data on disk in 6 partitions", pace: pace{45, 25, 0}, once: true, limit: 5 * time.Minute, measures: []measure{
			{name: "stop", what: "SIGTERM right behind 4 GB, to the end of the process", unit: "s"},
			{name: "clean", what: "after SIGTERM with 4 GB: exec to the first ApiVersions answer", unit: "s"},
			{name: "crash", what: "after kill -9 right behind 4 GB: the same", unit: "s", goal: goal{40, 0.1}},
		}, run: func(ctx context.Context, r *turn) error { return r.restarts(ctx, 4e9) }},
		{name: "S4", title: "stop and start with 30 GB on disk in 6 partitions", pace: pace{200, 120, 0}, once: true, long: true, limit: 15 * time.Minute, measures: []measure{
			{name: "stop", what: "SIGTERM right behind 30 GB, to the end of the process", unit: "s"},
			{name: "clean", what: "after SIGTERM with 30 GB: exec to the first ApiVersions answer", unit: "s"},
			{name: "crash", what: "after kill -9 right behind 4 GB more: the same", unit: "s"},
		}, run: func(ctx context.Context, r *turn) error { return r.restarts(ctx, 30e9) }},
	}
}

// newBytes is what is written before a broker is killed, whatever was on disk before: what a start has to check.
const newBytes = 4e9

// restarts writes so many bytes, stops the broker in good order and starts it, writes newBytes more, kills it and starts it.
func (r *turn) restarts(ctx context.Context, bytes int64) (err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, shortSession); err != nil {
		return err
	}
	defer r.c.stop()
	b := r.c.brokers[0]
	if err := r.c.fillUp(ctx, "data", 6, bytes); err != nil {
		return err
	}
	begun := time.Now()
	if !b.end(5 * time.Minute) {
		return errors.New("the broker did not stop within five minutes")
	}
	r.add("stop", time.Since(begun).Seconds())
	took, err := r.lab.run(ctx, b)
	if err != nil {
		return err
	}
	r.add("clean", took.Seconds())
	if err := r.c.fillUp(ctx, "more", 6, newBytes); err != nil {
		return err
	}
	b.kill()
	if err := r.c.awaitGone(ctx, 0); err != nil {
		return err
	}
	if took, err = r.lab.run(ctx, b); err != nil {
		return err
	}
	r.add("crash", took.Seconds())
	return nil
}

func memory(ctx context.Context, r *turn) error {
	c, err := r.startCluster(ctx, r.kind, 1, "")
	if err != nil {
		return err
	}
	defer c.stop()
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	r.add("idle", c.brokers[0].rss())
	if err := c.fillUp(ctx, "s2", 6, 4e9); err != nil {
		return err
	}
	r.add("loaded", c.brokers[0].rss())
	return nil
}

// fillUp writes so many bytes of record data into a topic, in requests of 120 KiB.
func (c *cluster) fillUp(ctx context.Context, topic string, partitions int32, bytes int64) error {
	l, err := c.load(ctx, shape{topic: topic, partitions: partitions, acks: 1, records: 120, size: recordSize, connections: 4, depth: 5})
	if err != nil {
		return err
	}
	_, err = l.Send(ctx, bytes)
	return err
}
