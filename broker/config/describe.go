package config

import (
	"maps"
	"slices"
	"strings"
)

// Synonym is one place that an entry's value comes, or would come, from.
type Synonym struct {
	Name   string
	Value  *string // as it was set, not parsed; nil when sensitive or null
	Source int8
}

// Entry is what DescribeConfigs answers for one key.
type Entry struct {
	Name      string
	Value     *string // nil when sensitive or null
	ReadOnly  bool
	Source    int8
	Sensitive bool
	Synonyms  []Synonym // the strongest first
	Type      Type
	Doc       string
}

// settled is the configuration after a change that is under way has reached all who are told of it (OnChange), so that nobody is shown a value that is not
// in force yet. OnChange functions must not ask for it.
func (s *Store) settled() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Load()
}

// DescribeBroker lists this broker's keys by name: all that Kafka documents, and whatever else server.properties or a
// dynamic layer sets (ConfigHelper.createBrokerConfigEntry).
func (s *Store) DescribeBroker() []Entry {
	c := s.settled()
	all := maps.Clone(c.originals)
	for _, name := range brokerNames {
		if key := brokerIndex[name]; !key.Internal && key.Scope != DynamicOnly {
			all[name] = ""
		}
	}
	entries := make([]Entry, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := optional(c.originals, name)
		if key, known := brokerIndex[name]; known && !key.Internal && key.Scope != DynamicOnly {
			value = c.described(name)
		}
		entries = append(entries, c.entry(name, value, c.brokerSynonyms(name)))
	}
	return entries
}

// DescribeBrokerDefault lists what /config/brokers/<default> sets.
func (s *Store) DescribeBrokerDefault() []Entry {
	c := s.settled()
	entries := make([]Entry, 0, len(c.dynamicDefault))
	for _, name := range slices.Sorted(maps.Keys(c.dynamicDefault)) {
		from := slices.DeleteFunc(c.brokerSynonyms(name), func(s Synonym) bool { return s.Source != SourceDynamicDefaultBroker })
		entries = append(entries, c.entry(name, optional(c.dynamicDefault, name), from))
	}
	return entries
}

// described is the effective value of a broker key as text, nil for null.
func (c *snapshot) described(name string) *string {
	v := c.values[name]
	if v.null {
		return nil
	}
	return &v.text
}

func (c *snapshot) entry(name string, value *string, from []Synonym) Entry {
	e := Entry{Name: name, Value: value, ReadOnly: true, Source: SourceDefault, Sensitive: true, Synonyms: from}
	if key, known := brokerIndex[baseKey(name)]; known {
		e.Type, e.Doc, e.Sensitive = key.Type, key.Doc, key.Type == Password
		e.ReadOnly = key.Name != name || key.Scope != PerBroker && key.Scope != ClusterWide
	}
	if e.Sensitive {
		e.Value = nil
		e.Synonyms = hidden(from)
	}
	if len(from) > 0 {
		e.Source = from[0].Source
	}
	return e
}

func hidden(from []Synonym) []Synonym {
	out := slices.Clone(from)
	for i := range out {
		out[i].Value = nil
	}
	return out
}

// brokerSynonyms lists where the value of a broker key comes from: every name that may give it, layer by layer. What
// stands before the first entry of the key's own name is dropped, as Kafka does so that the value for one listener
// does not show under the key for all. So a key whose weaker synonym is set, but not itself, has none.
func (c *snapshot) brokerSynonyms(name string) []Synonym {
	candidates := synonyms(name)
	var all []Synonym
	for _, layer := range []struct {
		props  map[string]string
		source int8
	}{
		{c.dynamicBroker, SourceDynamicBroker}, {c.dynamicDefault, SourceDynamicDefaultBroker}, {c.static, SourceStaticBroker},
	} {
		for _, candidate := range candidates {
			if value := optional(layer.props, candidate); value != nil {
				all = append(all, Synonym{candidate, value, layer.source})
			}
		}
	}
	for _, candidate := range candidates {
		if key, known := brokerIndex[candidate]; known && key.Default != nil && key.Scope != DynamicOnly {
			all = append(all, Synonym{candidate, key.Default, SourceDefault})
		}
	}
	own := slices.IndexFunc(all, func(s Synonym) bool { return s.Name == name })
	if own < 0 {
		return nil
	}
	return all[own:]
}

func optional(props map[string]string, name string) *string {
	if raw, set := props[name]; set {
		return &raw
	}
	return nil
}

// Values prints every effective value on a line of its own, as Kafka logs them at start. Passwords are hidden.
func (s *Store) Values() string {
	c := s.current.Load()
	var b strings.Builder
	b.WriteString("KafkaConfig values: \n")
	for _, name := range brokerNames {
		key, v := brokerIndex[name], c.values[name]
		if key.Internal || key.Scope == DynamicOnly {
			continue
		}
		text := v.text
		switch {
		case v.null:
			text = "null"
		case key.Type == Password:
			text = "[hidden]"
		case key.Type == List:
			text = "[" + strings.Join(v.list, ", ") + "]"
		}
		b.WriteString("\t" + name + " = " + text + "\n")
	}
	return b.String()
}
