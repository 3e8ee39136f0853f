package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPasswordEncoder answers a dynamic password: Kafka keeps those in ZooKeeper encrypted with
// password.encoder.secret, gregor keeps none yet. Apache Kafka answers INVALID_CONFIG where every other bad broker
// value is an INVALID_REQUEST.
var ErrNoPasswordEncoder error = &InvalidValueError{Why: "Password encoder secret not configured"}

// storeKeys are the ten keys of TLS key and trust stores, which are dynamic only with a listener prefix.
var storeKeys = []string{
	"ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.key.password", "ssl.keystore.key",
	"ssl.keystore.certificate.chain", "ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.certificates",
}

// clusterListenerKeys may be set for one listener as a default of all brokers, too.
var clusterListenerKeys = []string{"max.connections", "max.connection.creation.rate", "num.network.threads"}

// dynamicFault says why a name, or its value, cannot stand in a dynamic layer.
type dynamicFault int

const (
	allowed dynamicFault = iota
	notDynamic
	needsPrefix
	badValue
	perBrokerOnly
	secret
)

// dynamicFaultOf judges one entry of a dynamic layer; err is set for badValue. Names that no definition knows are
// allowed: they may be meant for a plugin (DynamicBrokerConfig.validateConfigs).
func dynamicFaultOf(brokerDefault bool, name, raw string) (fault dynamicFault, err error) {
	if key, known := brokerIndex[name]; known && key.Scope == Static {
		return notDynamic, nil
	}
	if slices.Contains(storeKeys, name) {
		return needsPrefix, nil
	}
	// Types are checked without the listener only; what stands behind a mechanism is not looked at.
	base, prefixed := withoutListener(name)
	key, known := brokerIndex[base]
	if known && key.Scope != Static {
		if _, err := key.parse(raw); err != nil {
			return badValue, err
		}
	}
	if brokerDefault && (prefixed && !slices.Contains(clusterListenerKeys, base) || !prefixed && known && key.Scope == PerBroker) {
		return perBrokerOnly, nil
	}
	if key, known := brokerIndex[baseKey(name)]; known && key.Type == Password {
		return secret, nil
	}
	return allowed, nil
}

// ValidateDynamic checks a whole new dynamic layer before it is written to ZooKeeper (AlterConfigs,
// IncrementalAlterConfigs). Its error goes to the client with INVALID_REQUEST, ErrNoPasswordEncoder with
// INVALID_CONFIG.
func (s *Store) ValidateDynamic(brokerDefault bool, values map[string]string) error {
	faults := make(map[dynamicFault][]string)
	var bad error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fault, err := dynamicFaultOf(brokerDefault, name, values[name])
		faults[fault] = append(faults[fault], name)
		if bad == nil {
			bad = err
		}
	}
	refused := func(fault dynamicFault, text, set string) error {
		return &InvalidValueError{Why: text + ": " + set + "(" + strings.Join(faults[fault], ", ") + ")"}
	}
	switch {
	case len(faults[notDynamic]) > 0:
		return refused(notDynamic, "Cannot update these configs dynamically", "Set")
	case len(faults[needsPrefix]) > 0:
		return refused(needsPrefix, "These security configs can be dynamically updated only per-listener using the listener prefix", "HashSet")
	case bad != nil:
		return bad
	case len(faults[perBrokerOnly]) > 0:
		return refused(perBrokerOnly, "Cannot update these configs at default cluster level, broker id must be specified", "Set")
	}
	now := s.current.Load()
	next, err := now.withDynamic(brokerDefault, values)
	if err != nil {
		return err
	}
	if err := reconfigurable(now, next); err != nil {
		return err
	}
	if len(faults[secret]) > 0 {
		return ErrNoPasswordEncoder
	}
	return nil
}

// withDynamic is the snapshot with one dynamic layer replaced.
func (c *snapshot) withDynamic(brokerDefault bool, values map[string]string) (*snapshot, error) {
	if brokerDefault {
		return build(c.static, values, c.dynamicBroker)
	}
	return build(c.static, c.dynamicDefault, values)
}

