package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"gregor/bench/load"
)

// probePace is the time between two requests around a failure: at 15 KiB each, at most 20 MB/s.
const probePace = 750 * time.Microsecond

// failover kills a leader that is not the controller, and then the controller where it follows, and measures how long no request is acknowledged.
func failover(ctx context.Context, r *turn) error {
	const topic, partitions = "r5", replicated * 2
	if err := r.c.topic(ctx, topic, partitions); err != nil {
		return err
	}
	for _, victim := range []string{"leader", "controller"} {
		leaders, controller, err := r.c.leaders(ctx, topic, -1)
		if err != nil {
			return err
		}
		partition := int32(-1)
		for p, leader := range leaders {
			if leader != controller {
				partition = int32(p)
			}
		}
		if partition < 0 {
			return errors.New("the controller leads every partition")
		}
		dead := leaders[partition]
		if victim == "controller" {
			dead = controller
		}
		p := probe{c: r.c, topic: topic, partition: partition, frame: load.Batch(15, recordSize), stamp: time.Now().UnixMilli(), acked: map[int64]bool{}}
		gap, err := p.through(ctx, dead)
		if err != nil {
			return err
		}
		if err := r.c.restart(ctx, dead); err != nil {
			return err
		}
		if err := r.c.awaitInSync(ctx, partitions, topic); err != nil {
			return err
		}
		lost, err := p.lost(ctx)
		if err != nil {
			return err
		}
		r.add(victim, gap.Seconds())
		r.add(victim+" lost", float64(lost))
	}
	return nil
}

// probe writes one request after the other to a partition, wherever its leader is, each with a timestamp of its own, and remembers which were acknowledged.
type probe struct {
	c         *cluster
	topic     string
	partition int32
	frame     []byte // the batch
	stamp     int64
	acked     map[int64]bool
	first     int64 // offset of the first request acknowledged

	conn net.Conn
	buf  []byte
}

// through kills a broker after a second and returns the longest time between two acks from then on, until they have come for three seconds again.
func (p *probe) through(ctx context.Context, victim int32) (time.Duration, error) {
	defer p.hangUp()
	var longest time.Duration
	var last, killed time.Time
	dead := int32(-1)
	for begun := time.Now(); ctx.Err() == nil; {
		err := p.once(ctx, dead)
		now := time.Now()
		if err == nil {
			if !killed.IsZero() {
				longest = max(longest, now.Sub(last))
			}
			last = now
		}
		switch {
		case killed.IsZero() && now.Sub(begun) > time.Second && err == nil:
			p.c.brokers[victim].kill()
			killed, dead = now, victim
		case !killed.IsZero() && err == nil && now.Sub(killed) > longest+3*time.Second:
			return longest, nil
		case now.Sub(begun) > 2*time.Minute:
			return 0, fmt.Errorf("no acks for two minutes: %w", err)
		}
		if err := sleep(ctx, probePace); err != nil {
			return 0, err
		}
	}
	return 0, ctx.Err()
}

func (p *probe) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// once sends a request; the broker that is dead is not asked for anything.
func (p *probe) once(ctx context.Context, dead int32) error {
	if p.conn == nil {
		leader, err := p.c.leader(ctx, p.topic, p.partition, dead)
		if err != nil {
			return err
		}
		if p.conn, err = load.Dial(ctx, leader.addr); err != nil {
			p.conn = nil
			return err
		}
	}
	p.stamp++
	load.Stamp(p.frame, p.stamp)
	p.conn.SetDeadline(time.Now().Add(time.Minute))
	_, err := p.conn.Write(load.ProduceFrame(p.topic, -1, p.frame, p.partition))
	if err != nil {
		p.hangUp()
		return err
	}
	body, err := load.ReadFrame(p.conn, &p.buf)
	if err != nil {
		p.hangUp()
		return err
	}
	code, offset := load.ProduceAnswer(body)
	if code != 0 {
		p.hangUp()
		return fmt.Errorf("produce answered error %d", code)
	}
	if len(p.acked) == 0 {
		p.first = offset
	}
	p.acked[p.stamp] = true
	return nil
}

// lost reads the partition and counts the acknowledged requests that are not in it.
func (p *probe) lost(ctx context.Context) (int, error) {
	leader, err := p.c.leader(ctx, p.topic, p.partition, -1)
	if err != nil {
		return 0, err
	}
	c, err := load.Dial(ctx, leader.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	missing := map[int64]bool{}
	for stamp := range p.acked {
		missing[stamp] = true
	}
	for offset, buf := p.first, []byte(nil); len(missing) > 0; {
		if _, err := c.Write(load.FetchFrame(p.topic, p.partition, []int64{offset}, 8<<20, 0)); err != nil {
			return 0, err
		}
		body, err := load.ReadFrame(c, &buf)
		if err != nil {
			return 0, err
		}
		n, err := load.Batches(body, func(_ int32, batch []byte) error {
			delete(missing, load.Timestamp(batch))
			offset = load.NextOffset(batch)
			return nil
		})
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
	}
	return len(missing), nil
}
