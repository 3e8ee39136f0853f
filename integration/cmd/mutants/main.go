// Mutants takes rules out of gregor, one at a time (package chaos/mutants), and shows who notices: the chaos rig, the simulation, or tests of a package. It fails when nobody
// does, or when a patch does not apply any more. Run it in the folder of this module; the rig needs root.
//
//	go run ./cmd/mutants [-only NAME,...] [-judges chaos,sim,unit] [-seed N]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"gregor/integration/chaos/mutants"
)

func main() {
	only := flag.String("only", "", "mutants to try, comma-separated (default: all)")
	judges := flag.String("judges", "chaos,sim,unit", "who is asked")
	seed := flag.Uint64("seed", 1, "of the first round and the first schedule")
	keep := flag.String("keep", "", "folder for what the judges print, and the histories (default: a temporary one)")
	flag.Parse()
	noticed, err := try(*only, strings.Split(*judges, ","), *seed, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if !noticed {
		os.Exit(1)
	}
}

// try judges the mutants and prints a table; noticed is false when one of them got by.
func try(only string, judges []string, seed uint64, keep string) (noticed bool, err error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return false, err
	}
	if keep == "" {
		if keep, err = os.MkdirTemp("", "gregor-mutants-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(keep)
	}
	if keep, err = filepath.Abs(keep); err != nil {
		return false, err
	}
	all, err := mutants.All()
	if err != nil {
		return false, err
	}
	l := &laboratory{root: root, dir: keep, seed: seed}
	noticed = true
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MUTANT\tJUDGE\tVERDICT")
	for _, m := range all {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.Name) {
			continue
		}
		verdicts, err := l.judge(m, judges)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.Name, err)
		}
		caught := false
		for _, v := range verdicts {
			fmt.Fprintf(table, "%s\t%s\t%s\n", m.Name, v.judge, v)
			caught = caught || v.noticed
		}
		if !caught {
			fmt.Fprintf(table, "%s\t\tNOBODY NOTICES\n", m.Name)
			noticed = false
		}
		if err := table.Flush(); err != nil {
			return false, err
		}
	}
	return noticed, nil
}
