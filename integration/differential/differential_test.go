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
	return &target{name, b.Addr, strings.NewReplacer(b.Addr, "<addr>", b.LogDir, "<logdir>", b.Dir, "<dir>", b.Connect, "<zk>", port, "<port>")}
}

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
