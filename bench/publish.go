package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gregor/bench/plot"
)

// The generated parts of the two Markdown files; what stands before and behind them stays.
const (
	reportBegin = "<!-- measured: the lines from here on are written by make bench WRITE=1 -->"
	reportEnd   = "<!-- measured: end -->"
	readmeBegin = "<!-- measured: rows of docs/performance.md, written by go run ./bench -write -->"
	readmeEnd   = "<!-- /measured -->"
)

// between puts text between two markers, which must be there.
func between(old, begin, end, text string) (string, error) {
	head, rest, found := strings.Cut(old, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("the file has no lines %q and %q", begin, end)
	}
	return head + begin + "\n\n" + text + "\n" + end + tail, nil
}

func replaceIn(file, begin, end, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err = between(string(old), begin, end, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// publish adds a run to the record beside a Markdown file and writes the report into the file, its plots into the folder img beside it, and a few of the
// figures into the readme, when there is one.
func publish(file, readme string, run *measured) error {
	saved := strings.TrimSuffix(file, filepath.Ext(file)) + ".json"
	r, err := readRecord(saved)
	if err != nil {
		return err
	}
	r.add(run)
	images := filepath.Join(filepath.Dir(file), "img")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	for name, svg := range r.all().plots() {
		if err := os.WriteFile(filepath.Join(images, name), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(r.write(saved), replaceIn(file, reportBegin, reportEnd, r.report())); err != nil {
		return err
	}
	if readme == "" {
		return nil
	}
	return replaceIn(readme, readmeBegin, readmeEnd, r.all().summary())
}

// all is what all runs of the record have measured together. Where somebody has kept a figure in two of them, the one further back counts.
func (r *record) all() *results {
	out := newResults()
	for _, run := range r.Runs {
		for k, v := range run.Samples {
			out.samples[k] = v
		}
		for k, v := range run.Failures {
			out.failures[k] = v
		}
	}
	return out
}

// report is what stands between the markers: the ratios that have a goal as a plot, each run's conditions and its table, and the curves.
func (r *record) report() string {
	var b strings.Builder
	all := r.all()
	if len(all.bars()) > 0 {
		b.WriteString("![How many times better than Apache Kafka, with goals and ceilings](img/" + ratiosFile + ")\n\n")
	}
	for _, run := range r.Runs {
		out := &results{samples: run.Samples, failures: run.Failures}
		b.WriteString("- " + strings.Join(run.Conditions, "\n- ") + "\n\n")
		if table := out.table(matrix()); table != "" {
			b.WriteString(table + "\n")
		}
		if table := out.curveTable(matrix(), "img/"); table != "" {
			b.WriteString(table + "\n")
		}
	}
	b.WriteString("Medians (smallest–largest); 1 MB = 10^6 bytes, 1 GB = 10^9 bytes. \"better by\" is the ratio of the medians, \"goal\" the ratio aimed at. The bare programs " +
		"do nothing that a broker does: `null` receives and answers requests, `loop` also computes each batch's checksum and writes it with a system call of its own, " +
		"`floor` answers fetches with sendfile, and for new partitions writes ZooKeeper's nodes and the files. All samples are in [performance.json](performance.json).\n")
	return b.String()
}

const ratiosFile = "bench-ratios.svg"

// curveFile is the plot of one cost along a curve.
func curveFile(s scenario, c chart) string { return "bench-" + s.name + "-" + c.name + ".svg" }

// plots are the files of all plots.
func (r *results) plots() map[string]string {
	files := map[string]string{}
	if bars := r.bars(); len(bars) > 0 {
		files[ratiosFile] = plot.Bars("gregor against Apache Kafka "+kafkaVersion+": figures that have a goal", bars)
	}
	for _, s := range matrix() {
		if s.curve == nil || !r.has(s) {
			continue
		}
		for _, c := range s.curve.charts {
			files[curveFile(s, c)] = plot.Curves(s.name+": "+s.title, s.curve.driver, c.cost, []plot.Curve{r.curve(s, c, apache), r.curve(s, c, gregor)})
		}
	}
	return files
}

// bars are the ratios of all figures that have a goal.
func (r *results) bars() (bars []plot.Bar) {
	for _, s := range matrix() {
		for _, m := range s.measures {
			v := r.samples[key(s.name, m.name)]
			b := plot.Bar{Label: s.name + ": " + m.what, Ratio: m.better(v[apache], v[gregor]), Goal: m.goal.ratio}
			if b.Ratio == 0 || b.Goal == 0 {
				continue
			}
			for _, k := range ceilings {
				if b.Limit == 0 {
					b.Limit = m.better(v[apache], v[k])
				}
			}
			bars = append(bars, b)
		}
	}
	return bars
}

// curve is one kind's medians along a curve.
func (r *results) curve(s scenario, c chart, k kind) plot.Curve {
	line := plot.Curve{Name: map[kind]string{apache: "Apache Kafka " + kafkaVersion, gregor: "gregor"}[k]}
	for _, x := range s.curve.points {
		if v := r.samples[key(s.name, c.at(x))][k]; len(v) > 0 {
			line.X, line.Y = append(line.X, x), append(line.Y, median(v))
		}
	}
	return line
}

// curveTable is Markdown: of each curve what it costs at both ends, and the slope between them. Images is the folder of the plots; "": no links.
func (r *results) curveTable(scenarios []scenario, images string) string {
	var b strings.Builder
	for _, s := range scenarios {
		if s.curve == nil || !r.has(s) {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "| curve | cost | wanted | Apache Kafka %s: slope | first to last point | gregor: slope | first to last point |\n|---|---|---|---|---|---|---|\n", kafkaVersion)
		}
		for _, c := range s.curve.charts {
			title := s.title
			if images != "" {
				title = fmt.Sprintf("[%s](%s%s)", s.title, images, curveFile(s, c))
			}
			fmt.Fprintf(&b, "| **%s** %s | %s | %s | %s | %s |\n", s.name, title, c.cost, c.want, ends(r.curve(s, c, apache), r.failure(s, apache)), ends(r.curve(s, c, gregor), r.failure(s, gregor)))
		}
	}
	return b.String()
}

// ends shows a curve in two cells: its slope, and what it cost at both ends.
func ends(c plot.Curve, failure string) string {
	n := len(c.X)
	if n == 0 {
		return " | " + failure
	}
	slope := "–"
	if s, ok := c.Slope(); ok {
		slope = fmt.Sprintf("%.2f", s)
	}
	text := fmt.Sprintf("%s | %s at %s, %s at %s", slope, figure(c.Y[0]), figure(c.X[0]), figure(c.Y[n-1]), figure(c.X[n-1]))
	if failure != "" {
		text += "; " + failure
	}
	return text
}

// highlights are the figures that the readme shows.
var highlights = []struct{ key, text string }{
	{"S1 start", "exec to the first answer"},
	{"S2 idle", "memory, idle"},
	{"S2 loaded", "memory after 4 GB"},
	{"G2 cpu", "CPU per GB produced, 15 KiB requests"},
	{"G1 rate", "produce requests of 15 KiB per second, 1 connection"},
	{"C3 16K", "CPU per GB fetched, 16 KiB answers"},
	{"C3 1M", "CPU per GB fetched, 1 MiB answers"},
	{"R1 d5", "three replicas, acks=all: requests of 15 KiB per second, 1 connection"},
	{"M3 start", "start with 10,000 partitions"},
}

// summary is the readme's table: medians only.
func (r *results) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| measure | Apache Kafka %s | gregor | better by |\n|---|---|---|---|\n", kafkaVersion)
	for _, h := range highlights {
		name, figureName, _ := strings.Cut(h.key, " ")
		for _, s := range matrix() {
			if s.name != name {
				continue
			}
			m, v := s.measure(figureName), r.samples[h.key]
			if ratio := m.better(v[apache], v[gregor]); ratio > 0 {
				fmt.Fprintf(&b, "| %s | %s %s | %s %s | %s |\n", h.text, figure(median(v[apache])), m.unit, figure(median(v[gregor])), m.unit, times(ratio))
			}
		}
	}
	return b.String()
}
