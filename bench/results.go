package main

import (
	"fmt"
	"slices"
	"strings"
)

// results are the samples of every figure and kind, and what failed.
type results struct {
	samples  map[string]map[kind][]float64
	failures map[string]map[kind]string // by scenario: the first error of each kind
}

func newResults() *results {
	return &results{samples: map[string]map[kind][]float64{}, failures: map[string]map[kind]string{}}
}

func (r *results) add(key string, k kind, v float64) {
	if r.samples[key] == nil {
		r.samples[key] = map[kind][]float64{}
	}
	r.samples[key][k] = append(r.samples[key][k], v)
}

func (r *results) fail(scenario string, k kind, err error) {
	if r.failures[scenario] == nil {
		r.failures[scenario] = map[kind]string{}
	}
	if r.failures[scenario][k] == "" {
		line, _, _ := strings.Cut(err.Error(), "\n")
		r.failures[scenario][k] = line
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// better is by what factor b is better than a; 0 when there is no saying.
func (m measure) better(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	x, y := median(a), median(b)
	if m.more {
		x, y = y, x
	}
	if x <= 0 || y <= 0 {
		return 0
	}
	return x / y
}

// figure shows a number with three digits that count.
func figure(v float64) string {
	switch {
	case v >= 100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func times(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return figure(ratio) + "x"
}

// spread shows the median with the smallest and the largest sample.
func spread(v []float64, unit string) string {
	if len(v) == 0 {
		return ""
	}
	if len(v) == 1 {
		return figure(v[0]) + " " + unit
	}
	return fmt.Sprintf("%s %s (%s–%s)", figure(median(v)), unit, figure(slices.Min(v)), figure(slices.Max(v)))
}

// ceilings are the kinds that show how far down or up one can go, in the order of the table.
var ceilings = []kind{loop, null, floor}

// table is Markdown: per figure both medians with their range, by what factor gregor is better, what was aimed at, and the bare programs beside them.
func (r *results) table(scenarios []scenario) string {
	var b strings.Builder
	if slices.ContainsFunc(scenarios, func(s scenario) bool { return s.curve == nil && r.has(s) }) {
		fmt.Fprintf(&b, "| row | figure | Apache Kafka %s | gregor | better by | goal | bare programs | samples |\n|---|---|---|---|---|---|---|---|\n", kafkaVersion)
	}
	for _, s := range scenarios {
		if !r.has(s) || s.curve != nil {
			continue
		}
		fmt.Fprintf(&b, "| **%s** | **%s** | %s | %s | | | | |\n", s.name, s.title, r.failure(s, apache), r.failure(s, gregor))
		for _, m := range s.measures {
			v := r.samples[key(s.name, m.name)]
			if len(v[apache])+len(v[gregor]) == 0 {
				continue
			}
			var bare []string
			for _, k := range ceilings {
				if len(v[k]) > 0 {
					bare = append(bare, fmt.Sprintf("%s %s", k, figure(median(v[k]))))
				}
			}
			ratio := times(m.better(v[apache], v[gregor]))
			if ratio != "" {
				ratio = "**" + ratio + "**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %d / %d |\n", s.name, m.what, spread(v[apache], m.unit), spread(v[gregor], m.unit), ratio, m.goal,
				strings.Join(bare, ", "), len(v[apache]), len(v[gregor]))
		}
	}
	return b.String()
}

// has says whether a scenario was run.
func (r *results) has(s scenario) bool {
	for _, m := range s.measures {
		if len(r.samples[key(s.name, m.name)]) > 0 {
			return true
		}
	}
	return len(r.failures[s.name]) > 0
}

func (r *results) failure(s scenario, k kind) string {
	if text := r.failures[s.name][k]; text != "" {
		return "failed: " + strings.ReplaceAll(text, "|", "/")
	}
	return ""
}
