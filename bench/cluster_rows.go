package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Rows that are measured in a cluster.
const (
	latencyRate   = 500 // requests/s
	latencyWindow = 10 * time.Second
	gapPace       = 5 * time.Millisecond
)

// clusterRows lists them in the order in which a session runs them. Every topic has three replicas and min.insync.replicas=2, every request acks=all.
func clusterRows() []row {
	return []row{
		{name: "acks1", title: "acks=all requests, 1 KiB, 1 connection, 5 in flight", unit: "1/s", more: true, records: 1, size: recordSize, connections: 1, depth: 5},
		{name: "acks4", title: "acks=all requests, 1 KiB, 4 connections, 5 in flight each", unit: "1/s", more: true, records: 1, size: recordSize, connections: 4, depth: 5},
		{name: "p50", title: fmt.Sprintf("acks=all, %d requests/s: median", latencyRate), unit: "ms"},
		{name: "p99", title: fmt.Sprintf("acks=all, %d requests/s: 99 of 100", latencyRate), unit: "ms"},
		{name: "replicated", title: "acks=all, 120 KiB requests: CPU of all three brokers", unit: "CPU-s/GB", records: 120, size: recordSize, connections: 1, depth: 5},
		{name: "killleader", title: "kill -9 of the leader: time without an ack", unit: "s"},
		{name: "killcontroller", title: "kill -9 of the controller, a follower: time without an ack", unit: "s"},
		{name: "create", title: "partitions: created, all in sync", unit: "s"},
		{name: "descriptors", title: "partitions: open files of a broker", unit: "files"},
		{name: "memory", title: "partitions: memory (RSS) of a broker", unit: "MB"},
		{name: "stop", title: "partitions: controlled shutdown of a broker", unit: "s"},
		{name: "restart", title: "partitions: exec to all in sync again", unit: "s"},
	}
}

// clusterSession starts a cluster of kind k, runs the rows on it, stops it and deletes its data.
func (l *lab) clusterSession(ctx context.Context, k kind, o options, out *results) error {
	if err := l.fill(ctx); err != nil {
		return err
	}
	c, err := l.startCluster(ctx, k)
	if err != nil {
		return err
	}
	defer c.stop()
	s := clusterRun{cluster: c, o: o, out: out}
	for _, part := range []struct {
		rows []string
		run  func(context.Context) error
	}{
		{[]string{"acks1"}, func(ctx context.Context) error { return s.rates(ctx, "acks1") }},
		{[]string{"acks4"}, func(ctx context.Context) error { return s.rates(ctx, "acks4") }},
		{[]string{"p50", "p99"}, s.latency},
		{[]string{"replicated"}, s.replicated},
		{[]string{"killleader"}, func(ctx context.Context) error { return s.gap(ctx, "killleader") }},
		{[]string{"killcontroller"}, func(ctx context.Context) error { return s.gap(ctx, "killcontroller") }},
		{[]string{"create", "descriptors", "memory", "stop", "restart"}, s.manyPartitions},
	} {
		if !slices.ContainsFunc(part.rows, o.wants) {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.rows[0], err)
		}
	}
	return nil
}

// clusterRun is one session's measurements.
type clusterRun struct {
	*cluster
	o   options
	out *results
}

func (s *clusterRun) add(name string, v float64) {
	s.out.add(name, s.kind, v)
	r := clusterRows()[slices.IndexFunc(clusterRows(), func(r row) bool { return r.name == name })]
	fmt.Printf("  %-14s %-8s %10.3f %s\n", name, s.kind, v, r.unit)
}

// topic makes a topic with all its replicas in sync.
func (s *clusterRun) topic(ctx context.Context, name string, partitions int32) error {
	if err := s.createTopics(ctx, partitions, name); err != nil {
		return err
	}
	return s.awaitISR(ctx, time.Minute, int(partitions), name)
}

