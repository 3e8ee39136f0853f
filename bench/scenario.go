package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenario is a row of the matrix by its name. It yields one or several figures.
type scenario struct {
	name     string
	title    string
	home     home
	long     bool          // runs with -long, or when it is asked for
	limit    time.Duration // for one broker's turn
	pace     pace          // what a turn takes
	once     bool          // runs in one turn of each broker only, because it takes long
	ceilings []kind        // bare programs that run it, too
	measures []measure
	run      func(context.Context, *turn) error
	curve    *curve // what it draws, where it is a curve
}

// home is what a scenario finds when it begins.
type home int

const (
	alone        home = iota // nothing: it starts its own
	oneBroker                // a warm broker, which the scenarios in a row share
	briefBroker              // a shared one that is cold and empty, whose id ZooKeeper gives free soon after it was killed
	threeBrokers             // warm and shared
	coldBrokers              // three that are cold and empty
)

// measure is one figure of a scenario.
type measure struct {
	name string // within the scenario
	what string
	unit string
	more bool // more is better
	goal goal
}

// goal is what gregor is to reach: so many times better than Apache Kafka in the same run. Value is what that came to where it was set, on
// another machine. Zero: no goal was set.
type goal struct {
	ratio float64
	value float64
}

func (g goal) String() string {
	if g.ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%gx", g.ratio)
}

// defaultLimit is the limit of a scenario that names none.
const defaultLimit = 3 * time.Minute

// matrix lists all scenarios in the order in which a session runs them; the curves run only when they are asked for.
func matrix() []scenario {
	return slices.Concat(startRows(), produceRows(), fetchRows(), readerRows(), latencyRows(), toolRows(), connectionRows(), replicatedRows(), partitionRows(), curves())
}

// choose finds the scenarios that are asked for, by name ("G2") or family ("G"). Without any, all that the short or the long matrix holds.
func choose(all []scenario, asked []string, long bool) ([]scenario, error) {
	var chosen []scenario
	used := map[string]bool{}
	for _, s := range all {
		family := strings.TrimRight(s.name, "0123456789")
		switch {
		case len(asked) == 0 && s.curve == nil && (long || !s.long):
			chosen = append(chosen, s)
		case slices.Contains(asked, s.name):
			used[s.name] = true
			chosen = append(chosen, s)
		case slices.Contains(asked, family):
			used[family] = true
			chosen = append(chosen, s)
		}
	}
	for _, name := range asked {
		if !used[name] && !slices.ContainsFunc(chosen, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("there is no row %q; -list shows them", name)
		}
	}
	return chosen, nil
}

// turn is one scenario's turn with one kind of broker.
type turn struct {
	*lab
	scenario
	kind kind
	o    options
	out  *results
	c    *cluster // oneBroker, threeBrokers
}

// add notes a figure.
func (r *turn) add(name string, v float64) { r.addAs(r.kind, name, v) }

func (r *turn) addAs(k kind, name string, v float64) {
	r.out.add(key(r.name, name), k, v)
	fmt.Printf("  %-4s %-16s %-8s %12.3f %s\n", r.name, name, k, v, r.measure(name).unit)
}

// measure finds one of the scenario's measures, which must be there.
func (s scenario) measure(name string) measure {
	return s.measures[slices.IndexFunc(s.measures, func(m measure) bool { return m.name == name })]
}

// key names a figure in the results.
func key(scenario, measure string) string { return scenario + " " + measure }

// sample calls f until its first figure has settled, throws those figures away, and then as often as samples are wanted. The figures have names, in order.
func (r *turn) sample(ctx context.Context, names []string, f func(context.Context) ([]float64, error)) error {
	more := r.measure(names[0]).more
	err := r.c.settle(ctx, func(ctx context.Context) (float64, error) {
		v, err := f(ctx)
		switch {
		case err != nil:
			return 0, err
		case more:
			return 1 / max(v[0], 1e-9), nil
		}
		return v[0], nil
	})
	if err != nil {
		return err
	}
	for range r.o.samples {
		v, err := f(ctx)
		if err != nil {
			return err
		}
		for i, name := range names {
			r.add(name, v[i])
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
