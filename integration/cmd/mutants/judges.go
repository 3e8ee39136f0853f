package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gregor/integration/chaos/mutants"
)

// A verdict is what one judge found.
type verdict struct {
	judge   string
	noticed bool
	what    string // the broken rule, or how much was tried in vain
	took    time.Duration
}

func (v verdict) String() string {
	word := "gets by"
	if v.noticed {
		word = "noticed"
	}
	return fmt.Sprintf("%s after %.0f s: %s", word, v.took.Seconds(), v.what)
}

// A laboratory runs mutants.
type laboratory struct {
	root, dir string // the project, and a folder for everything else
	seed      uint64
	rig       string // the chaos tests' binary, "" not built yet
}

// judge asks those judges that the mutant names.
func (l *laboratory) judge(m *mutants.Mutant, judges []string) (verdicts []verdict, err error) {
	dir := filepath.Join(l.dir, m.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	overlay, err := m.Overlay(l.root, filepath.Join(dir, "source"))
	if err != nil {
		return nil, err
	}
	for _, j := range []struct {
		name  string
		named bool
		ask   func(*mutants.Mutant, string, string) (verdict, error)
	}{
		{"chaos", m.Chaos != "", l.chaos}, {"sim", m.Sim != "", l.simulation}, {"unit", m.Unit != nil, l.unit},
	} {
		if !j.named || !slices.Contains(judges, j.name) {
			continue
		}
		began := time.Now()
		v, err := j.ask(m, overlay, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", j.name, err)
		}
		v.judge, v.took = j.name, time.Since(began)
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

var round = regexp.MustCompile(`(?m)^\s+chaos_test\.go:\d+: (\S+ seed \d+): .* anomalies: \[(.*)\]; trouble: (.*)$`)

// roundLimit is how long a mutant's cluster may take to do what it must do.
const roundLimit = "60s"

// chaos plays rounds until one goes wrong. A round that only ends in trouble, as when the cluster does not come back, is noticed, too; but the table says so.
func (l *laboratory) chaos(m *mutants.Mutant, overlay, dir string) (v verdict, err error) {
	binary := filepath.Join(dir, "gregor")
	if _, err := l.run(l.root, nil, filepath.Join(dir, "build.log"), "go", "build", "-overlay", overlay, "-o", binary, "./cmd/gregor"); err != nil {
		return v, err
	}
	module := filepath.Join(l.root, "integration")
	if l.rig == "" {
		rig := filepath.Join(l.dir, "chaos.test")
		if _, err := l.run(module, nil, filepath.Join(l.dir, "build.log"), "go", "test", "-c", "-o", rig, "./chaos"); err != nil {
			return v, err
		}
		l.rig = rig
	}
	output, failed := l.run(filepath.Join(module, "chaos"), []string{"GREGOR_BIN=" + binary}, filepath.Join(dir, "chaos.log"), l.rig,
		"-test.run=^TestFaults$", "-test.v", "-test.failfast", "-test.timeout=1h", "-chaos.faults="+m.Chaos, "-chaos.count="+m.Rounds,
		"-chaos.protocol="+m.Protocol, fmt.Sprintf("-chaos.seed=%d", l.seed), "-chaos.limit="+roundLimit, "-chaos.keep="+dir)
	rounds := round.FindAllStringSubmatch(output, -1)
	if len(rounds) == 0 {
		return v, fmt.Errorf("no round was played: %w\n%s", failed, output)
	}
	if failed == nil {
		v.what = fmt.Sprintf("%d rounds of %s", len(rounds), m.Chaos)
		return v, nil
	}
	last := rounds[len(rounds)-1]
	v.noticed, v.what = true, fmt.Sprintf("round %d, %s: %s", len(rounds), last[1], shorten(last[2]))
	if last[2] == "" {
		v.what = fmt.Sprintf("round %d, %s: no invariant, but trouble: %s", len(rounds), last[1], shorten(last[3]))
	}
	return v, nil
}

var schedule = regexp.MustCompile(`(?m)^\s*(?:sim_test\.go:\d+: )?(seed \d+: .*)$`)

func (l *laboratory) simulation(m *mutants.Mutant, overlay, dir string) (v verdict, err error) {
	output, failed := l.run(l.root, nil, filepath.Join(dir, "sim.log"), "go", "test", "-count=1", "-overlay", overlay, "-timeout=30m", "./replication/sim",
		"-run=^TestSchedules$", "-schedules="+m.Sim, fmt.Sprintf("-first=%d", l.seed))
	found := schedule.FindStringSubmatch(output)
	switch {
	case failed == nil:
		v.what = m.Sim + " schedules"
	case found == nil:
		return v, fmt.Errorf("%w\n%s", failed, output)
	default:
		v.noticed, v.what = true, shorten(found[1])
	}
	return v, nil
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

func (l *laboratory) unit(m *mutants.Mutant, overlay, dir string) (v verdict, err error) {
	output, failed := l.run(l.root, nil, filepath.Join(dir, "unit.log"), "go", "test", "-count=1", "-overlay", overlay, "-timeout=10m", m.Unit[0], "-run="+m.Unit[1])
	found := failure.FindStringSubmatch(output)
	switch {
	case failed == nil:
		v.what = strings.Join(m.Unit, " ")
	case found == nil:
		return v, fmt.Errorf("%w\n%s", failed, output)
	default:
		v.noticed, v.what = true, found[1]
	}
	return v, nil
}

// run runs a command and keeps what it prints.
func (l *laboratory) run(dir string, env []string, log, name string, args ...string) (output string, err error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	text, failed := cmd.CombinedOutput()
	if err := os.WriteFile(log, text, 0o644); err != nil {
		return "", err
	}
	if failed != nil {
		failed = fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], failed)
	}
	return string(text), failed
}

// shorten keeps what fits into a line of a table.
func shorten(s string) string {
	const most = 160
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
