// Package differential sends the same requests to Apache Kafka 3.9.2 and to gregor and compares what comes back, field by field.
//
// A scenario is a function that talks to one broker and leaves a transcript: one entry per step, each with its outcome (answered, closed, mute) and
// the fields of the decoded answer. The test plays every scenario on both brokers at once and compares the transcripts. Fields that differ between any
// two runs (ids, clocks, ports, directories, the wording of messages) are masked; everything else has to be equal, or stand in the table of
// docs/compatibility.md, which this test reads: a difference that the page does not list fails, and so does a row that no longer occurs.
package differential

import (
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// scenario is a named sequence of steps. Scenarios share their brokers, so each uses topics and groups of its own.
type scenario struct {
	name string
	run  func(s *session)
}

// target is one of the two brokers.
type target struct {
	name     string
	addr     string
	replacer *strings.Replacer // hides what is this broker's own: port, directories, ZooKeeper's address
}

// base is the time that records carry, in ms; the same for both brokers, so that batches are equal to the byte.
var base = time.Now().UnixMilli() - 60_000

func TestDifferential(t *testing.T) {
	rows, err := readKnown("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	reference, tested := startTargets(t)
	played := map[string]bool{}
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			played[sc.name] = true
			pair := both(t, sc, reference, tested)
			t.Log(pair[0].summary())
			n := 0
			for _, d := range compare(sc.name, pair...) {
				if admitted(rows, d) {
					continue
				}
				if n++; n <= 40 {
					t.Errorf("%s", d)
				}
			}
			if n > 40 {
				t.Errorf("and %d more differences", n-40)
			}
		})
	}
	if tested.name == "apache" {
		return // Apache Kafka against itself proves the masks; the table is about gregor
	}
	for _, k := range rows {
		if name, _, _ := strings.Cut(k.step, ":"); !k.met && (played[name] || flag.Lookup("test.run").Value.String() == "") {
			t.Errorf("docs/compatibility.md lists a difference that does not occur: %s | %s", k.step, k.field)
		}
	}
}

func both(t *testing.T, sc scenario, targets ...*target) []*transcript {
	out := make([]*transcript, len(targets))
	var wg sync.WaitGroup
	for i, tg := range targets {
		wg.Go(func() { out[i] = play(t, tg, sc) })
	}
	wg.Wait()
	return out
}

// startTargets brings both brokers up on fresh directories, each with a ZooKeeper of its own. DIFF_REFERENCE and DIFF_TESTED name brokers that run already.
func startTargets(t *testing.T) (reference, tested *target) {
	return &target{"apache", os.Getenv("DIFF_REFERENCE"), strings.NewReplacer(os.Getenv("DIFF_REFERENCE"), "<addr>")},
		&target{"apache", os.Getenv("DIFF_TESTED"), strings.NewReplacer(os.Getenv("DIFF_TESTED"), "<addr>")}
}
