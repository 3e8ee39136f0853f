package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

func newStore(t *testing.T, props ...string) *Store {
	t.Helper()
	all := map[string]string{"zookeeper.connect": "localhost:2181", "broker.id": "0"}
	for _, prop := range props {
		name, raw, _ := strings.Cut(prop, "=")
		all[name] = raw
	}
	s, _, err := NewStatic(all)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The messages are those of a running Apache Kafka 3.9.2, where the last column does not say otherwise.
func TestValidateDynamic(t *testing.T) {
	s := newStore(t, "num.network.threads=2", "listeners=PLAINTEXT://:9092,INTERNAL://:9093", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,TLS:SSL",
		"listener.name.internal.num.network.threads=4")
	pool := func(text string) string {
		return "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for " + text + " for configuration Invalid dynamic configuration"
	}
	cleaner := func(text string) string {
		return "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be " + text + " for configuration Invalid dynamic configuration"
	}
	const (
		forBroker  = false
		forCluster = true
	)
	for _, test := range []struct {
		brokerDefault bool
		change        string
		want          string
	}{
		{forBroker, "num.io.threads=16", ""},
		{forBroker, "num.io.threads=4", ""},
		{forBroker, "num.io.threads=0", "Invalid value 0 for configuration num.io.threads: Value must be at least 1"},
		{forBroker, "num.io.threads=17", pool("num.io.threads=17, value should not be greater than double the current value 8")},
		{forCluster, "num.io.threads=3", pool("num.io.threads=3, value should be at least half the current value 8")},
		{forBroker, "num.replica.fetchers=0", pool("num.replica.fetchers=0, value should be at least 1")},
		{forBroker, "num.network.threads=5", pool("num.network.threads=5, value should not be greater than double the current value 2")},
		{forBroker, "listener.name.internal.num.network.threads=9", pool("num.network.threads=9, value should not be greater than double the current value 4")},
		{forBroker, "listener.name.plaintext.num.network.threads=4", ""},
		{forBroker, "log.cleaner.threads=3", cleaner("increased to more than double the current value 1")},
		{forBroker, "broker.id=5", "Cannot update these configs dynamically: Set(broker.id)"},
		{forCluster, "zookeeper.connect=a log.retention.hours=1", "Cannot update these configs dynamically: Set(log.retention.hours, zookeeper.connect)"},
		{forBroker, "foo.bar=baz", ""},
		{forCluster, "listeners=PLAINTEXT://:1", "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)"},
		{forCluster, "listener.name.internal.ssl.client.auth=none", "Cannot update these configs at default cluster level, broker id must be specified: Set(listener.name.internal.ssl.client.auth)"},
		{forCluster, "listener.name.internal.max.connections=5", ""},
		{forBroker, "ssl.keystore.location=/x", "These security configs can be dynamically updated only per-listener using the listener prefix: HashSet(ssl.keystore.location)"},
		{forBroker, "listener.name.internal.ssl.keystore.location=/x", ""},
		{forBroker, "listener.name.internal.sasl.jaas.config=secret", "Password encoder secret not configured"},
		{forBroker, "listener.name.internal.plain.sasl.jaas.config=secret", "Password encoder secret not configured"},
		{forBroker, "log.roll.ms=0", "requirement failed: log.roll.ms must be greater than or equal to 1"},
		{forBroker, "leader.replication.throttled.rate=1000", ""},
		{forBroker, "leader.replication.throttled.rate=-1", "Invalid value -1 for configuration leader.replication.throttled.rate: Value must be at least 0"},
		{forBroker, "log.cleaner.dedupe.buffer.size=5", "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."},
		{forBroker, "max.connections.per.ip=0", "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."},
		{forBroker, "listeners=INTERNAL://:9093", "requirement failed: inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are INTERNAL"},
		{forBroker, "listeners=PLAINTEXT://:9092", ""},
		{forBroker, "advertised.listeners=PLAINTEXT://0.0.0.0:1", "requirement failed: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."},
		{forBroker, "principal.builder.class=foo", "Invalid value foo for configuration principal.builder.class: Class foo could not be found."},
		// gregor's own words:
		{forBroker, "listeners=PLAINTEXT://:9092,TLS://:9093", "Invalid value TLS://:9093 for configuration listeners: gregor does not support the security protocol SSL yet and does not start with a setting that asks for it"},
		{forBroker, "metric.reporters=foo.Bar", "Invalid value org.apache.kafka.common.config.ConfigException: metric.reporters cannot be loaded: gregor runs no Java classes for configuration Invalid dynamic configuration"},
	} {
		layer := make(map[string]string)
		for _, change := range strings.Fields(test.change) {
			name, raw, _ := strings.Cut(change, "=")
			layer[name] = raw
		}
		got := ""
		if err := s.ValidateDynamic(test.brokerDefault, layer); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.change, got, test.want)
		}
	}
	if err := s.ValidateDynamic(false, map[string]string{"listener.name.internal.sasl.jaas.config": "x"}); !errors.Is(err, ErrNoPasswordEncoder) {
		t.Errorf("a dynamic password gives %v", err)
	}
	if s.Int("num.io.threads") != 8 {
		t.Error("validating changed the configuration")
	}
}

