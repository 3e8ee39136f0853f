package config

import "strings"

// synonymFamilies are the keys of one setting in several units, the strongest first.
var synonymFamilies = map[string][]string{
	"log.roll.ms":           {"log.roll.ms", "log.roll.hours"},
	"log.roll.hours":        {"log.roll.ms", "log.roll.hours"},
	"log.roll.jitter.ms":    {"log.roll.jitter.ms", "log.roll.jitter.hours"},
	"log.roll.jitter.hours": {"log.roll.jitter.ms", "log.roll.jitter.hours"},
	"log.flush.interval.ms": {"log.flush.interval.ms", "log.flush.scheduler.interval.ms"},
	"log.retention.ms":      {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
	"log.retention.minutes": {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
	"log.retention.hours":   {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// mechanismKeys may stand behind listener.name.<listener>.<mechanism>.
var mechanismKeys = []string{
	"sasl.login.callback.handler.class", "sasl.server.callback.handler.class", "connections.max.reauth.ms", "sasl.login.class", "sasl.jaas.config",
}

// listenerPrefix is what stands before a key that is set for one listener.
func listenerPrefix(listener string) string {
	return "listener.name." + strings.ToLower(listener) + "."
}

// withoutListener cuts listener.name.<listener>. off a name.
func withoutListener(name string) (base string, prefixed bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return name, false
	}
	_, base, ok = strings.Cut(rest, ".")
	if !ok {
		return name, false
	}
	return base, true
}

// baseKey is the name of the definition behind a name with listener and perhaps mechanism.
func baseKey(name string) string {
	base, prefixed := withoutListener(name)
	if !prefixed {
		return name
	}
	for _, key := range mechanismKeys {
		if strings.HasSuffix(base, key) {
			return key
		}
	}
	return base
}

// synonyms are the names that may give name its value, in DynamicBrokerConfig's order; a listener's own before the
// one for all listeners.
func synonyms(name string) []string {
	if family, ok := synonymFamilies[name]; ok {
		return family
	}
	if base := baseKey(name); base != name {
		return []string{name, base}
	}
	return []string{name}
}

// override lays one layer over another. Setting one name of a family hides the others of the layers below, so that a
// dynamic log.retention.ms wins over log.retention.minutes in server.properties.
func override(props, layer map[string]string) {
	for name := range layer {
		for _, hidden := range synonymFamilies[name] {
			delete(props, hidden)
		}
	}
	for name, raw := range layer {
		props[name] = raw
	}
}
