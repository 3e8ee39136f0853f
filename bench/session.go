package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// order is a round: Apache Kafka and gregor in turn, so that what changes slowly on a machine meets both alike. What shows the ceiling stands between.
var order = []kind{apache, gregor, null, loop, gregor, apache}

// measureAll runs a plan. A scenario that fails is noted and takes no other one down.
func (l *lab) measureAll(ctx context.Context, o options, steps []step, out *results) error {
	for _, t := range steps {
		fmt.Printf("round %d of %d, turn %d of %d: %s\n", t.round+1, o.rounds, t.turn+1, len(order), t.kind)
		if err := l.session(ctx, t.kind, o, t.scenarios, out); err != nil {
			return err
		}
	}
	return nil
}

func (s scenario) runsOn(k kind) bool {
	return k == apache || k == gregor || slices.Contains(s.ceilings, k)
}

// session runs scenarios on one kind of broker. Those in a row that want the same home share it, until one fails.
func (l *lab) session(ctx context.Context, k kind, o options, chosen []scenario, out *results) error {
	var c *cluster
	leave := func() {
		if c != nil {
			c.stop()
			c = nil
		}
	}
	defer leave()
	at := alone
	for _, s := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.home != at || s.home == alone {
			leave()
			if err := l.fill(ctx); err != nil {
				return err
			}
		}
		at = s.home
		unix.Sync() // what the row before has written, the quicker the more, must not go to the disk while this one is measured
		begun := time.Now()
		err := func() error {
			if c == nil && s.home != alone {
				var err error
				if c, err = l.startHome(ctx, k, s.home); err != nil {
					return err
				}
			}
			limited, cancel := context.WithTimeout(ctx, s.patience())
			defer cancel()
			err := s.run(limited, &turn{lab: l, scenario: s, kind: k, o: o, out: out, c: c})
			if err != nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
				err = fmt.Errorf("not done within %s: %w", s.patience(), err)
			}
			return err
		}()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			out.fail(s.name, k, err)
			fmt.Printf("  %-4s %s: FAILED: %s\n", s.name, k, strings.ReplaceAll(err.Error(), "\n", "\n      "))
			leave()
		}
		fmt.Printf("  %-4s took %.1f s\n", s.name, time.Since(begun).Seconds())
	}
	return nil
}

// homeLimit is how long brokers may take to start and to warm up.
const homeLimit = 5 * time.Minute

func (s scenario) patience() time.Duration {
	if s.limit == 0 {
		return defaultLimit
	}
	return s.limit
}

// startHome starts what the scenarios of a home share.
func (l *lab) startHome(ctx context.Context, k kind, h home) (*cluster, error) {
	limited, cancel := context.WithTimeout(ctx, homeLimit)
	defer cancel()
	size, settings, cold := 1, "", false
	switch h {
	case briefBroker:
		settings, cold = shortSession, true
	case threeBrokers:
		size, settings = replicated, replicatedSettings+shortSession
	case coldBrokers:
		size, settings, cold = replicated, replicatedSettings, true
	}
	c, err := l.startCluster(limited, k, size, settings)
	if err != nil || cold {
		return c, err
	}
	if err := c.warm(limited); err != nil {
		c.stop()
		return nil, fmt.Errorf("warming up: %w", err)
	}
	return c, nil
}
