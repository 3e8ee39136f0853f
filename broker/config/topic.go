package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// UnknownTopicKeyError and ConflictError are what is wrong with a topic's overrides beyond single values. Kafka
// answers them, like an InvalidValueError, with INVALID_CONFIG.
type (
	// UnknownTopicKeyError is a name that is no topic key.
	UnknownTopicKeyError struct{ Name string }
	// ConflictError is two values that do not go together.
	ConflictError struct{ Small, Great string }
)

func (e *UnknownTopicKeyError) Error() string { return "Unknown topic config name: " + e.Name }
func (e *ConflictError) Error() string {
	return fmt.Sprintf("conflict topic config setting %s > %s", e.Small, e.Great)
}

// ValidateTopic checks a topic's overrides (LogConfig.validate): unknown names and bad values are errors, and so is
// tiered storage, which no gregor broker has.
func ValidateTopic(overrides map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if _, known := topicIndex[name]; !known {
			return &UnknownTopicKeyError{name}
		}
	}
	values := make(map[string]value, len(topicIndex))
	for _, name := range topicNames {
		key := topicIndex[name]
		raw, set := overrides[name]
		if !set {
			values[name] = key.defaultValue()
			continue
		}
		v, err := key.parse(raw)
		if err != nil {
			return err
		}
		values[name] = v
	}
	const low, high = "min.compaction.lag.ms", "max.compaction.lag.ms"
	if values[low].integer > values[high].integer {
		return &ConflictError{low + " (" + values[low].text + ")", high + " (" + values[high].text + ")"}
	}
	if values["remote.storage.enable"].boolean {
		return &InvalidValueError{Why: "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."}
	}
	return nil
}

// topicNames are the names of all topic keys in order.
var topicNames = slices.Sorted(maps.Keys(topicIndex))

// TopicValue is the effective value of a topic key, given the topic's own overrides, in the text form of its type.
// A key that is no topic key is our own bug. An override that does not parse (an old tool may have written it to
// ZooKeeper) counts as not set.
func (s *Store) TopicValue(overrides map[string]string, key string) string {
	c := s.current.Load()
	v := c.topicValue(overrides, key)
	switch key {
	case "message.timestamp.before.max.ms", "message.timestamp.after.max.ms":
		// KIP-937: where they have their default, the older key decides.
		if v.integer == math.MaxInt64 {
			v = c.topicValue(overrides, "message.timestamp.difference.max.ms")
		}
	}
	return v.text
}

// topicValue is the override or what the broker gives.
func (c *snapshot) topicValue(overrides map[string]string, name string) value {
	key, known := topicIndex[name]
	if !known {
		panic("config: " + name + " is no topic key")
	}
	if raw, set := overrides[name]; set {
		if v, err := key.parse(raw); err == nil {
			return v
		}
	}
	return c.topicDefault(key)
}

// topicDefault is the broker's value for a topic key, in the topic's unit (KafkaConfig.extractLogConfigMap).
func (c *snapshot) topicDefault(key *topicKey) value {
	const minute, hour = 60_000, 3_600_000
	switch key.server {
	case "":
		return key.defaultValue()
	case "log.roll.ms":
		return c.inMs([]string{key.server, "log.roll.hours"}, 1, hour)
	case "log.roll.jitter.ms":
		return c.inMs([]string{key.server, "log.roll.jitter.hours"}, 1, hour)
	case "log.flush.interval.ms":
		return c.inMs([]string{key.server, "log.flush.scheduler.interval.ms"}, 1, 1)
	case "log.retention.ms":
		v := c.inMs([]string{key.server, "log.retention.minutes", "log.retention.hours"}, 1, minute, hour)
		if v.integer < 0 {
			return integerValue(-1)
		}
		return v
	case "log.message.timestamp.before.max.ms", "log.message.timestamp.after.max.ms":
		if v := c.values[key.server]; v.integer != math.MaxInt64 {
			return v
		}
		return c.values["log.message.timestamp.difference.max.ms"]
	default:
		return c.values[key.server]
	}
}

// inMs is the first of the named values that is set, times its unit in milliseconds.
func (c *snapshot) inMs(names []string, units ...int64) value {
	n, which := c.firstSet(names...)
	return integerValue(n * units[which])
}

func integerValue(n int64) value { return value{integer: n, text: strconv.FormatInt(n, 10)} }

// DescribeTopic lists a topic's keys by name, and whatever else its znode holds. A topic key's synonyms are its own
// override and those of the broker key behind it (ConfigHelper.createTopicConfigEntry).
func (s *Store) DescribeTopic(overrides map[string]string) []Entry {
	c := s.settled()
	entries := make([]Entry, 0, len(topicNames)+len(overrides))
	for _, name := range topicNames {
		key := topicIndex[name]
		v := c.topicValue(overrides, name)
		e := Entry{Name: name, Value: &v.text, Source: SourceDefault, Type: key.Type, Doc: key.Doc}
		if _, own := overrides[name]; own {
			e.Synonyms = append(e.Synonyms, Synonym{name, &v.text, SourceTopic})
		}
		if key.server != "" {
			e.Synonyms = append(e.Synonyms, c.brokerSynonyms(key.server)...)
		}
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	for name := range overrides {
		if _, known := topicIndex[name]; !known {
			entries = append(entries, Entry{Name: name, Source: SourceTopic, Sensitive: true, Synonyms: []Synonym{{Name: name, Source: SourceTopic}}})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return entries
}
