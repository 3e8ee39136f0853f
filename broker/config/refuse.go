package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// notYet refuses a setting that promises what gregor does not do yet. Ignoring it would leave a cluster less
// protected, or less capable, than its operator believes.
func notYet(name, raw, what string) error {
	return &InvalidValueError{name, raw, unsupported(what)}
}

func unsupported(what string) string {
	return "gregor does not support " + what + " yet and does not start with a setting that asks for it"
}

// refusals are the keys of server.properties that gregor refuses unless they have one of the values that ask for
// nothing.
var refusals = []struct {
	name string
	off  []string
	why  string
}{
	{"process.roles", []string{""}, "gregor is a broker of a ZooKeeper cluster and does not run in KRaft mode"},
	{"zookeeper.metadata.migration.enable", []string{"false"}, unsupported("the migration to KRaft")},
	{"authorizer.class.name", []string{""}, unsupported("authorizers")},
	{"zookeeper.set.acl", []string{"false"}, unsupported("ACLs on znodes")},
	{"zookeeper.ssl.client.enable", []string{"false"}, unsupported("TLS to ZooKeeper")},
	{"client.quota.callback.class", nil, unsupported("quota callbacks")},
	{"create.topic.policy.class.name", nil, unsupported("create-topic policies")},
	{"alter.config.policy.class.name", nil, unsupported("alter-config policies")},
	{"principal.builder.class", []string{defaultPrincipalBuilder}, unsupported("other principal builders")},
	{"delegation.token.master.key", nil, unsupported("delegation tokens")},
	{"delegation.token.secret.key", nil, unsupported("delegation tokens")},
	{"replica.selector.class", []string{"", "org.apache.kafka.common.replica.RackAwareReplicaSelector"},
		"gregor has Kafka's own RackAwareReplicaSelector, and does not load Java classes"},
	{"remote.log.storage.system.enable", []string{"false"}, unsupported("tiered storage")},
}

// refuse looks at server.properties before it is parsed, so that a KRaft file is told about KRaft and not about a
// missing zookeeper.connect.
func refuse(static map[string]string) error {
	for _, r := range refusals {
		raw, set := static[r.name]
		isOff := func(off string) bool { return strings.EqualFold(off, javaTrim(raw)) }
		if !set || slices.ContainsFunc(r.off, isOff) {
			continue
		}
		shown := raw
		if brokerIndex[r.name].Type == Password {
			shown = "[hidden]"
		}
		return &InvalidValueError{r.name, shown, r.why}
	}
	return nil
}

// checkProtocols refuses listeners that promise encryption or authentication, in server.properties and dynamically.
func (c *snapshot) checkProtocols() error {
	for _, l := range c.listeners {
		if l.Protocol != "PLAINTEXT" {
			return notYet("listeners", fmt.Sprintf("%s://%s:%d", l.Name, l.Host, l.Port), "the security protocol "+l.Protocol)
		}
	}
	if protocol := c.text("security.inter.broker.protocol"); protocol != "PLAINTEXT" {
		return notYet("security.inter.broker.protocol", protocol, "TLS and SASL")
	}
	return nil
}

// withoutEffect are settings of the Java broker that gregor reads and does nothing with, because there is nothing to
// do without a JVM; none of them protects anything.
var withoutEffect = []string{
	"metric.reporters", "kafka.metrics.reporters", "kafka.metrics.polling.interval.secs", "auto.include.jmx.reporter",
	"zookeeper.clientCnxnSocket", "security.providers",
}

// staticWarnings lists, once per key, what is unknown and what has no effect.
func staticWarnings(c *snapshot) []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(c.static)) {
		key, known := brokerIndex[baseKey(name)]
		switch {
		case !known:
			warnings = append(warnings, fmt.Sprintf("The configuration '%s' was supplied but isn't a known config.", name))
		case key.Scope == DynamicOnly:
			warnings = append(warnings, fmt.Sprintf("The configuration '%s' has no effect in server.properties: it can only be set dynamically.", name))
		case slices.Contains(withoutEffect, name) && c.values[name].text != "":
			warnings = append(warnings, fmt.Sprintf("The configuration '%s' has no effect: it configures the Java virtual machine.", name))
		}
	}
	if _, set := c.static["log.message.format.version"]; set && atLeastRelease(c.text("inter.broker.protocol.version"), "3.0-IV1") {
		warnings = append(warnings, "The configuration 'log.message.format.version' has no effect with inter.broker.protocol.version 3.0 or newer.")
	}
	return warnings
}

// withOldNames copies server.properties and translates host.name, port, advertised.host.name and advertised.port of
// Kafka before 3.0 into listeners and advertised.listeners where those are not set. Kafka 3 ignores the old names and
// would listen where the file does not say.
func withOldNames(props map[string]string) (static map[string]string, warnings []string) {
	static = maps.Clone(props)
	if static == nil {
		static = make(map[string]string)
	}
	take := func(name, otherwise string) (string, bool) {
		raw, set := static[name]
		delete(static, name)
		if !set {
			return otherwise, false
		}
		return javaTrim(raw), true
	}
	host, hasHost := take("host.name", "")
	port, hasPort := take("port", "9092")
	advertisedHost, hasAdvertisedHost := take("advertised.host.name", host)
	advertisedPort, hasAdvertisedPort := take("advertised.port", port)
	translate := func(key, host, port, old string) {
		if _, set := static[key]; set {
			warnings = append(warnings, fmt.Sprintf("%s are deprecated and ignored because %s is set.", old, key))
			return
		}
		static[key] = "PLAINTEXT://" + host + ":" + port
		warnings = append(warnings, fmt.Sprintf("%s are deprecated: using %s=%s.", old, key, static[key]))
	}
	if hasHost || hasPort {
		translate("listeners", host, port, "host.name and port")
	}
	if hasAdvertisedHost || hasAdvertisedPort {
		translate("advertised.listeners", advertisedHost, advertisedPort, "advertised.host.name and advertised.port")
	}
	return static, warnings
}
