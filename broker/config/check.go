package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ruleError is a rule that is not met, worded as clients of Apache Kafka get it: its messages are part of what they
// and their tests see.
type ruleError string

func (e ruleError) Error() string { return string(e) }

func ruleErrorf(format string, args ...any) error { return ruleError(fmt.Sprintf(format, args...)) }

// requirement is a rule between keys that is not met.
func requirement(text string) error { return ruleError("requirement failed: " + text) }

// check holds the rules between keys (KafkaConfig.validateValues) and fills in what is derived.
func (c *snapshot) check() error {
	for _, step := range []func() error{
		c.checkIdentity, c.checkLog, c.checkReplication, c.checkCoordinators, c.deriveListeners,
		c.checkProtocols, c.checkListeners, c.checkFormat, c.checkConnections,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *snapshot) checkIdentity() error {
	id := c.integer("broker.id")
	switch {
	case c.integer("node.id") != id:
		return &InvalidValueError{Why: "You must set `node.id` to the same value as `broker.id`."}
	case c.get("zookeeper.connect", String).null:
		return &InvalidValueError{Why: "Missing required configuration `zookeeper.connect` which has no default value."}
	case !c.get("broker.id.generation.enable", Boolean).boolean:
		if id < 0 {
			return requirement("broker.id must be greater than or equal to 0")
		}
	case id < -1 || id > c.integer("reserved.broker.max.id"):
		return requirement("broker.id must be greater than or equal to -1 and not greater than reserved.broker.max.id")
	}
	return nil
}

func (c *snapshot) checkLog() error {
	raw := c.text("log.dir")
	if v := c.get("log.dirs", String); !v.null {
		raw = v.text
	}
	c.logDirs = nonEmptyElements(raw)
	rollMs, inUnits := c.firstSet("log.roll.ms", "log.roll.hours")
	jitterMs, _ := c.firstSet("log.roll.jitter.ms", "log.roll.jitter.hours")
	retention, _ := c.firstSet("log.retention.ms", "log.retention.minutes", "log.retention.hours")
	threads := c.integer("log.cleaner.threads")
	switch {
	case inUnits == 0 && rollMs < 1:
		return requirement("log.roll.ms must be greater than or equal to 1")
	case jitterMs < 0:
		return requirement("log.roll.jitter.ms must be greater than or equal to 0")
	case retention == 0:
		return requirement("log.retention.ms must be unlimited (-1) or, greater than or equal to 1")
	case len(c.logDirs) == 0:
		return requirement("At least one log directory must be defined via log.dirs or log.dir.")
	case threads < 1:
		return &InvalidValueError{"log.cleaner.threads", strconv.FormatInt(threads, 10), "Log cleaner threads should be at least 1"}
	case c.integer("log.cleaner.dedupe.buffer.size")/threads <= 1<<20:
		return requirement("log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")
	}
	return nil
}

func (c *snapshot) checkReplication() error {
	wait := c.integer("replica.fetch.wait.max.ms")
	switch {
	case wait > c.integer("replica.socket.timeout.ms"):
		return requirement("replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts")
	case wait > c.integer("replica.lag.time.max.ms"):
		return requirement("replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR")
	}
	return nil
}

// ordered are pairs of keys of which the first must not be greater than the second; low tells which side the message
// names first.
var ordered = []struct {
	small, great string
	low          bool
}{
	{"group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms", false},
	{"group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", false},
	{"group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms", true},
	{"group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms", false},
	{"group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms", false},
	{"group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms", true},
	{"group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms", false},
	{"group.share.min.heartbeat.interval.ms", "group.share.heartbeat.interval.ms", false},
	{"group.share.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms", true},
	{"group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms", false},
	{"group.share.min.session.timeout.ms", "group.share.session.timeout.ms", false},
	{"group.share.session.timeout.ms", "group.share.max.session.timeout.ms", true},
	{"group.share.min.record.lock.duration.ms", "group.share.record.lock.duration.ms", false},
	{"group.share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms", false},
}

// consumerAssignors are the assignors of the new consumer protocol, which a ZooKeeper cluster cannot use.
var consumerAssignors = []string{
	"org.apache.kafka.coordinator.group.assignor.UniformAssignor", "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
}

func (c *snapshot) checkCoordinators() error {
	acks, codec := c.integer("offsets.commit.required.acks"), c.integer("offsets.topic.compression.codec")
	if acks < -1 || acks > c.integer("offsets.topic.replication.factor") {
		return ruleError("offsets.commit.required.acks must be greater or equal to -1 and less or equal to offsets.topic.replication.factor")
	}
	if codec < 0 || codec > 4 {
		return ruleErrorf("Unknown compression type id: %d", codec)
	}
	for _, pair := range ordered {
		if c.integer(pair.small) <= c.integer(pair.great) {
			continue
		}
		if pair.low {
			return ruleErrorf("%s must be less than or equals to %s", pair.small, pair.great)
		}
		return ruleErrorf("%s must be greater than or equals to %s", pair.great, pair.small)
	}
	rebalance := c.get("group.coordinator.rebalance.protocols", List).list
	switch {
	case !slices.Contains(rebalance, "classic"):
		return &InvalidValueError{Why: "Disabling the 'classic' protocol is not supported."}
	case slices.Contains(rebalance, "consumer"):
		return &InvalidValueError{Why: "The new 'consumer' rebalance protocol is only supported in KRaft cluster."}
	case slices.Contains(rebalance, "share"):
		return &InvalidValueError{Why: "The new 'share' rebalance protocol is only supported in KRaft cluster."}
	}
	for _, class := range c.get("group.consumer.assignors", List).list {
		if !slices.Contains(consumerAssignors, class) {
			return ruleErrorf("Class %s cannot be found", class)
		}
	}
	return nil
}

func (c *snapshot) checkListeners() error {
	bound := names(c.listeners)
	if v := c.get("controller.listener.names", String); !v.null && v.text != "" {
		return requirement("controller.listener.names must be empty when not running in KRaft mode: [" + v.text + "]")
	}
	if len(c.advertised) == 0 {
		return requirement("There must be at least one broker advertised listener.")
	}
	if !has(c.advertised, c.interBroker) {
		return requirement("inter.broker.listener.name must be a listener name defined in advertised.listeners. " +
			"The valid options based on currently configured listeners are " + names(c.advertised))
	}
	for _, l := range c.advertised {
		if !has(c.listeners, l.Name) {
			return requirement("advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. " +
				"Found " + names(c.advertised) + ". The valid options based on the current configuration are " + bound)
		}
		if l.Host == "0.0.0.0" {
			return requirement("advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.")
		}
	}
	if control := strings.ToUpper(c.text("control.plane.listener.name")); control != "" {
		if !has(c.advertised, control) {
			return requirement("control.plane.listener.name must be a listener name defined in advertised.listeners. " +
				"The valid options based on currently configured listeners are " + names(c.advertised))
		}
		if control == c.interBroker {
			return requirement("control.plane.listener.name, when defined, should have a different value from the inter broker listener name. " +
				"Currently they both have the value ListenerName(" + control + ")")
		}
	}
	for _, early := range nonEmptyElements(c.text("early.start.listeners")) {
		if !has(c.listeners, strings.ToUpper(early)) {
			return &InvalidValueError{Why: fmt.Sprintf("early.start.listeners contains listener %s, but this is not contained in listeners or controller.listener.names", early)}
		}
	}
	return nil
}

func has(listeners []Listener, name string) bool {
	return slices.ContainsFunc(listeners, func(l Listener) bool { return l.Name == name })
}

// checkFormat refuses message formats that inter.broker.protocol.version is too old for, and those before 2, which
// gregor does not write. From 3.0 on the setting has no effect (KIP-724).
func (c *snapshot) checkFormat() error {
	format, ibp := c.text("log.message.format.version"), c.text("inter.broker.protocol.version")
	if need := recordVersion(format); recordVersion(ibp) < need {
		return requirement(fmt.Sprintf("log.message.format.version %s can only be used when inter.broker.protocol.version is set to version %s or higher",
			format, map[int]string{1: "0.10.0", 2: "0.11.0"}[need]))
	}
	if !atLeastRelease(ibp, "3.0-IV1") && recordVersion(format) < 2 {
		return notYet("log.message.format.version", format, "message formats 0 and 1")
	}
	return nil
}

func (c *snapshot) checkConnections() (err error) {
	queued, idle, delay := c.integer("queued.max.request.bytes"), c.integer("connections.max.idle.ms"), c.integer("connection.failed.authentication.delay.ms")
	if c.perIP, err = c.parsePerIP(); err != nil {
		return err
	}
	switch {
	case queued > 0 && queued < c.integer("socket.request.max.bytes"):
		return requirement("queued.max.request.bytes must be larger or equal to socket.request.max.bytes")
	case c.integer("max.connections.per.ip") == 0 && len(c.perIP) == 0:
		return requirement("max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.")
	case idle >= 0 && delay >= idle:
		return requirement(fmt.Sprintf("connection.failed.authentication.delay.ms=%d should always be less than connections.max.idle.ms=%d to prevent failed authentication responses from timing out", delay, idle))
	}
	return nil
}

// parsePerIP reads max.connections.per.ip.overrides: host:count,...
func (c *snapshot) parsePerIP() (map[string]int, error) {
	const key = "max.connections.per.ip.overrides"
	perIP := make(map[string]int)
	var invalid []string
	for _, entry := range nonEmptyElements(c.text(key)) {
		colon := strings.LastIndexByte(entry, ':')
		if colon < 0 {
			return nil, ruleErrorf("Error parsing configuration property '%s': '%s' is not of the form host:count", key, entry)
		}
		host, count := javaTrim(entry[:colon]), javaTrim(entry[colon+1:])
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil {
			return nil, ruleErrorf("For input string: %q", count)
		}
		if !hostPattern.MatchString(host) {
			invalid = append(invalid, host)
		}
		perIP[host] = int(n)
	}
	if len(invalid) > 0 {
		return nil, ruleError(key + " contains invalid addresses : " + strings.Join(invalid, ","))
	}
	return perIP, nil
}
