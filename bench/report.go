package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// results are the samples of every row and kind.
type results struct {
	samples map[string]map[kind][]float64
}

func newResults() *results { return &results{samples: map[string]map[kind][]float64{}} }

func (r *results) add(row string, k kind, v float64) {
	if r.samples[row] == nil {
		r.samples[row] = map[kind][]float64{}
	}
	r.samples[row][k] = append(r.samples[row][k], v)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// table is Markdown: per row both medians with their range, and by what factor gregor is better.
func (r *results) table(rows []row, o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| measure | Apache Kafka %s | gregor | gregor is better by | samples |\n|---|---|---|---|---|\n", kafkaVersion)
	for _, w := range rows {
		s := r.samples[w.name]
		if len(s[apache]) == 0 || len(s[gregor]) == 0 {
			continue
		}
		ratio := median(s[apache]) / median(s[gregor])
		if w.more {
			ratio = 1 / ratio
		}
		fmt.Fprintf(&b, "| %s | %s | %s | **%.2fx** | %d / %d |\n", w.title, show(s[apache], w.unit), show(s[gregor], w.unit), ratio, len(s[apache]), len(s[gregor]))
	}
	b.WriteString(r.floorTable())
	fmt.Fprintf(&b, "\nMedians (smallest–largest). A sample moves %d MB of record data (1 MB = 10^6 bytes); runs before a shape has settled are thrown away. Load average at the end: %s.\n", o.megabyte, strings.TrimSpace(readSystem("/proc/loadavg")))
	return b.String()
}

// floorTable compares both with what the kernel alone takes for the same answers; empty when no fetches were measured.
func (r *results) floorTable() string {
	var b strings.Builder
	for _, w := range rows() {
		s := r.samples[w.name]
		if len(s[floor]) == 0 || len(s[apache]) == 0 || len(s[gregor]) == 0 {
			continue
		}
		least := median(s[floor])
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f |\n", w.title, show(s[floor], w.unit), median(s[apache])/least, median(s[gregor])/least)
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nThe same answers from a bare loop of read, send and sendfile, without protocol, index or scheduler, measured in the same sessions:\n\n" +
		"| measure | bare loop | Apache Kafka takes, times that | gregor takes, times that |\n|---|---|---|---|\n" + b.String()
}

func show(v []float64, unit string) string {
	digits := 2
	if median(v) >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s (%.*f–%.*f)", digits, median(v), unit, digits, slices.Min(v), digits, slices.Max(v))
}

// conditions are what a reader has to know to judge the figures.
func conditions(l *lab) string {
	first := func(path string) string { return strings.TrimSpace(readSystem(path)) }
	java, _ := exec.Command("java", "-version").CombinedOutput()
	javaLine, _, _ := strings.Cut(string(java), "\n")
	cpu := "unknown"
	for line := range strings.Lines(readSystem("/proc/cpuinfo")) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "model name") {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	readAhead := "unknown"
	var disk syscall.Stat_t
	if err := syscall.Stat(l.dir, &disk); err == nil {
		readAhead = first(fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(disk.Dev), unix.Minor(disk.Dev))) + " KiB"
	}
	filler := "none"
	if info, err := os.Stat(l.filler); err == nil {
		filler = fmt.Sprintf("%d GiB", info.Size()>>30)
	}
	return strings.Join([]string{
		"- date: " + time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		fmt.Sprintf("- machine: %s, %d CPUs; kernel %s", cpu, runtime.NumCPU(), first("/proc/sys/kernel/osrelease")),
		"- congestion control: " + first("/proc/sys/net/ipv4/tcp_congestion_control") + "; read-ahead: " + readAhead,
		"- " + runtime.Version() + "; " + javaLine + "; broker heap 1 GiB, G1; stock server.properties for both",
		"- files that a process may open: " + openFiles(),
		"- load average at the start: " + first("/proc/loadavg") + "; file read before each session: " + filler,
		"- no fsync on either side (Kafka's defaults); load generator and broker share the machine over the loopback",
	}, "\n")
}

// The parts of the Markdown file that -write replaces; everything before the first stays.
const (
	reportHead  = "<!-- measured: everything below is written by go run ./bench -write -->"
	clusterHead = "<!-- measured in clusters: everything below is written by go run ./bench -cluster -write -->"
)

// writeReport replaces one of the two parts.
func writeReport(file string, cluster bool, conditions, table string) error {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	rest, clusters, _ := strings.Cut(string(old), clusterHead)
	head, single, _ := strings.Cut(rest, reportHead)
	if head == "" {
		head = "# What a broker costs\n\n"
	}
	measured := "\n\n" + conditions + "\n\n" + table
	if cluster {
		clusters = measured
	} else {
		single = measured + "\n"
	}
	text := head + reportHead + single
	if clusters != "" {
		text += clusterHead + clusters
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
