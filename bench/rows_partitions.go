package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// partitionRows are about the number of partitions.
func partitionRows() []scenario {
	held := func(brokers string, goals [6]goal) []measure {
		return []measure{
			{name: "create", what: "created, all in sync", unit: "s", goal: goals[0]},
			{name: "rss", what: "memory (RSS) of a broker", unit: "MB", goal: goals[1]},
			{name: "files", what: "open files of a broker", unit: "files"},
			{name: "idle", what: "CPU of " + brokers + " with nothing to do", unit: "%", goal: goals[2]},
			{name: "rate", what: "produce requests, 15 KiB, 4 connections, 5 in flight each, over 100 of them", unit: "1/s", more: true},
		}
	}
	restarted := func(goals [6]goal) []measure {
		return []measure{
			{name: "stop", what: "SIGTERM to the end of a broker", unit: "s", goal: goals[3]},
			{name: "start", what: "exec to the first ApiVersions answer", unit: "s", goal: goals[4]},
			{name: "ready", what: "exec to all partitions led and in sync", unit: "s"},
			{name: "crash", what: "after kill -9: exec to the first ApiVersions answer", unit: "s", goal: goals[5]},
			{name: "crash ready", what: "after kill -9: exec to all partitions led and in sync", unit: "s"},
		}
	}
	one := [6]goal{{40, 0.5}, {23, 32}, {27, 0.2}, {127, 0.25}, {41, 0.25}, {133, 0.4}}
	return []scenario{
		{name: "M1", title: "1,000 partitions", pace: pace{45, 42, 0}, once: true, limit: 5 * time.Minute, measures: []measure{
			{name: "first", what: "15 KiB requests, 4 connections, 5 in flight each: first 20 s", unit: "1/s", more: true, goal: goal{57, 30000}},
			{name: "steady", what: "the same, steady", unit: "1/s", more: true, goal: goal{4.6, 30000}},
			{name: "near", what: "the same, steady, while the disk reads ahead 128 KiB (needs root)", unit: "1/s", more: true, goal: goal{2.7, 30000}},
		}, run: thousand},
		{name: "M2", title: "10,000 partitions, one broker", pace: pace{60, 60, 0}, once: true, home: briefBroker, limit: 8 * time.Minute, measures: held("the broker", one), run: manyPartitions(holdMany)},
		{name: "M3", title: "10,000 partitions, one broker: stop and start", pace: pace{130, 35, 0}, once: true, home: briefBroker, limit: 10 * time.Minute, measures: restarted(one), run: manyPartitions(restartMany)},
		{name: "M5", title: "10,000 partitions of three replicas, three brokers: one of them stops and starts", pace: pace{600, 300, 0}, once: true, home: coldBrokers, long: true, limit: 25 * time.Minute,
			measures: slices.Concat(held("all three", [6]goal{}), restarted([6]goal{})), run: manyPartitions(holdMany, restartMany)},
		{name: "M4", title: "100,000 topics of one partition", pace: pace{900, 200, 0}, once: true, long: true, limit: 30 * time.Minute, measures: []measure{
			{name: "create", what: "created, all led", unit: "s"},
			{name: "rss", what: "memory (RSS)", unit: "MB"},
			{name: "one", what: "metadata of one topic: p50", unit: "ms"},
		}, run: manyTopics},
	}
}

// nearReadAhead is how far Linux reads ahead where nobody has changed it, in KiB.
const nearReadAhead = 128

// thousand writes to 1,000 partitions in turn, from the first request on: index files that are mapped are read ahead as far as the disk says.
func thousand(ctx context.Context, r *turn) error {
	c, err := r.startCluster(ctx, r.kind, 1, "")
	if err != nil {
		return err
	}
	defer c.stop()
	r.c = c
	l, err := c.load(ctx, shape{topic: "m1", partitions: 1000, acks: 1, records: 15, size: recordSize, connections: 4, depth: 5})
	if err != nil {
		return err
	}
	done, err := l.For(ctx, 20*time.Second)
	if err != nil {
		return err
	}
	r.add("first", done.Rate())
	steady := func(name string) error {
		return r.sample(ctx, []string{name}, func(ctx context.Context) ([]float64, error) {
			done, err := l.For(ctx, rateWindow)
			return []float64{done.Rate()}, err
		})
	}
	if err := steady("steady"); err != nil {
		return err
	}
	return r.readingNear("near", func() error { return steady("near") })
}

// readingNear measures a figure while the disk reads ahead as far as Linux has it do by itself. Who may not set that goes without.
func (r *turn) readingNear(figure string, measure func() error) error {
	restore, err := setReadAhead(r.dir, nearReadAhead)
	if err != nil {
		fmt.Printf("  %s %s is not measured: %s\n", r.name, figure, err)
		return nil
	}
	defer restore()
	return measure()
}

// perTopic is the number of partitions of each topic where there are many.
const perTopic = 100

