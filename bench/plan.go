package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// pace is how long a scenario's turn takes, in seconds, as it came to on the machine of docs/performance.md with one sample of a figure: what the plan
// adds up. It bounds nothing; that is the limit's to do.
type pace struct {
	apache, gregor, bare float64
}

func (p pace) of(k kind) float64 {
	switch k {
	case apache:
		return p.apache
	case gregor:
		return p.gregor
	}
	return p.bare
}

// step is one turn of a run: a kind of broker and what it is to run.
type step struct {
	round, turn int // from 0
	kind        kind
	scenarios   []scenario
}

// plan lays out a run: rounds of the order, without turns that nothing runs in. What runs once is in the first turn of either broker only.
func plan(o options, chosen []scenario) (steps []step) {
	for round := range o.rounds {
		for turn, k := range order {
			if len(o.only) > 0 && !slices.Contains(o.only, string(k)) {
				continue
			}
			again := round > 0 || slices.Contains(order[:turn], k)
			mine := slices.DeleteFunc(slices.Clone(chosen), func(s scenario) bool { return !s.runsOn(k) || again && s.once })
			if len(mine) > 0 {
				steps = append(steps, step{round, turn, k, mine})
			}
		}
	}
	return steps
}

// readSpeed is how quickly the filler is read, in GiB per second: mostly from memory, partly from the disk.
const readSpeed = 3

// forecast is how long a plan takes: by row, in the order of the matrix, and all of it.
func forecast(o options, steps []step) (rows []string, total time.Duration) {
	var names []string
	seconds, sum := map[string]float64{}, 0.0
	for _, t := range steps {
		at := alone
		for _, s := range t.scenarios {
			took := s.pace.of(t.kind)
			if s.home != at || s.home == alone {
				took += float64(o.fillGB) / readSpeed
			}
			at = s.home
			if _, known := seconds[s.name]; !known {
				names = append(names, s.name)
			}
			seconds[s.name] += took
			sum += took
		}
	}
	for _, name := range names {
		rows = append(rows, fmt.Sprintf("%s %.1f", name, seconds[name]/60))
	}
	return rows, time.Duration(sum * float64(time.Second))
}

// announce says what a run is going to do, and how long that takes at two samples of a figure.
func announce(o options, steps []step) {
	rows, total := forecast(o, steps)
	fmt.Printf("plan, in minutes: %s; about %.0f minutes together, with one sample of a figure\n", strings.Join(rows, ", "), total.Minutes())
}
