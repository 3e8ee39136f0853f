package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/bench/load"
)

// connectionRows are about many clients.
func connectionRows() []scenario {
	n1 := func(connections ...int) (all []measure) {
		for _, n := range connections {
			all = append(all,
				measure{name: fmt.Sprintf("%d rss", n), what: fmt.Sprintf("memory per connection, %d of them", n), unit: "KiB"},
				measure{name: fmt.Sprintf("%d p99", n), what: fmt.Sprintf("%d connections, 1 produce request/s on each: p99", n), unit: "ms"})
		}
		return all
	}
	return []scenario{
		{name: "B1", title: "consumer group of 100 members over 1,000 partitions, heartbeats every 50 ms", pace: pace{5, 3, 0}, home: oneBroker, measures: []measure{
			{name: "eager leave", what: "eager: a member leaves, until all have their assignment", unit: "s"},
			{name: "eager join", what: "eager: a member joins, until all have their assignment", unit: "s"},
			{name: "cooperative leave", what: "cooperative: a member leaves, until all have their assignment", unit: "s"},
			{name: "cooperative join", what: "cooperative: a member joins, until all have their assignment, two rebalances", unit: "s"},
			{name: "cpu", what: "CPU of the broker, 100 members at rest", unit: "%"},
		}, run: rebalances},
		{name: "N1", title: "idle connections", pace: pace{16, 13, 0}, once: true, measures: n1(1000), run: func(ctx context.Context, r *turn) error { return r.idleConnections(ctx, 1000) }},
		{name: "N2", title: "more idle connections", pace: pace{60, 50, 0}, once: true, long: true, limit: 5 * time.Minute, measures: n1(5000, 9000), run: func(ctx context.Context, r *turn) error { return r.idleConnections(ctx, 5000, 9000) }},
	}
}

// idleConnections opens connections, each of which asks one request, and measures what the broker's memory has grown by; then each sends a produce
// request of 100 B every second.
func (r *turn) idleConnections(ctx context.Context, counts ...int) (err error) {
	if r.c, err = r.startCluster(ctx, r.kind, 1, ""); err != nil {
		return err
	}
	defer r.c.stop()
	b := r.c.brokers[0]
	if err := r.c.topic(ctx, "n1", 1); err != nil {
		return err
	}
	frame := load.ProduceFrame("n1", 1, load.Batch(1, 100), 0)
	if _, err := load.SendOnce(ctx, b.addr, frame); err != nil {
		return err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	empty := b.rss()
	var conns []net.Conn
	defer func() { closeAll(conns) }()
	for _, n := range counts {
		more, err := openIdle(ctx, b.addr, n-len(conns))
		if conns = append(conns, more...); err != nil {
			return err
		}
		if err := sleep(ctx, 2*time.Second); err != nil {
			return err
		}
		r.add(fmt.Sprintf("%d rss", n), (b.rss()-empty)*1e6/1024/float64(n))
		took, err := perSecond(ctx, conns, frame, 5)
		if err != nil {
			return err
		}
		r.add(fmt.Sprintf("%d p99", n), millis(took, 0.99)[0])
	}
	return nil
}

// openIdle opens connections, one after the other, each of which has asked one request; those that it could open when it fails.
func openIdle(ctx context.Context, addr string, n int) (conns []net.Conn, err error) {
	hello, buf := load.Frame(1, kmsg.NewPtrApiVersionsRequest()), []byte(nil)
	for len(conns) < n {
		c, err := load.Dial(ctx, addr)
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", len(conns), err)
		}
		conns = append(conns, c)
		if _, err := c.Write(hello); err != nil {
			return conns, err
		}
		if _, err := load.ReadFrame(c, &buf); err != nil {
			return conns, fmt.Errorf("connection %d: %w", len(conns), err)
		}
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// perSecond sends the frame once a second on every connection, each at its own time within the second, and returns what every request took from the
// moment at which it was due.
func perSecond(ctx context.Context, conns []net.Conn, frame []byte, seconds int) ([]time.Duration, error) {
	begun := time.Now().Add(100 * time.Millisecond)
	done, err := load.Together(len(conns), func(i int) (done load.Result, err error) {
		var buf []byte
		for s := range seconds {
			due := begun.Add(time.Duration(s)*time.Second + time.Duration(i)*time.Second/time.Duration(len(conns)))
			if err := sleep(ctx, time.Until(due)); err != nil {
				return done, err
			}
			if _, err := conns[i].Write(frame); err != nil {
				return done, err
			}
			body, err := load.ReadFrame(conns[i], &buf)
			if err != nil {
				return done, err
			}
			if code, _ := load.ProduceAnswer(body); code != 0 {
				return done, fmt.Errorf("produce answered error %d", code)
			}
			done.Latencies = append(done.Latencies, time.Since(due))
		}
		return done, nil
	})
	return done.Latencies, err
}

// rebalances has a member leave and another one join, as often as samples are wanted.
func rebalances(ctx context.Context, r *turn) error {
	b := r.c.brokers[0]
	for _, protocol := range []string{"eager", "cooperative"} {
		g, err := load.NewGroup(ctx, b.addr, "b1-"+protocol, 1000, protocol == "cooperative")
		if err != nil {
			return err
		}
		err = func() error {
			defer g.Close()
			if _, err := g.Add(ctx, 100); err != nil {
				return err
			}
			for n := range 1 + r.o.samples { // the first warms up
				left, err := g.Leave(ctx)
				if err != nil {
					return err
				}
				joined, err := g.Add(ctx, 1)
				if err != nil {
					return err
				}
				if n > 0 {
					r.add(protocol+" leave", left.Seconds())
					r.add(protocol+" join", joined.Seconds())
				}
			}
			if protocol == "eager" {
				return nil
			}
			before := b.cpu()
			if err := sleep(ctx, rateWindow); err != nil {
				return err
			}
			r.add("cpu", (b.cpu()-before)/rateWindow.Seconds()*100)
			return nil
		}()
		if err != nil {
			return err
		}
	}
	return nil
}
