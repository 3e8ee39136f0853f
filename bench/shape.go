package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gregor/bench/load"
)

// recordSize is the size of the value of a record, in bytes, where nothing else is said.
const recordSize = 1024

// shape is what a producer's load looks like.
type shape struct {
	topic       string
	partitions  int32
	acks        int16
	records     int // per batch
	size        int // bytes of a record's value
	spread      int // batches in a request, each for another partition; 0 is 1
	connections int
	depth       int // requests in flight on each connection
	idempotent  bool
	own         bool // connection i sends to partition i only, instead of to all that its broker leads
}

// rateWindow is how long a rate is measured.
const rateWindow = 2 * time.Second

// load makes the topic and prepares the requests. A connection sends to the partitions that one broker leads: connection i to those of the leader of
// partition i, beginning with it, or only to that one.
func (c *cluster) load(ctx context.Context, s shape) (load.Closed, error) {
	l := load.Closed{Depth: s.depth}
	if err := c.topic(ctx, s.topic, s.partitions); err != nil {
		return l, err
	}
	leaders, _, err := c.leaders(ctx, s.topic, -1)
	if err != nil {
		return l, err
	}
	batch := load.Batch(s.records, s.size)
	for i := range s.connections {
		first := i % len(leaders)
		if leaders[first] < 0 {
			return l, fmt.Errorf("%s-%d has no leader", s.topic, first)
		}
		var mine []int32 // the partitions that this connection writes to
		for j := range leaders {
			if p := (first + j) % len(leaders); leaders[p] == leaders[first] && (j == 0 || !s.own) {
				mine = append(mine, int32(p))
			}
		}
		lane := load.Lane{Addr: c.brokers[leaders[first]].addr, Bytes: len(batch) * max(s.spread, 1), Records: int32(s.records)}
		for j := range mine {
			var to []int32
			for k := range max(s.spread, 1) { // 7 apart, so that every request holds another choice
				to = append(to, mine[(j+7*k)%len(mine)])
			}
			lane.Frames = append(lane.Frames, load.ProduceFrame(s.topic, s.acks, batch, to...))
		}
		if s.idempotent {
			if lane.ProducerID, err = c.brokers[leaders[first]].producerID(ctx); err != nil {
				return l, err
			}
			lane.Sequence = make([]int32, len(lane.Frames))
		}
		l.Lanes = append(l.Lanes, lane)
	}
	return l, nil
}

// millis are what share 0 to 1 of the durations stays below, in milliseconds, for each of the shares. It sorts them.
func millis(took []time.Duration, shares ...float64) []float64 {
	slices.Sort(took)
	var all []float64
	for _, share := range shares {
		all = append(all, float64(took[min(int(float64(len(took))*share), len(took)-1)])/1e6)
	}
	return all
}
