package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The files of testdata are what a running Apache Kafka 3.9.2 answered. broker_static.txt and topic.txt are the
// answers of DescribeConfigs v4 with synonyms for a broker with server.properties; broker_dynamic.txt is what the two
// dynamic layers below changed in the broker's; checks.txt is described at its head.

var (
	recordedBroker = map[string]string{
		"num.io.threads": "16", "foo.bar": "baz", "log.retention.ms": "5000", "log.roll.ms": "100000", "leader.replication.throttled.rate": "1000",
		"log.cleaner.io.max.bytes.per.second": "1000000", "log.cleanup.policy": "compact,delete", "log.segment.bytes": " 77777 ",
		"listener.name.internal.ssl.keystore.location": "/x", "listener.name.internal.max.connections": "88",
		"advertised.listeners": "PLAINTEXT://localhost:19092,INTERNAL://localhost:19093",
	}
	recordedDefault = map[string]string{
		"log.retention.ms": "6000", "log.segment.bytes": "2000000", "listener.name.internal.max.connections": "5", "leader.replication.throttled.rate": "500",
		"log.flush.interval.ms": "9", "min.insync.replicas": "2", "unheard.of": "1", "num.network.threads": "3",
	}
	recordedTopic = map[string]string{
		"cleanup.policy": "compact , delete", "retention.ms": "7777", "segment.jitter.ms": "10", "min.cleanable.dirty.ratio": ".25",
	}
)

func lines(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func recordedStore(t *testing.T) *Store {
	t.Helper()
	data, err := os.ReadFile("testdata/server.properties")
	if err != nil {
		t.Fatal(err)
	}
	props, err := ParseProperties(data)
	if err != nil {
		t.Fatal(err)
	}
	s, warnings, err := NewStatic(props)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"The configuration 'heap.opts' was supplied but isn't a known config.",
		"The configuration 'leader.replication.throttled.rate' has no effect in server.properties: it can only be set dynamically.",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	return s
}

// show prints an entry as the recordings have it.
func show(e Entry) string {
	text := func(s *string) string {
		if s == nil {
			return "~"
		}
		return "<" + *s + ">"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%s|ro=%v|src=%d|sens=%v|type=%d|", e.Name, text(e.Value), e.ReadOnly, e.Source, e.Sensitive, e.Type)
	for _, s := range e.Synonyms {
		fmt.Fprintf(&b, " %s=%s(%d)", s.Name, text(s.Value), s.Source)
	}
	return b.String()
}

func compare(t *testing.T, entries []Entry, want []string) {
	t.Helper()
	want = slices.Clone(want)
	slices.Sort(want)
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = show(e)
		if e.Type != Unknown && e.Doc == "" {
			t.Errorf("%s has no documentation", e.Name)
		}
	}
	if !slices.IsSortedFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("entries are not in order")
	}
	slices.Sort(got)
	for i, j := 0, 0; i < len(got) || j < len(want); {
		switch {
		case j == len(want) || i < len(got) && got[i] < want[j]:
			t.Errorf("gregor only: %s", got[i])
			i++
		case i == len(got) || want[j] < got[i]:
			t.Errorf("Apache only: %s", want[j])
			j++
		default:
			i, j = i+1, j+1
		}
	}
}

func TestDescribeBrokerAsRecorded(t *testing.T) {
	s := recordedStore(t)
	static := lines(t, "broker_static.txt")
	compare(t, s.DescribeBroker(), static)
	if entries := s.DescribeBrokerDefault(); len(entries) != 0 {
		t.Errorf("the empty default layer has %d entries", len(entries))
	}

	for brokerDefault, layer := range map[bool]map[string]string{false: recordedBroker, true: recordedDefault} {
		if err := s.ValidateDynamic(brokerDefault, layer); err != nil {
			t.Error(err)
		}
		if errs := s.SetDynamic(brokerDefault, layer); len(errs) > 0 {
			t.Error(errs)
		}
	}
	dynamic := slices.Clone(static)
	for _, change := range lines(t, "broker_dynamic.txt") {
		if change[0] == '+' {
			dynamic = append(dynamic, change[1:])
		} else if i := slices.Index(dynamic, change[1:]); i >= 0 {
			dynamic = slices.Delete(dynamic, i, i+1)
		}
	}
	compare(t, s.DescribeBroker(), dynamic)
	compare(t, s.DescribeBrokerDefault(), lines(t, "broker_default.txt"))
	compare(t, s.DescribeTopic(recordedTopic), lines(t, "topic.txt"))

	for _, brokerDefault := range []bool{true, false} {
		if errs := s.SetDynamic(brokerDefault, nil); len(errs) > 0 {
			t.Error(errs)
		}
	}
	compare(t, s.DescribeBroker(), static)
}

// TestChecksAsRecorded feeds values, good and bad, alone and together, as they were fed to Apache Kafka.
func TestChecksAsRecorded(t *testing.T) {
	all := lines(t, "checks.txt")
	cases := 0
	for i := 0; i < len(all); i++ {
		if all[i] == "" || all[i][0] == '#' {
			continue
		}
		test, want := all[i], strings.TrimSpace(all[i+1])
		i++
		if own, ok := strings.CutPrefix(peek(all, i+1), "gregor: "); ok {
			want = own
			i++
		}
		cases++
		if got := outcome(test); got != want {
			t.Errorf("%s\n got %s\nwant %s", test, got, want)
		}
	}
	if cases < 300 {
		t.Errorf("only %d cases were read", cases)
	}
}

func peek(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return ""
}

// outcome runs one case of checks.txt.
func outcome(test string) string {
	props, ask := make(map[string]string), ""
	if test[0] == 'B' {
		props["zookeeper.connect"] = "x:1"
	}
	for _, part := range strings.Split(test[2:], " ;") {
		name, raw, set := strings.Cut(part, "=")
		if !set {
			ask = name
			continue
		}
		props[name] = strings.ReplaceAll(raw, `\s`, " ")
	}
	if test[0] == 'T' {
		if err := ValidateTopic(props); err != nil {
			return err.Error()
		}
		return "OK"
	}
	s, _, err := NewStatic(props)
	switch {
	case err != nil:
		return err.Error()
	case ask == "":
		return "OK"
	case ask == "L":
		c := s.current.Load()
		return fmt.Sprintf("OK [%s] [%s] %s", showListeners(c.listeners), showListeners(c.advertised), c.interBroker)
	default:
		return "OK <" + s.current.Load().values[ask].text + ">"
	}
}

func showListeners(listeners []Listener) string {
	var all []string
	for _, l := range listeners {
		all = append(all, fmt.Sprintf("%s(%s)://%s:%d", l.Name, l.Protocol, l.Host, l.Port))
	}
	return strings.Join(all, ", ")
}
