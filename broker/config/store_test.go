package config

import (
	"slices"
	"strings"
	"testing"
)

func TestTypedReads(t *testing.T) {
	s := newStore(t, "log.dirs= /a , /b ,", "log.cleaner.min.cleanable.ratio=0.25", "auto.create.topics.enable=FALSE", "offsets.topic.replication.factor=2",
		"max.connections.per.ip.overrides=h:1, 10.0.0.1:2", "listener.name.plaintext.max.connections= 7")
	switch {
	case s.Int("broker.id") != 0 || s.Int("node.id") != 0:
		t.Error("broker.id and node.id")
	case s.Int("offsets.topic.replication.factor") != 2 || s.Long("num.io.threads") != 8 || s.Long("log.retention.bytes") != -1:
		t.Error("numbers")
	case s.Double("log.cleaner.min.cleanable.ratio") != 0.25:
		t.Error("double")
	case s.Bool("auto.create.topics.enable") || !s.Bool("delete.topic.enable"):
		t.Error("booleans")
	case !slices.Equal(s.LogDirs(), []string{"/a", "/b"}):
		t.Errorf("log dirs %q", s.LogDirs())
	case !slices.Equal(s.List("log.cleanup.policy"), []string{"delete"}):
		t.Error("list")
	case s.String("broker.rack") != "" || s.IsSet("broker.rack") || !s.IsSet("zookeeper.connect") || s.IsSet("log.retention.ms"):
		t.Error("null")
	case s.AtDefault("offsets.topic.replication.factor") || !s.AtDefault("num.io.threads"):
		t.Error("default")
	case s.ConnectionsPerIP()["h"] != 1 || s.ConnectionsPerIP()["10.0.0.1"] != 2:
		t.Errorf("per ip %v", s.ConnectionsPerIP())
	}
	if text, ok := s.ListenerOverride("Plaintext", "max.connections"); text != "7" || !ok {
		t.Errorf("override %q, %v", text, ok)
	}
	if _, ok := s.ListenerOverride("OTHER", "max.connections"); ok {
		t.Error("an override for another listener")
	}
	for what, read := range map[string]func(){
		"another type": func() { s.Int("log.dirs") }, "no key": func() { s.String("nonsense") }, "no topic key": func() { s.TopicValue(nil, "x") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("reading %s does not panic", what)
				}
			}()
			read()
		}()
	}
	if log := newStore(t).LogDirs(); !slices.Equal(log, []string{"/tmp/kafka-logs"}) {
		t.Errorf("default log dir %q", log)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct{ prop, want string }{
		{"authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "authorizers"},
		{"zookeeper.set.acl=true", "ACLs on znodes"},
		{"zookeeper.ssl.client.enable=TRUE", "TLS to ZooKeeper"},
		{"client.quota.callback.class=a.B", "quota callbacks"},
		{"create.topic.policy.class.name=a.B", "create-topic policies"},
		{"alter.config.policy.class.name=a.B", "alter-config policies"},
		{"remote.log.storage.system.enable=true", "tiered storage"},
		{"replica.selector.class=a.B", "RackAwareReplicaSelector"},
		{"delegation.token.secret.key=verysecret", "delegation tokens"},
		{"process.roles=broker,controller", "KRaft mode"},
		{"zookeeper.metadata.migration.enable=true", "migration"},
		{"listeners=SASL_SSL://:9092", "the security protocol SASL_SSL"},
	} {
		name, raw, _ := strings.Cut(test.prop, "=")
		_, _, err := NewStatic(map[string]string{"zookeeper.connect": "x", name: raw})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", test.prop, err)
		}
		if err != nil && strings.Contains(err.Error(), "verysecret") {
			t.Errorf("a secret is told: %v", err)
		}
	}
	// The same keys with values that ask for nothing.
	newStore(t, "authorizer.class.name=", "zookeeper.set.acl=False", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector", "process.roles=",
		"principal.builder.class="+defaultPrincipalBuilder, "remote.log.storage.system.enable=false", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,X:SASL_SSL")
}

func TestOldNames(t *testing.T) {
	s, warnings, err := NewStatic(map[string]string{
		"zookeeper.connect": "x", "host.name": "10.0.0.1", "port": "9999", "advertised.host.name": "example.org",
	})
	if err != nil || len(warnings) != 2 {
		t.Fatal(warnings, err)
	}
	want := Listener{"PLAINTEXT", "PLAINTEXT", "10.0.0.1", 9999}
	if got := s.Listeners(); len(got) != 1 || got[0] != want {
		t.Errorf("listeners %v", got)
	}
	want.Host = "example.org"
	if got := s.AdvertisedListeners(); len(got) != 1 || got[0] != want {
		t.Errorf("advertised %v", got)
	}
	s, warnings, err = NewStatic(map[string]string{"zookeeper.connect": "x", "port": "9999", "listeners": "PLAINTEXT://h:1"})
	if err != nil || len(warnings) != 1 || s.Listeners()[0].Port != 1 {
		t.Errorf("listeners beside port: %v %v", warnings, err)
	}
}

func TestAdvertisedHostIsFilledIn(t *testing.T) {
	s := newStore(t)
	if l := s.Listeners(); len(l) != 1 || l[0] != (Listener{"PLAINTEXT", "PLAINTEXT", "", 9092}) {
		t.Errorf("listeners %v", l)
	}
	if l := s.AdvertisedListeners(); len(l) != 1 || l[0].Host == "" || l[0].Port != 9092 {
		t.Errorf("advertised %v", l)
	}
	if l := s.Listeners(); l[0].Host != "" {
		t.Error("filling in changed the listeners")
	}
	if s.InterBrokerListener() != "PLAINTEXT" {
		t.Errorf("inter-broker listener %s", s.InterBrokerListener())
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := NewStatic(map[string]string{
		"zookeeper.connect": "x", "quota.producer.default": "1", "metric.reporters": "a.B", "kafka.metrics.reporters": "", "log.message.format.version": "2.8",
		"listener.name.plaintext.max.connections": "3", "listener.name.plaintext.nonsense": "3",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"The configuration 'listener.name.plaintext.nonsense' was supplied but isn't a known config.",
		"The configuration 'metric.reporters' has no effect: it configures the Java virtual machine.",
		"The configuration 'quota.producer.default' was supplied but isn't a known config.",
		"The configuration 'log.message.format.version' has no effect with inter.broker.protocol.version 3.0 or newer.",
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("got %q", warnings)
	}
}

func TestValuesHideSecrets(t *testing.T) {
	text := newStore(t, "ssl.keystore.password=verysecret", "log.dirs=/a").Values()
	for _, want := range []string{"KafkaConfig values: \n", "\tssl.keystore.password = [hidden]\n", "\tssl.key.password = null\n", "\tlog.dirs = /a\n", "\tlog.cleanup.policy = [delete]\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "verysecret") {
		t.Error("a secret is shown")
	}
}
