// Bench measures what a broker costs: gregor and Apache Kafka 3.9.2 side by side in one run, on one machine, with one load generator.
//
//	go run ./bench                     the short matrix, both brokers in the order A-B-B-A, under 40 minutes
//	go run ./bench -row G2,R           some rows, or families of rows
//	go run ./bench -row K              curves: cost against one driver of it
//	go run ./bench -list               what rows there are
//	go run ./bench -write docs/performance.md
//
// The load generator (package load) speaks the raw protocol with batches built beforehand, so that the broker works and the client does not. CPU time is
// that of the brokers' processes (/proc/PID/stat, user and system). The table shows medians with the smallest and largest sample; only ratios of one
// run mean anything. Every broker starts on an empty directory and an empty part of ZooKeeper's tree, and everything it wrote is deleted when it has
// stopped. A row that fails or exceeds its limit says so in the table, and the others go on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	rows       []string // names or families; empty: the short or the long matrix
	only       []string // kinds; empty: all
	long       bool
	rounds     int    // rounds of A-B-B-A
	samples    int    // of each figure in a broker's turn
	megabyte   int    // of record data a sample of fixed size moves, in MB (10^6 bytes)
	partitions int    // of the rows about many partitions
	fillGB     int    // GiB of a file that is read before every turn, so that page cache comes from pages the machine has at hand
	readAhead  int    // KiB that the disk reads ahead during the run; 0: as it is
	congestion string // controls, the best first; "": the machine's own
	write      string // Markdown file to write the report into
	readme     string // Markdown file to write some of the figures into
	dir        string // where data goes; default: a temporary folder
}

func main() {
	for env, serve := range map[string]func(string) error{floorEnv: serveFloor, bareEnv: serveBare} {
		if spec := os.Getenv(env); spec != "" {
			if err := serve(spec); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				os.Exit(1)
			}
			return
		}
	}
	var o options
	chosen := flag.String("row", "", "rows to run, or families (G, R), separated by commas; -list shows them")
	only := flag.String("only", "", "kinds to run, separated by commas (apache, gregor, null, loop): for profiles, as a comparison needs both")
	list := flag.Bool("list", false, "list the rows and end")
	flag.BoolVar(&o.long, "long", false, "the rows of the long matrix, too")
	flag.IntVar(&o.partitions, "partitions", 10_000, "partitions of the rows about many partitions, in hundreds")
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of A-B-B-A")
	flag.IntVar(&o.samples, "samples", 0, "samples of a figure in each turn of a broker (default: 1, with -long 3)")
	flag.IntVar(&o.megabyte, "mb", 600, "megabytes of record data that a sample of fixed size moves")
	flag.IntVar(&o.fillGB, "fill", 4, "GiB of a file to keep in the page cache and read before each turn")
	flag.IntVar(&o.readAhead, "readahead", 0, "KiB that the disk under -dir reads ahead during the run (needs root; put back at the end)")
	flag.StringVar(&o.write, "write", "", "write the report into this Markdown file, and all samples beside it")
	flag.StringVar(&o.readme, "readme", "", "with -write: write a few of the figures into this Markdown file, between its markers")
	flag.StringVar(&o.congestion, "congestion", "cubic,reno", "TCP congestion control for the whole run: the first of these that a network namespace of its own may have (needs root); '': the machine's own")
	flag.StringVar(&o.dir, "dir", "", "folder for data (default: a temporary one)")
	flag.Parse()
	if o.samples == 0 {
		o.samples = 1
		if o.long {
			o.samples = 3
		}
	}
	if *list {
		listRows()
		return
	}
	if *chosen != "" {
		o.rows = strings.Split(*chosen, ",")
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if err := start(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func listRows() {
	for _, s := range matrix() {
		when := ""
		if s.long {
			when = " (-long)"
		}
		fmt.Printf("%-4s %s%s\n", s.name, s.title, when)
		for _, m := range s.measures {
			fmt.Printf("       %s, %s\n", m.what, m.unit)
		}
	}
}

// start runs the bench until it is done or interrupted, where the congestion control is the one asked for.
func start(o options) error {
	if err := install(); err != nil {
		return err
	}
	if o.congestion != "" {
		if done, err := withCongestionControl(o.congestion); err != nil || done {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return bench(ctx, o)
}

func bench(ctx context.Context, o options) error {
	chosen, err := choose(matrix(), o.rows, o.long)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	if o.readAhead > 0 {
		restore, err := setReadAhead(l.dir, o.readAhead)
		if err != nil {
			return err
		}
		defer restore()
	}
	run := &measured{Conditions: conditions(l, o)}
	fmt.Println("- " + strings.Join(run.Conditions, "\n- "))
	steps := plan(o, chosen)
	announce(o, steps)
	out := newResults()
	begun := time.Now()
	err = l.measureAll(ctx, o, steps, out)
	run.Conditions = append(run.Conditions, fmt.Sprintf("the run took %s; load average at the end: %s", time.Since(begun).Round(time.Second), strings.TrimSpace(readSystem("/proc/loadavg"))))
	run.Samples, run.Failures = out.samples, out.failures
	fmt.Println("\n" + out.table(chosen) + "\n" + out.curveTable(chosen, ""))
	if err != nil || o.write == "" {
		return err
	}
	return publish(o.write, o.readme, run)
}

// setReadAhead sets how far the disk of a folder reads ahead, in KiB, and returns what puts it back.
func setReadAhead(dir string, kib int) (restore func(), err error) {
	file := readAheadFile(dir)
	old, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n", kib), 0o644); err != nil {
		return nil, err
	}
	return func() {
		if err := os.WriteFile(file, old, 0o644); err != nil {
			fmt.Fprintf(os.Stderr, "bench: put %s back into %s: %v\n", strings.TrimSpace(string(old)), file, err)
		}
	}, nil
}
