package tools

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gregor/integration/harness"
)

// side is one of the two brokers, or clusters, that run the same script.
type side struct {
	broker  *harness.Broker  // the one that tools are sent to
	cluster *harness.Cluster // nil for a broker alone
	zk      string           // zookeeper.connect
	files   string           // a folder for files that steps hand to tools
	keep    []func()
}

// step is one line of a script. Arguments may hold {addr}, {zk}, {files} and {logs}; the script's own {t} stands for its
// topic prefix.
type step struct {
	name   string
	tool   string
	args   string // split at blanks
	stdin  string
	exit   int                                // wanted of Apache Kafka; gregor must equal it
	show   []func(string) string              // further masks, in order
	do     func(t *testing.T, s *side) string // instead of a tool: what it returns is compared
	errors bool                               // standard error is compared, too
}

func (s *side) fill(text, prefix string) string {
	return strings.NewReplacer("{addr}", s.broker.Addr, "{zk}", s.zk, "{files}", s.files, "{logs}", s.broker.LogDir, "{t}", prefix).Replace(text)
}

func (s *side) run(t *testing.T, version, prefix string, st step) (text string, exit int) {
	t.Helper()
	if st.do != nil {
		return s.mask(st.do(t, s)), 0
	}
	args := strings.Fields(st.args)
	for i := range args {
		args[i] = s.fill(args[i], prefix)
	}
	result := harness.RunTool(t, version, s.fill(st.stdin, prefix), st.tool, args...)
	text = result.Stdout
	if st.errors || result.ExitCode != st.exit {
		text += "\n-- standard error --\n" + result.Stderr
	}
	text = s.mask(text)
	for _, mask := range st.show {
		text = mask(text)
	}
	return text, result.ExitCode
}

// brokers are all of the side's, the one that tools are sent to first.
func (s *side) brokers() []*harness.Broker {
	if s.cluster == nil {
		return []*harness.Broker{s.broker}
	}
	return s.cluster.Brokers
}

// masks turn what legitimately differs between two clusters, or two runs, into its name.
var masks = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`(TopicId: |Cluster ID: |ClusterId: |topicId=|cluster id )[A-Za-z0-9_-]{22}`), "${1}ID"},
	{regexp.MustCompile(`\b(console-consumer|perf-consumer|verifiable-consumer)-\d+`), "$1-N"},
	{regexp.MustCompile(`\b1[6-9]\d{11}\b`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[:.,]\d{3}`), "DATE"},
}

func (s *side) mask(text string) string {
	host, _ := os.Hostname()
	names := []string{s.zk, "ZK", s.files, "FILES"}
	for i, b := range s.brokers() {
		_, port, _ := strings.Cut(b.Addr, ":")
		n := ""
		if i > 0 {
			n = strconv.Itoa(i + 1)
		}
		names = append(names, b.Addr, "ADDR"+n, b.LogDir, "LOGDIR"+n, ":"+port, ":PORT"+n)
	}
	text = strings.NewReplacer(names...).Replace(text)
	// First what is random: a short host name may be part of it.
	for _, mask := range masks {
		text = mask.pattern.ReplaceAllString(text, mask.name)
	}
	if host != "" && host != "localhost" {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(host)+`\b`).ReplaceAllString(text, "HOST")
	}
	return text
}

var number = regexp.MustCompile(`\d+([.,]\d+)*(E-?\d+)?|NaN|∞`)

// numbers masks every number: for tools that measure.
func numbers(text string) string { return number.ReplaceAllString(text, "N") }

// sorted is for lists whose order has no meaning (hash maps, several partitions).
func sorted(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// tidy makes runs of blanks one: tables are as wide as the ids in them.
func tidy(text string) string { return blanks.ReplaceAllString(text, " ") }

var blanks = regexp.MustCompile(`[ \t]+`)

// lastLine drops the intermediate reports of perf tools, whose number depends on speed.
func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// message masks the words of an error that a broker answered: they are each broker's own, the code behind them is compared
// elsewhere.
func message(text string) string { return spoken.ReplaceAllString(text, "$1 MESSAGE") }

var spoken = regexp.MustCompile(`(Error while executing topic command :).*`)

// configsInOrder sorts the list of configs in a description of topics: its order is that of a hash map.
func configsInOrder(text string) string {
	return configList.ReplaceAllStringFunc(text, func(list string) string {
		configs := strings.Split(strings.TrimPrefix(list, "Configs: "), ",")
		slices.Sort(configs)
		return "Configs: " + strings.Join(configs, ",")
	})
}

var configList = regexp.MustCompile(`Configs: \S+`)

// without masks a pattern with one name.
func without(pattern, name string) func(string) string {
	compiled := regexp.MustCompile(pattern)
	return func(text string) string { return compiled.ReplaceAllString(text, name) }
}

// runScript runs every step on both sides and reports each difference.
func runScript(t *testing.T, version, prefix string, apache, subject *side, script []step) {
	for _, st := range script {
		t.Run(st.name, func(t *testing.T) {
			want, wantExit := apache.run(t, version, prefix, st)
			if wantExit != st.exit {
				t.Errorf("against Apache Kafka: exit code %d, the step expects %d; it printed\n%s", wantExit, st.exit, want)
			}
			got, gotExit := subject.run(t, version, prefix, st)
			if got != want || gotExit != wantExit {
				t.Errorf("%s\nexit code %d, want %d\n%s", st.args, gotExit, wantExit, lineDiff(want, got))
			}
		})
	}
}

// lineDiff shows both texts with the lines marked that only one of them has.
func lineDiff(want, got string) string {
	wantLines, gotLines := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for _, line := range wantLines {
		if !slices.Contains(gotLines, line) {
			out.WriteString("- " + line + "\n")
		}
	}
	for _, line := range gotLines {
		if !slices.Contains(wantLines, line) {
			out.WriteString("+ " + line + "\n")
		}
	}
	if out.Len() == 0 {
		return "the same lines in another order or number:\n" + want + "\n--\n" + got
	}
	return "- Apache Kafka, + the broker under test\n" + out.String()
}

// newSide starts a broker with a fresh cluster.
func newSide(t *testing.T, kind harness.Kind) *side {
	t.Helper()
	zk := harness.SharedZooKeeper(t).Chroot()
	return &side{broker: harness.StartBroker(t, kind, zk), zk: zk, files: t.TempDir()}
}

// awaitTopics is a step that waits until the broker serves these topics (with prefix).
func awaitTopics(prefix string, names ...string) step {
	return step{name: "await " + strings.Join(names, ","), do: func(t *testing.T, s *side) string {
		for _, name := range names {
			s.broker.AwaitTopics(prefix + name)
		}
		return ""
	}}
}

// writeFile is a step that leaves a file for later steps.
func writeFile(name, prefix, text string) step {
	return step{name: "write " + name, do: func(t *testing.T, s *side) string {
		if err := os.WriteFile(filepath.Join(s.files, name), []byte(s.fill(text, prefix)), 0o644); err != nil {
			t.Fatal(err)
		}
		return ""
	}}
}

// eventually is a tool step repeated on each side until its output holds a text.
func eventually(version, prefix, holds string, st step) step {
	return step{name: st.name, do: func(t *testing.T, s *side) string {
		var text string
		harness.Eventually(t, 30*time.Second, func() error {
			var exit int
			if text, exit = s.run(t, version, prefix, st); exit == 0 && strings.Contains(text, holds) {
				return nil
			}
			return errorText(text)
		})
		return text
	}}
}

type errorText string

func (e errorText) Error() string { return string(e) }