// settled calls f until its results get no better, and then as often as samples are wanted.
func (s *clusterRun) settled(r row, f func() (float64, error)) error {
	last := 0.0
	for n := range settleRuns {
		v, err := f()
		if err != nil {
			return err
		}
		gain := (last - v) / max(last, 1e-9)
		if r.more {
			gain = (v - last) / max(v, 1e-9)
		}
		if n > 0 && gain < settledWithin {
			break
		}
		last = v
	}
	for range s.o.samples {
		v, err := f()
		if err != nil {
			return err
		}
		s.add(r.name, v)
	}
	return nil
}

// rates measures requests/s on one connection per partition.
func (s *clusterRun) rates(ctx context.Context, name string) error {
	r := clusterRows()[slices.IndexFunc(clusterRows(), func(r row) bool { return r.name == name })]
	if err := s.topic(ctx, r.name, int32(r.connections)); err != nil {
		return err
	}
	return s.settled(r, func() (float64, error) {
		all, err := s.producers(r.name, int32(r.connections), r, buildBatch(r.records, r.size))
		if err != nil {
			return 0, err
		}
		const window = 4 * time.Second
		counts, errs := make([]int, len(all)), make([]error, len(all))
		var wg sync.WaitGroup
		for i, p := range all {
			wg.Go(func() { counts[i], errs[i] = p.runFor(ctx, window) })
		}
		wg.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return float64(total) / window.Seconds(), errors.Join(errs...)
	})
}

// replicated measures the CPU time of all three brokers for what a producer sends.
func (s *clusterRun) replicated(ctx context.Context) error {
	r := clusterRows()[slices.IndexFunc(clusterRows(), func(r row) bool { return r.name == "replicated" })]
	if err := s.topic(ctx, r.name, 1); err != nil {
		return err
	}
	return s.settled(r, func() (float64, error) {
		all, err := s.producers(r.name, 1, r, buildBatch(r.records, r.size))
		if err != nil {
			return 0, err
		}
		before := s.cpu()
		n, err := all[0].runRequests(ctx, s.o.megabyte*1_000_000/all[0].recordBytes+1)
		return (s.cpu() - before) / (float64(n*all[0].recordBytes) / 1e9), err
	})
}

// latency sends at a fixed rate, whether answers come or not, and measures from the moment at which a request was due.
func (s *clusterRun) latency(ctx context.Context) error {
	const topic = "latency"
	if err := s.topic(ctx, topic, 1); err != nil {
		return err
	}
	leader, _, err := s.leader(topic, 0, -1)
	if err != nil {
		return err
	}
	for n := range s.o.samples + 2 { // the first two warm up
		took, err := s.paced(ctx, s.brokers[leader].addr, topic)
		if err != nil {
			return err
		}
		slices.Sort(took)
		if n >= 2 {
			s.add("p50", took[len(took)/2])
			s.add("p99", took[len(took)*99/100])
		}
	}
	return nil
}

// paced returns the milliseconds that each request took.
func (s *clusterRun) paced(ctx context.Context, addr, topic string) ([]float64, error) {
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(latencyWindow + 30*time.Second))
	frame := produceFrame(topic, 0, -1, buildBatch(1, recordSize))
	n := int(latencyWindow.Seconds() * latencyRate)
	begun := time.Now()
	due := func(i int) time.Time { return begun.Add(time.Duration(i) * time.Second / latencyRate) }
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			time.Sleep(time.Until(due(i)))
			if _, err := c.Write(frame); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	took, buf := make([]float64, 0, n), []byte(nil)
	for i := range n {
		body, err := readFrame(c, &buf)
		if err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if code := produceError(topic, body); code != 0 {
			return nil, fmt.Errorf("produce answered error %d", code)
		}
		took = append(took, float64(time.Since(due(i)))/1e6)
	}
	return took, <-sent
}

