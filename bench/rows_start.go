package main

import (
	"context"
	"time"
)

// startRows are about starting, stopping and memory.
func startRows() []scenario {
	return []scenario{
		{name: "S1", title: "exec to the first ApiVersions answer, empty directory", ceilings: []kind{null}, measures: []measure{
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
		{name: "S2", title: "memory (RSS)", ceilings: []kind{null}, measures: []measure{
			{name: "idle", what: "5 s after the start", unit: "MB", goal: goal{22, 16}},
			{name: "loaded", what: "after 4 GB in 120 KiB requests over 4 connections", unit: "MB", goal: goal{21, 48}},
		}, run: memory},
	}
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
