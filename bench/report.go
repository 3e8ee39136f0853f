package main

import (
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
		fmt.Sprintf("rounds of A-B-B-A: %d; samples of a figure in each turn: %d, after those before the load has settled; rows about 10,000 partitions: with %d", o.rounds, o.samples, o.partitions),
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
