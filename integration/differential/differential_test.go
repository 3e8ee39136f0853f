// Package differential sends the same requests to Apache Kafka 3.9.2 and to gregor and compares what comes back, field by field.
//
// A scenario is a function that talks to one broker and leaves a transcript: one entry per step, each with its outcome (answered, closed, mute) and
// the fields of the decoded answer. The test plays every scenario on both brokers at once and compares the transcripts. Fields that differ between any
// two runs (ids, clocks, ports, directories, the wording of messages) are masked; everything else has to be equal, or stand in the table of
// docs/compatibility.md, which this test reads: a difference that the page does not list fails, and so does a row that no longer occurs.
package differential

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gregor/integration/harness"
)

// scenario is a named sequence of steps. Scenarios share their brokers, so each uses topics and groups of its own.
type scenario struct {
	name string
	run  func(s *session)
}

// target is what a scenario talks to: a broker, or the first of a cluster's two.
type target struct {
	name     string
	addr     string
	replacer *strings.Replacer // hides what is this broker's own: port, directories, ZooKeeper's address
	second   *target           // the other broker of a cluster
	extra    string            // a listener of this broker that the other lacks
	kill     func()            // ends this broker at once
}

// base is the time that records carry, in ms; the same for both brokers, so that batches are equal to the byte.
var base = time.Now().UnixMilli() - 60_000

func TestDifferential(t *testing.T) {
	rows, err := readKnown("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	reference, tested := startTargets(t)
	playAll(t, scenarios(), rows, reference, tested)
	all := slices.Concat(scenarios(), clusterOfTwoScenarios())
	for _, k := range rows {
		name, _, _ := strings.Cut(k.step, ":")
		if !slices.ContainsFunc(all, func(sc scenario) bool { return sc.name == name }) {
			t.Errorf("docs/compatibility.md lists a step of no scenario: %s", k.step)
		}
	}
}

// playAll plays scenarios on both, and checks what differs against the rows of the page that are about them.
func playAll(t *testing.T, scenarios []scenario, rows []*known, reference, tested *target) {
	played := map[string]bool{}
	for _, sc := range scenarios {
		played[sc.name] = false
	}
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			played[sc.name] = true
			pair := both(t, sc, reference, tested)
			t.Log(pair[0].summary())
			if e, broken := pair[0].entries["aborted"]; broken {
				t.Errorf("the scenario does not work on Apache Kafka: %s", e.fields["reason"])
			}
			for label, e := range pair[0].entries {
				if e.fields["never"] != "" {
					t.Errorf("Apache Kafka never shows what %q waits for", label)
				}
			}
			var left []difference
			for _, d := range compare(sc.name, pair...) {
				if !admitted(rows, d) {
					left = append(left, d)
				}
			}
			for _, line := range fold(left) {
				t.Error(line)
			}
		})
	}
	if tested.name == "apache" {
		return // Apache Kafka against itself proves the masks; the table is about gregor
	}
	for _, k := range rows {
		name, _, _ := strings.Cut(k.step, ":")
		was, ours := played[name]
		if !k.met && (was || ours && flag.Lookup("test.run").Value.String() == "") {
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

// startTargets brings Apache Kafka and the broker under test up on fresh directories, each under a chroot of its own. With
// GREGOR_TEST_BROKER=apache Apache Kafka is compared with itself.
func startTargets(t *testing.T) (reference, tested *target) {
	zk := harness.SharedZooKeeper(t)
	var brokers [2]*harness.Broker
	for i, kind := range []harness.Kind{harness.Apache, harness.DefaultKind()} {
		b := harness.StartBroker(t, kind, zk.Chroot(), settings...)
		t.Cleanup(func() {
			if t.Failed() {
				os.WriteFile(filepath.Join(b.Dir, "broker.log"), []byte(b.Log()), 0o600)
			}
		})
		brokers[i] = b
	}
	return newTarget("apache", brokers[0]), newTarget(string(brokers[1].Kind), brokers[1])
}

// settings keep a run short and the numbers in its answers small; both brokers get the same.
var settings = []string{
	"offset.metadata.max.bytes=64",
	"group.max.size=5",
	"log.cleaner.dedupe.buffer.size=4194304", // the default does not fit a small Java heap twice
}

func newTarget(name string, b *harness.Broker) *target {
	_, port, _ := net.SplitHostPort(b.Addr)
	replacer := strings.NewReplacer(b.Addr, "<addr>", b.LogDir, "<logdir>", b.Dir, "<dir>", b.Connect, "<zk>", port, "<port>")
	return &target{name: name, addr: b.Addr, replacer: replacer, kill: b.Kill}
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