func TestSetDynamic(t *testing.T) {
	s := newStore(t, "log.retention.minutes=10", "log.segment.bytes=1000")
	var calls [][]string
	s.OnChange(func(changed []string) { calls = append(calls, changed) })
	retention := func() string { return s.TopicValue(nil, "retention.ms") }
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	expect("retention of server.properties", retention(), "600000")

	if errs := s.SetDynamic(true, map[string]string{"log.retention.ms": "5000", "log.segment.bytes": "2000"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	expect("retention of the cluster", retention(), "5000")
	if errs := s.SetDynamic(false, map[string]string{"log.retention.ms": "7000", "my.plugin": "x", "listener.name.plaintext.max.connections": "9"}); len(errs) > 0 {
		t.Fatal(errs)
	}
	expect("retention of the broker", retention(), "7000")
	expect("segment size", s.TopicValue(nil, "segment.bytes"), "2000")
	if text, ok := s.ListenerOverride("PLAINTEXT", "max.connections"); !ok || text != "9" {
		t.Errorf("listener override is %q, %v", text, ok)
	}

	// Bad entries are left out, each with an error; the good one counts.
	errs := s.SetDynamic(false, map[string]string{
		"broker.id": "7", "ssl.keystore.location": "/x", "num.io.threads": "many", "listener.name.plaintext.sasl.jaas.config": "x", "log.segment.bytes": "3000",
	})
	if len(errs) != 4 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	expect("segment size", s.TopicValue(nil, "segment.bytes"), "3000")
	if errs := s.SetDynamic(true, map[string]string{"listeners": "PLAINTEXT://:1", "log.retention.ms": "5000"}); len(errs) != 1 {
		t.Errorf("a listener for the cluster: %v", errs)
	}

	// What does not fit together changes nothing.
	before := s.DescribeBroker()
	if errs := s.SetDynamic(false, map[string]string{"log.roll.ms": "0", "log.segment.bytes": "4000"}); len(errs) != 1 {
		t.Errorf("errors %v", errs)
	}
	expect("segment size", s.TopicValue(nil, "segment.bytes"), "3000")
	if len(before) != len(s.DescribeBroker()) {
		t.Error("a layer that does not fit was kept")
	}

	s.SetDynamic(false, nil)
	s.SetDynamic(true, nil)
	expect("retention of server.properties", retention(), "600000")
	want := [][]string{
		{"log.retention.minutes", "log.retention.ms", "log.segment.bytes"},
		{"listener.name.plaintext.max.connections", "log.retention.ms", "my.plugin"},
		{"listener.name.plaintext.max.connections", "log.retention.ms", "log.segment.bytes", "my.plugin"},
		{"log.segment.bytes"},
		{"log.retention.minutes", "log.retention.ms"},
	}
	if !slices.EqualFunc(calls, want, slices.Equal) {
		t.Errorf("changes told:\n%q\nwant\n%q", calls, want)
	}
}

func TestChangeWithoutEffectIsNotTold(t *testing.T) {
	s := newStore(t, "num.io.threads=8")
	s.OnChange(func(changed []string) { t.Errorf("told of %q", changed) })
	s.SetDynamic(true, map[string]string{"num.io.threads": " 8"})
	s.SetDynamic(true, nil)
}

func TestLayersAreCopied(t *testing.T) {
	s := newStore(t)
	layer := map[string]string{"log.retention.ms": "1"}
	s.SetDynamic(false, layer)
	maps.Copy(layer, map[string]string{"log.retention.ms": "2"})
	s.SetDynamic(true, map[string]string{"log.segment.bytes": "100"})
	if got := s.Long("log.retention.ms"); got != 1 {
		t.Errorf("the caller's map shows through: %d", got)
	}
}
