// Bench measures what a broker costs: gregor and Apache Kafka 3.9.2 side by side in one run, on one machine, with one load generator.
//
//	go run ./bench                     every row, both brokers in the order A-B-B-A, about six minutes
//	go run ./bench -rows start,idle    some rows
//	go run ./bench -cluster            clusters of three brokers, about twenty minutes
//	go run ./bench -write docs/performance.md
//
// The load generator speaks the raw protocol with batches built beforehand, so that the broker works and the client does not. A sample is the CPU time
// of the broker's process (/proc/PID/stat, user and system) for a fixed number of bytes, or the requests it answered per second. The table shows medians
// with the smallest and largest sample; only ratios of one run mean anything. Every broker starts on an empty directory and an empty part of ZooKeeper's
// tree, and everything it wrote is deleted when it has stopped.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the command line.
type options struct {
	rows     []string // empty: all
	rounds   int      // rounds of A-B-B-A
	samples  int      // of each row and session of a broker
	megabyte int      // of record data a sample moves, in MB (10^6 bytes)
	fillGB   int      // GiB of a file that is read before every session, so that page cache comes from pages the machine has at hand
	write    string   // Markdown file to write the table into
	dir      string   // where data goes; default: a temporary folder

	cluster    bool // measure clusters of three brokers
	partitions int  // of the rows about many partitions

	congestion string // TCP congestion control for the run; "": the kernel's
}

func main() {
	if spec := os.Getenv(floorEnv); spec != "" {
		if err := serveFloor(spec); err != nil {
			fmt.Fprintln(os.Stderr, "bench: floor:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	var chosen string
	flag.StringVar(&chosen, "rows", "", "rows to run, separated by commas: "+strings.Join(rowNames(rows()), ","))
	flag.BoolVar(&o.cluster, "cluster", false, "measure clusters of three brokers instead of single ones; rows are "+strings.Join(rowNames(clusterRows()), ","))
	flag.IntVar(&o.partitions, "partitions", 10_000, "partitions of the cluster's rows about many partitions, in hundreds")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of A-B-B-A")
	flag.IntVar(&o.samples, "samples", 2, "samples of a row in each session of a broker")
	flag.IntVar(&o.megabyte, "mb", 600, "megabytes of record data that a sample moves")
	flag.IntVar(&o.fillGB, "fill", 0, "GiB of a file to keep in the page cache and read before each session")
	flag.StringVar(&o.write, "write", "", "write the result into this Markdown file")
	flag.StringVar(&o.congestion, "congestion", "", "TCP congestion control for the whole run, such as reno, in a network namespace of its own (needs root, and a control that tcp_allowed_congestion_control lists)")
	flag.StringVar(&o.dir, "dir", "", "folder for data (default: a temporary one)")
	flag.Parse()
	if chosen != "" {
		o.rows = strings.Split(chosen, ",")
	}
	if o.congestion != "" {
		if done, err := withCongestionControl(o.congestion); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		} else if done {
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	session, table := (*lab).session, rows()
	if o.cluster {
		session, table = (*lab).clusterSession, clusterRows()
	}
	for _, name := range o.rows {
		if !slices.Contains(rowNames(table), name) {
			return fmt.Errorf("there is no row %q; rows are %s", name, strings.Join(rowNames(table), ", "))
		}
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	before := conditions(l)
	fmt.Println(before)
	results := newResults()
	for round := range o.rounds {
		for i, k := range []kind{apache, gregor, gregor, apache} {
			fmt.Printf("session %d of %d: %s\n", round*4+i+1, o.rounds*4, k)
			if err := session(l, ctx, k, o, results); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
	}
	text := results.table(table, o)
	fmt.Println("\n" + text)
	if o.write == "" {
		return nil
	}
	return writeReport(o.write, o.cluster, before, text)
}