// atOnce is how many topics one request creates.
const atOnce = 1000

// createMany makes topics of so many partitions each and waits until all are in sync; it returns their names and the time that took.
func createMany(ctx context.Context, c *cluster, count int, each int32) (topics []string, took time.Duration, err error) {
	for i := range count {
		topics = append(topics, fmt.Sprintf("many-%06d", i))
	}
	begun := time.Now()
	for part := range slices.Chunk(topics, atOnce) {
		if err := c.createTopics(ctx, 10*time.Minute, each, part); err != nil {
			return nil, 0, err
		}
	}
	err = c.awaitInSync(ctx, count*int(each), topics...)
	return topics, time.Since(begun), err
}

// idleWindow is how long brokers are watched with nothing to do, after as long a rest.
const idleWindow = 10 * time.Second

// settleWindow is the rest that a broker has between the last partition's creation and its own stop: what it does in the background meanwhile is not a cost of stopping.
const settleWindow = 5 * time.Second

// idle is what all brokers of a cluster use of one CPU while nobody asks them anything, in percent.
func (c *cluster) idle(ctx context.Context) (float64, error) {
	if err := sleep(ctx, idleWindow); err != nil {
		return 0, err
	}
	before := c.cpu()
	err := sleep(ctx, idleWindow)
	return (c.cpu() - before) / idleWindow.Seconds() * 100, err
}

// manyPartitions makes the partitions, unless an earlier scenario has, and takes the steps with them.
func manyPartitions(steps ...func(context.Context, *turn, many) error) func(context.Context, *turn) error {
	return func(ctx context.Context, r *turn) error {
		topics, took, err := createMany(ctx, r.c, r.o.partitions/perTopic, perTopic)
		if err != nil {
			return err
		}
		for _, step := range steps {
			if err := step(ctx, r, many{topics, took}); err != nil {
				return err
			}
		}
		return nil
	}
}

// many are the partitions that were made: topics of perTopic each.
type many struct {
	topics []string
	took   time.Duration // to make them
}

// holdMany measures what partitions cost that are there.
func holdMany(ctx context.Context, r *turn, m many) error {
	r.add("create", m.took.Seconds())
	if r.kind == gregor && len(r.c.brokers) == 1 {
		least, err := r.floorCreate(ctx, m.topics, perTopic)
		if err != nil {
			return err
		}
		r.addAs(floor, "create", least)
	}
	idle, err := r.c.idle(ctx)
	if err != nil {
		return err
	}
	b := r.c.brokers[len(r.c.brokers)-1]
	r.add("idle", idle)
	r.add("rss", b.rss())
	r.add("files", float64(b.descriptors()))
	return r.rates(ctx, shape{topic: m.topics[0], partitions: perTopic, acks: 1, records: 15, size: recordSize, connections: 4, depth: 5}, "rate", "", "")
}

// restartMany stops the last broker in good order and with kill -9, and starts it again.
func restartMany(ctx context.Context, r *turn, m many) error {
	id := len(r.c.brokers) - 1
	b := r.c.brokers[id]
	again := func(start, ready string) error {
		begun := time.Now()
		took, err := r.lab.run(ctx, b)
		if err != nil {
			return err
		}
		r.add(start, took.Seconds())
		if err := r.c.awaitInSync(ctx, len(m.topics)*perTopic, m.topics...); err != nil {
			return err
		}
		r.add(ready, time.Since(begun).Seconds())
		return nil
	}
	if err := sleep(ctx, settleWindow); err != nil {
		return err
	}
	begun := time.Now()
	if !b.end(5 * time.Minute) {
		return fmt.Errorf("broker %d did not stop within five minutes", id)
	}
	r.add("stop", time.Since(begun).Seconds())
	if err := again("start", "ready"); err != nil {
		return err
	}
	b.kill()
	if err := r.c.awaitGone(ctx, int32(id)); err != nil {
		return err
	}
	return again("crash", "crash ready")
}

// manyTopics makes so many topics that Apache Kafka may run out of memory maps; the table says so then.
func manyTopics(ctx context.Context, r *turn) (err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, ""); err != nil {
		return err
	}
	defer r.c.stop()
	topics, took, err := createMany(ctx, r.c, 10*r.o.partitions, 1)
	if err != nil {
		b := r.c.brokers[0]
		if words := b.lastWords(); words != "" {
			made, _ := filepath.Glob(filepath.Join(b.logs(), "many-*"))
			err = fmt.Errorf("the broker ended with %d topics: %s", len(made), words)
		}
		return err
	}
	r.add("create", took.Seconds())
	r.add("rss", r.c.brokers[0].rss())
	var all []time.Duration
	for i := range 1000 {
		begun := time.Now()
		if _, err := r.c.brokers[0].metadata(ctx, topics[i*len(topics)/1000]); err != nil {
			return err
		}
		all = append(all, time.Since(begun))
	}
	r.add("one", millis(all, 0.5)[0])
	return nil
}
