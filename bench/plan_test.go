package main

import (
	"strings"
	"testing"
	"time"
)

// TestShortMatrixIsShort: every row says how long it takes, and those of the short matrix together stay below 38 minutes.
func TestShortMatrixIsShort(t *testing.T) {
	for _, s := range matrix() {
		if s.pace.apache == 0 || s.pace.gregor == 0 || len(s.ceilings) > 0 && s.pace.bare == 0 {
			t.Errorf("%s takes %+v", s.name, s.pace)
		}
	}
	o := options{rounds: 1, samples: 1, fillGB: 4}
	chosen, err := choose(matrix(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	rows, total := forecast(o, plan(o, chosen))
	t.Logf("%s: %s", total.Round(time.Second), strings.Join(rows, ", "))
	if total > 38*time.Minute {
		t.Errorf("the short matrix takes %s", total)
	}
}

// TestPlan: bare programs have turns only where they stand beside something, what runs once runs in the first turn of each broker, and -only leaves the
// other turns out.
func TestPlan(t *testing.T) {
	chosen, err := choose(matrix(), []string{"G1", "M3"}, false)
	if err != nil {
		t.Fatal(err)
	}
	describe := func(o options) string {
		var turns []string
		for _, step := range plan(o, chosen) {
			text := string(step.kind)
			for _, s := range step.scenarios {
				text += " " + s.name
			}
			turns = append(turns, text)
		}
		return strings.Join(turns, ", ")
	}
	const again = "apache G1, gregor G1, null G1, loop G1, gregor G1, apache G1"
	if got, want := describe(options{rounds: 2}), "apache G1 M3, gregor G1 M3, null G1, loop G1, gregor G1, apache G1, "+again; got != want {
		t.Errorf("the plan is\n%s, want\n%s", got, want)
	}
	if got, want := describe(options{rounds: 1, only: []string{"gregor"}}), "gregor G1 M3, gregor G1"; got != want {
		t.Errorf("the plan is %s, want %s", got, want)
	}
}

// TestGoals: what the project has promised itself stands in the table.
func TestGoals(t *testing.T) {
	promised := map[string]float64{
		"S1 start": 60, "S2 idle": 22, "S2 loaded": 21, "S3 crash": 40, "G1 rate": 2.9, "G2 cpu": 3.4, "G3 cpu": 2.6, "G4 cpu": 2.8, "G4 rate": 1.45, "G5 rate": 2.9,
		"G6 p50": 1.4, "G6 p99": 1.6, "G6 p99.9": 6.8, "C2 cpu": 2.8, "C2 cpu 3": 3.7, "C4 rate": 2.1, "R1 d5": 8.7, "R1 d5 p50": 7.6, "R1 d5 cpu": 5, "R1 4x5": 6.8,
		"R1 4x5 cpu": 4.8, "R2 900x4": 2.7, "R3 p50": 3, "R3 p99": 9, "M1 first": 57, "M1 steady": 4.6, "M1 near": 2.7, "M2 create": 40, "M2 idle": 27, "M2 rss": 23,
		"M3 start": 41, "M3 stop": 127, "M3 crash": 133, "P5 zstd": 7, "D1 64x1": 10,
	}
	for _, s := range matrix() {
		for _, m := range s.measures {
			k := key(s.name, m.name)
			if m.goal.ratio != promised[k] {
				t.Errorf("%s has the goal %g, promised was %g", k, m.goal.ratio, promised[k])
			}
			delete(promised, k)
		}
	}
	if len(promised) > 0 {
		t.Errorf("nothing measures %v", promised)
	}
}
