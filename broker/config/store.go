package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Store is the configuration of a broker in its layers. It is safe for concurrent use: readers see an immutable
// snapshot.
type Store struct {
	current atomic.Pointer[snapshot]

	mu        sync.Mutex // held while a layer changes and while the listeners of that change run
	listeners []func(changed []string)
}

// snapshot is one state of the configuration. Nothing in it changes after build.
type snapshot struct {
	static         map[string]string // server.properties, raw
	dynamicDefault map[string]string // /config/brokers/<default>, raw, what did not validate left out
	dynamicBroker  map[string]string // /config/brokers/N, likewise
	originals      map[string]string // the layers laid over each other, raw
	values         map[string]value  // of every broker key
	derived
}

// derived are the values that take more than one key.
type derived struct {
	listeners   []Listener
	advertised  []Listener // hosts as configured
	interBroker string
	logDirs     []string
	perIP       map[string]int
}

// NewStatic checks the properties of server.properties, after --override. An unknown key, and one that is accepted
// without effect, comes back as a warning. A value that is not allowed is an error that names key, value and what is
// allowed; a setting that promises what gregor does not do yet is an error, too: see refusals.
func NewStatic(props map[string]string) (s *Store, warnings []string, err error) {
	static, warnings := withOldNames(props)
	withIDSynonyms(static)
	if err := refuse(static); err != nil {
		return nil, nil, err
	}
	c, err := build(static, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	s = &Store{}
	s.current.Store(c)
	return s, append(warnings, staticWarnings(c)...), nil
}

// withIDSynonyms makes node.id and broker.id follow each other.
func withIDSynonyms(static map[string]string) {
	brokerID, hasBroker := static["broker.id"]
	nodeID, hasNode := static["node.id"]
	switch {
	case hasBroker && !hasNode:
		static["node.id"] = brokerID
	case hasNode && !hasBroker:
		static["broker.id"] = nodeID
	}
}

// build parses and checks the layers.
func build(static, dynamicDefault, dynamicBroker map[string]string) (*snapshot, error) {
	c := &snapshot{static: static, dynamicDefault: dynamicDefault, dynamicBroker: dynamicBroker}
	c.originals = maps.Clone(static)
	override(c.originals, dynamicDefault)
	override(c.originals, dynamicBroker)
	c.values = make(map[string]value, len(brokerIndex))
	for _, name := range brokerNames {
		key := brokerIndex[name]
		raw, set := c.originals[name]
		if !set {
			c.values[name] = key.defaultValue()
			continue
		}
		v, err := key.parse(raw)
		if err != nil {
			return nil, err
		}
		c.values[name] = v
	}
	if err := c.checkListenerKeys(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// brokerNames are the names of all broker keys in order, so that of several errors always the same one is told.
var brokerNames = slices.Sorted(maps.Keys(brokerIndex))

// checkListenerKeys parses the values that are set for one listener.
func (c *snapshot) checkListenerKeys() error {
	for _, name := range slices.Sorted(maps.Keys(c.originals)) {
		base := baseKey(name)
		key, known := brokerIndex[base]
		if base == name || !known {
			continue
		}
		if _, err := key.parse(c.originals[name]); err != nil {
			return err
		}
	}
	return nil
}

// get returns a value that is read as one of the given types. Another type, or a name that is not a key, is our own bug.
func (c *snapshot) get(name string, types ...Type) value {
	v, known := c.values[name]
	if !known || !slices.Contains(types, v.kind) {
		panic(fmt.Sprintf("config: %s is no key of the type that it is read as", name))
	}
	return v
}

func (c *snapshot) integer(name string) int64 { return c.get(name, Int, Short, Long).integer }
func (c *snapshot) text(name string) string   { return c.get(name, String, Class, Password).text }

// firstSet is the value of the first name that has one, in its own unit.
func (c *snapshot) firstSet(names ...string) (n int64, which int) {
	for i, name := range names {
		if v := c.get(name, Int, Long); !v.null {
			return v.integer, i
		}
	}
	return 0, len(names)
}

// Version tells states of a configuration apart: while two are equal, no value has changed in between.
type Version struct{ of *snapshot }

// Version is that of the values in force.
func (s *Store) Version() Version { return Version{s.current.Load()} }

// String returns the effective value of a String, Class or Password key, "" when null. Like all typed reads it panics
// for a name that is not a key of its type.
func (s *Store) String(name string) string { return s.current.Load().text(name) }

// Int returns the effective value of an Int or Short key, 0 when null.
func (s *Store) Int(name string) int { return int(s.current.Load().get(name, Int, Short).integer) }

// Long returns the effective value of a Long, Int or Short key, 0 when null.
func (s *Store) Long(name string) int64 { return s.current.Load().integer(name) }

// Bool returns the effective value of a Boolean key.
func (s *Store) Bool(name string) bool { return s.current.Load().get(name, Boolean).boolean }

// Double returns the effective value of a Double key.
func (s *Store) Double(name string) float64 { return s.current.Load().get(name, Double).double }

// List returns the effective value of a List key, nil when null. It must not be changed.
func (s *Store) List(name string) []string { return s.current.Load().get(name, List).list }

// IsSet reports whether a key of any type has an effective value that is not null.
func (s *Store) IsSet(name string) bool {
	v, known := s.current.Load().values[name]
	if !known {
		panic("config: " + name + " is no key")
	}
	return !v.null
}

// AtDefault reports whether an Int, Short or Long key has Kafka's default value, be it left out or written down.
func (s *Store) AtDefault(name string) bool {
	return s.Long(name) == brokerIndex[name].defaultValue().integer
}

// ListenerOverride returns what listener.name.<listener>.<name> sets, in the text form of the key's type. ok is false
// where it is not set: then the key's value for all listeners counts.
func (s *Store) ListenerOverride(listener, name string) (text string, ok bool) {
	return s.current.Load().listenerOverride(listener, name)
}

func (c *snapshot) listenerOverride(listener, name string) (text string, ok bool) {
	raw, set := c.originals[listenerPrefix(listener)+name]
	if !set {
		return "", false
	}
	key, known := brokerIndex[baseKey(name)]
	if !known {
		return raw, true
	}
	v, err := key.parse(raw) // build has parsed it already
	return v.text, err == nil
}

// listenerInt is the value for one listener, or that for all.
func (c *snapshot) listenerInt(listener, name string) int {
	text, set := c.listenerOverride(listener, name)
	if n, err := strconv.Atoi(text); set && err == nil {
		return n
	}
	return int(c.integer(name))
}

// LogDirs are log.dirs, or log.dir where that is not set.
func (s *Store) LogDirs() []string { return s.current.Load().logDirs }

// ConnectionsPerIP are the caps of max.connections.per.ip.overrides by host name or address.
func (s *Store) ConnectionsPerIP() map[string]int { return s.current.Load().perIP }

// OnChange registers fn. It is called, one change at a time, with the names whose effective value changed; it may
// read the store but not set dynamic values.
func (s *Store) OnChange(fn func(changed []string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, fn)
}
