package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conditions are what a reader has to know to judge the figures: lines of a Markdown list.
func conditions(l *lab, o options) []string {
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
	memory := "unknown"
	if line, _, ok := strings.Cut(readSystem("/proc/meminfo"), "\n"); ok {
		memory = strings.Join(strings.Fields(line)[1:], " ")
	}
	filler := "none"
	if info, err := os.Stat(l.filler); err == nil {
		filler = fmt.Sprintf("%d GiB", info.Size()>>30)
	}
	return []string{
		"date: " + time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		fmt.Sprintf("machine: %s, %d CPUs, %s of memory; kernel %s", cpu, runtime.NumCPU(), memory, first("/proc/sys/kernel/osrelease")),
		"congestion control: " + first("/proc/sys/net/ipv4/tcp_congestion_control") + "; read-ahead: " + first(readAheadFile(l.dir)) + " KiB",
		runtime.Version() + "; " + javaLine + "; broker heap 1 GiB, G1; stock server.properties for both",
		"files that a process may open: " + openFiles(),
		"load average at the start: " + first("/proc/loadavg") + "; file read before each broker's turn: " + filler,
		fmt.Sprintf("rounds of A-B-B-A: %d; samples of a figure in each turn: %d, after those before the load has settled", o.rounds, o.samples),
		"no fsync on either side where nothing else is said (Kafka's defaults); load generator and brokers share the machine over the loopback",
	}
}

// readAheadFile is where the kernel shows how far it reads ahead on the disk of a folder, in KiB.
func readAheadFile(dir string) string {
	var disk syscall.Stat_t
	if err := syscall.Stat(dir, &disk); err != nil {
		return ""
	}
	return fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(disk.Dev), unix.Minor(disk.Dev))
}

// openFiles is how many files a process may have open.
func openFiles() string {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return "unknown"
	}
	return strconv.FormatUint(limit.Cur, 10)
}

func readSystem(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return string(b)
}

// The generated part of the Markdown file; what stands before and behind it stays.
const (
	reportBegin = "<!-- measured: the lines from here on are written by make bench WRITE=docs/performance.md -->"
	reportEnd   = "<!-- measured: end -->"
)

// replaceReport puts text between the markers, which it adds at the end when they are missing.
func replaceReport(old, text string) (string, error) {
	head, rest, found := strings.Cut(old, reportBegin)
	tail := "\n"
	if found {
		if _, tail, found = strings.Cut(rest, reportEnd); !found {
			return "", errors.New("the file has the report's beginning but not its end")
		}
	}
	return head + reportBegin + "\n\n" + text + "\n" + reportEnd + tail, nil
}

// report is what stands between the markers: each run's conditions and its table.
func (r *record) report() string {
	var b strings.Builder
	for _, run := range r.Runs {
		b.WriteString("- " + strings.Join(run.Conditions, "\n- ") + "\n\n")
		out := &results{samples: run.Samples, failures: run.Failures}
		b.WriteString(out.table(matrix()) + "\n")
	}
	b.WriteString("Medians (smallest–largest); 1 MB = 10^6 bytes. \"better by\" is the ratio of the medians, \"goal\" the ratio aimed at. The bare programs do " +
		"nothing that a broker does: `null` receives and answers requests, `loop` also computes checksums and writes each batch with a call of its own, `floor` " +
		"answers fetches with sendfile.\n")
	return b.String()
}
