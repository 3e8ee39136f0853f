package main

import "context"

// produceRows are requests with acks=1 to one broker, to six partitions where nothing else is said.
func produceRows() []scenario {
	bare := []kind{null, loop}
	rate := func(ratio, value float64) measure {
		return measure{name: "rate", what: "requests", unit: "1/s", more: true, goal: goal{ratio, value}}
	}
	bytes := func(ratio, value float64) measure {
		return measure{name: "rate", what: "throughput", unit: "MB/s", more: true, goal: goal{ratio, value}}
	}
	cpu := func(ratio, value float64) measure {
		return measure{name: "cpu", what: "CPU", unit: "CPU-s/GB", goal: goal{ratio, value}}
	}
	return []scenario{
		{name: "G1", title: "produce, 15 KiB requests, 1 connection, 5 in flight", pace: pace{70, 20, 12}, home: oneBroker, ceilings: bare,
			measures: []measure{rate(2.9, 30000), cpu(0, 0),
				{name: "one", what: "requests to one partition", unit: "1/s", more: true},
				{name: "idempotent", what: "requests of an idempotent producer", unit: "1/s", more: true}}, run: smallRequests},
		{name: "G2", title: "produce, 15 KiB requests, 4 connections, 5 in flight each", pace: pace{14, 7, 7}, home: oneBroker, ceilings: bare,
			measures: []measure{rate(0, 0), cpu(3.4, 1.2),
				{name: "one", what: "requests, a partition for each connection", unit: "1/s", more: true},
				{name: "one cpu", what: "CPU, a partition for each connection", unit: "CPU-s/GB"}}, run: fourConnections},
		{name: "G3", title: "produce, 120 KiB requests, 1 connection, 5 in flight", pace: pace{7, 4, 4}, home: oneBroker, ceilings: bare,
			measures: []measure{bytes(0, 0), cpu(2.6, 0.6)}, run: produces(shape{topic: "g3", records: 120, connections: 1, depth: 5})},
		{name: "G4", title: "produce, 900 KiB requests", pace: pace{13, 7, 7}, home: oneBroker, ceilings: bare, measures: []measure{
			{name: "rate 1", what: "1 connection, 5 in flight", unit: "MB/s", more: true},
			{name: "cpu 1", what: "CPU, 1 connection", unit: "CPU-s/GB"},
			{name: "rate", what: "4 connections, 5 in flight each", unit: "MB/s", more: true, goal: goal{1.45, 2000}},
			cpu(2.8, 0.4),
		}, run: func(ctx context.Context, r *turn) error {
			if err := r.produce(ctx, shape{topic: "g4-1", records: 900, connections: 1, depth: 5}, "rate 1", "cpu 1"); err != nil {
				return err
			}
			return r.produce(ctx, shape{topic: "g4", records: 900, connections: 4, depth: 5}, "rate", "cpu")
		}},
		{name: "G5", title: "produce, one record of 100 B per request", pace: pace{13, 7, 7}, home: oneBroker, ceilings: bare, measures: []measure{
			{name: "rate", what: "requests, 1 connection, 5 in flight", unit: "1/s", more: true, goal: goal{2.9, 45000}},
			{name: "rate 16", what: "requests, 16 connections, 5 in flight each", unit: "1/s", more: true},
		}, run: func(ctx context.Context, r *turn) error {
			if err := r.produce(ctx, shape{topic: "g5", records: 1, size: 100, connections: 1, depth: 5}, "rate", ""); err != nil {
				return err
			}
			return r.produce(ctx, shape{topic: "g5-16", records: 1, size: 100, connections: 16, depth: 5}, "rate 16", "")
		}},
		{name: "G6", title: "produce, 100 B at 1,000 requests/s", pace: pace{14, 11, 11}, home: oneBroker, ceilings: bare, measures: []measure{
			{name: "p50", what: "latency: p50", unit: "ms", goal: goal{1.4, 0.075}},
			{name: "p99", what: "latency: p99", unit: "ms", goal: goal{1.6, 0.24}},
			{name: "p99.9", what: "latency: p99.9", unit: "ms", goal: goal{6.8, 0.6}},
		}, run: func(ctx context.Context, r *turn) error {
			return r.paced(ctx, "g6", 1, 1000, []string{"p50", "p99", "p99.9"}, []float64{0.5, 0.99, 0.999})
		}},
		{name: "G7", title: "produce, 64 producers with keys: a record of 1 KiB for each of 10 of 100 partitions in a request, 1 in flight", pace: pace{9, 5, 5}, once: true, home: oneBroker, ceilings: bare,
			measures: []measure{bytes(0, 0), cpu(0, 0)}, run: produces(shape{topic: "g7", partitions: 100, records: 1, spread: 10, connections: 64, depth: 1})},
	}
}

func produces(s shape) func(context.Context, *turn) error {
	return func(ctx context.Context, r *turn) error { return r.produce(ctx, s, "rate", "cpu") }
}

// stockPartitions is the number of partitions of a topic where nothing else is said.
const stockPartitions = 6

// produce measures a load with acks=1, to six partitions in values of 1 KiB where the shape does not say otherwise.
func (r *turn) produce(ctx context.Context, s shape, rate, cpu string) error {
	s.acks = 1
	if s.partitions == 0 {
		s.partitions = stockPartitions
	}
	if s.size == 0 {
		s.size = recordSize
	}
	return r.rates(ctx, s, rate, "", cpu)
}

func smallRequests(ctx context.Context, r *turn) error {
	s := shape{topic: "g1", records: 15, connections: 1, depth: 5}
	if err := r.produce(ctx, s, "rate", "cpu"); err != nil {
		return err
	}
	s.topic, s.idempotent = "g1-idempotent", true
	if err := r.produce(ctx, s, "idempotent", ""); err != nil {
		return err
	}
	return r.produce(ctx, shape{topic: "g1-one", partitions: 1, records: 15, connections: 1, depth: 5}, "one", "")
}

func fourConnections(ctx context.Context, r *turn) error {
	s := shape{topic: "g2", records: 15, connections: 4, depth: 5}
	if err := r.produce(ctx, s, "rate", "cpu"); err != nil {
		return err
	}
	s.topic, s.partitions, s.own = "g2-one", 4, true
	return r.produce(ctx, s, "one", "one cpu")
}
