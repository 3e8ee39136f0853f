// Judge judges histories that the chaos tests have written, again: go run ./cmd/judge FILE...
package main

import (
	"flag"
	"fmt"
	"os"

	"gregor/integration/chaos/history"
)

func main() {
	unclean := flag.Bool("unclean", false, "the topic allowed unclean elections")
	faults := flag.Bool("faults", false, "print what was done to the cluster, too")
	flag.Parse()
	broken := false
	for _, path := range flag.Args() {
		anomalies, err := judge(path, history.Rules{Unclean: *unclean}, *faults)
		if err != nil {
			fmt.Fprintf(os.Stderr, "judge: %s: %v\n", path, err)
			os.Exit(2)
		}
		fmt.Printf("%s: %d anomalies\n", path, len(anomalies))
		for _, a := range anomalies {
			fmt.Println("  ", a)
		}
		broken = broken || len(anomalies) > 0
	}
	if broken {
		os.Exit(1)
	}
}

func judge(path string, rules history.Rules, faults bool) ([]history.Anomaly, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	events, err := history.Read(file)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if faults && e.Kind == history.Fault {
			fmt.Printf("   %8.3f s  %s\n", float64(e.At)/1e9, e.Note)
		}
	}
	return history.Check(events, rules), nil
}