// SetDynamic replaces a dynamic layer with what stands in ZooKeeper: brokerDefault names /config/brokers/<default>,
// otherwise it is this broker's own. Values that do not validate are left out, each with an error; where the rest does
// not fit together, the configuration stays as it was. The functions of OnChange run before it returns.
func (s *Store) SetDynamic(brokerDefault bool, values map[string]string) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	kept := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fault, err := dynamicFaultOf(brokerDefault, name, values[name])
		switch fault {
		case allowed:
			kept[name] = values[name]
		case notDynamic:
			errs = append(errs, fmt.Errorf("%s is not a dynamic config: its value in ZooKeeper is ignored", name))
		case needsPrefix:
			errs = append(errs, fmt.Errorf("%s can be updated dynamically only with a listener prefix: its value in ZooKeeper is ignored", name))
		case badValue:
			errs = append(errs, fmt.Errorf("a dynamic config is ignored: %w", err))
		case perBrokerOnly:
			errs = append(errs, fmt.Errorf("%s can be set for one broker only: its default for the cluster is ignored", name))
		case secret:
			errs = append(errs, fmt.Errorf("%s is ignored: gregor does not decode passwords kept in ZooKeeper yet", name))
		}
	}
	before := s.current.Load()
	after, err := before.withDynamic(brokerDefault, kept)
	if err != nil {
		return append(errs, fmt.Errorf("dynamic configs could not be applied: %w", err))
	}
	s.current.Store(after)
	if changed := changes(before, after); len(changed) > 0 {
		for _, fn := range s.listeners {
			fn(changed)
		}
	}
	return errs
}

// changes are the names whose effective value differs, in order.
func changes(before, after *snapshot) []string {
	var changed []string
	for _, name := range brokerNames {
		if old, now := before.values[name], after.values[name]; old.null != now.null || old.text != now.text {
			changed = append(changed, name)
		}
	}
	for _, one := range []struct{ have, other map[string]string }{{before.originals, after.originals}, {after.originals, before.originals}} {
		for name, raw := range one.have {
			if _, known := brokerIndex[name]; known || slices.Contains(changed, name) {
				continue
			}
			if other, set := one.other[name]; !set || other != raw {
				changed = append(changed, name)
			}
		}
	}
	slices.Sort(changed)
	return changed
}

// threadPools are the keys of Kafka's thread pools. gregor has goroutines instead; the steps that a change may take
// are kept, because scripts and tests rely on the refusal.
var threadPools = []string{"num.io.threads", "num.replica.fetchers", "num.recovery.threads.per.data.dir", "background.threads"}

// reconfigurable checks a change from now to next as the parts of a running Kafka broker do.
func reconfigurable(now, next *snapshot) error {
	for _, name := range threadPools {
		if err := checkPool(name, now.integer(name), next.integer(name)); err != nil {
			return err
		}
	}
	const network = "num.network.threads"
	for _, l := range now.listeners {
		if err := checkPool(network, int64(now.listenerInt(l.Name, network)), int64(next.listenerInt(l.Name, network))); err != nil {
			return err
		}
	}
	const cleaner = "log.cleaner.threads"
	switch have, want := now.integer(cleaner), next.integer(cleaner); {
	case want < have/2:
		return invalidChange(fmt.Sprintf("Log cleaner threads cannot be reduced to less than half the current value %d", have))
	case want > have*2:
		return invalidChange(fmt.Sprintf("Log cleaner threads cannot be increased to more than double the current value %d", have))
	}
	if reporters := next.values["metric.reporters"]; reporters.text != now.values["metric.reporters"].text && len(reporters.list) > 0 {
		return invalidChange("metric.reporters cannot be loaded: gregor runs no Java classes")
	}
	return nil
}

// checkPool allows a pool to go to between half and double of its size (DynamicThreadPool).
func checkPool(name string, have, want int64) error {
	fault := ""
	switch {
	case want == have:
		return nil
	case want < 1:
		fault = "value should be at least 1"
	case want < have/2:
		fault = "value should be at least half the current value " + strconv.FormatInt(have, 10)
	case want > have*2:
		fault = "value should not be greater than double the current value " + strconv.FormatInt(have, 10)
	default:
		return nil
	}
	return invalidChange(fmt.Sprintf("Dynamic thread count update validation failed for %s=%d, %s", name, want, fault))
}

// invalidChange is worded as a client of Apache Kafka gets it, class name and all.
func invalidChange(text string) error {
	return &InvalidValueError{Name: "Invalid dynamic configuration", Value: "org.apache.kafka.common.config.ConfigException: " + text}
}