// gap measures the longest time between two acks around a kill -9, of the leader, or of the controller while it follows.
func (s *clusterRun) gap(ctx context.Context, name string) error {
	const partitions = clusterSize * 2
	if err := s.topic(ctx, name, partitions); err != nil {
		return err
	}
	for range s.o.samples {
		var victim, partition int32 = -1, -1
		for i := int32(0); i < partitions && victim < 0; i++ {
			leader, controller, err := s.leader(name, i, -1)
			switch {
			case err != nil:
				return err
			case name == "killleader" && leader != controller:
				victim, partition = leader, i
			case name == "killcontroller" && leader != controller:
				victim, partition = controller, i
			}
		}
		if victim < 0 {
			return errors.New("the controller leads every partition")
		}
		longest, err := s.interrupted(ctx, name, partition, victim)
		if err != nil {
			return err
		}
		s.add(name, longest.Seconds())
		if err := s.restart(ctx, victim); err != nil {
			return err
		}
		if err := s.awaitISR(ctx, 2*time.Minute, partitions, name); err != nil {
			return err
		}
	}
	return nil
}

// interrupted writes one request after the other, kills the victim after a second, and returns the longest time between two acks, until they have
// come for three seconds again.
func (s *clusterRun) interrupted(ctx context.Context, topic string, partition, victim int32) (time.Duration, error) {
	frame := produceFrame(topic, partition, -1, buildBatch(1, 100))
	var c net.Conn
	var buf []byte
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	dead := int32(-1)
	once := func() error {
		if c == nil {
			leader, _, err := s.leader(topic, partition, dead)
			if err != nil {
				return err
			}
			if c, err = dial(ctx, s.brokers[leader].addr); err != nil {
				return err
			}
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		_, err := c.Write(frame)
		if err == nil {
			var body []byte
			if body, err = readFrame(c, &buf); err == nil && produceError(topic, body) != 0 {
				err = fmt.Errorf("error %d", int16(binary.BigEndian.Uint16(body[4+2+len(topic)+8:])))
			}
		}
		if err != nil {
			c.Close()
			c = nil
		}
		return err
	}
	var longest time.Duration
	begun := time.Now()
	last, killed := time.Time{}, time.Time{}
	for ctx.Err() == nil {
		err := once()
		now := time.Now()
		if err == nil {
			if !last.IsZero() && !killed.IsZero() {
				longest = max(longest, now.Sub(last))
			}
			last = now
		}
		switch {
		case killed.IsZero() && now.Sub(begun) > time.Second && err == nil:
			if err := s.kill(victim); err != nil {
				return 0, err
			}
			killed, dead = now, victim
		case !killed.IsZero() && longest > 0 && err == nil && now.Sub(killed) > longest+3*time.Second:
			return longest, nil
		case now.Sub(begun) > 2*time.Minute:
			return 0, fmt.Errorf("no acks: %w", err)
		}
		if err := sleep(ctx, gapPace); err != nil {
			return 0, err
		}
	}
	return 0, ctx.Err()
}

// manyPartitions creates so many that the metadata is what matters, stops a broker in good order and starts it again.
func (s *clusterRun) manyPartitions(ctx context.Context) error {
	const each = 100
	topics := names("many-", s.o.partitions/each)
	total := len(topics) * each
	begun := time.Now()
	if err := s.createTopics(ctx, each, topics...); err != nil {
		return err
	}
	if err := s.awaitISR(ctx, 10*time.Minute, total, topics...); err != nil {
		return err
	}
	s.add("create", time.Since(begun).Seconds())
	b := s.brokers[clusterSize-1]
	s.add("descriptors", float64(b.descriptors()))
	s.add("memory", float64(b.rss())/1e6)
	begun = time.Now()
	b.end(5 * time.Minute)
	s.add("stop", time.Since(begun).Seconds())
	begun = time.Now()
	if _, err := s.l.run(ctx, b); err != nil {
		return err
	}
	if err := s.awaitISR(ctx, 10*time.Minute, total, topics...); err != nil {
		return err
	}
	s.add("restart", time.Since(begun).Seconds())
	return nil
}
