package zk

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"gregor/protocol"
)

// Topic is /brokers/topics/T.
type Topic struct {
	Name       string
	ID         protocol.TopicID  // zero when the znode has none (written by a tool before 2.8)
	Partitions map[int32][]int32 // partition to replicas, the preferred leader first
	// Adding and Removing are the replicas that a running reassignment adds and removes; a partition that is not being
	// reassigned is in neither.
	Adding, Removing map[int32][]int32
	Version          int32 // dataVersion of the znode
}

// Clone copies a topic with everything in it.
func (t *Topic) Clone() *Topic {
	c := *t
	c.Partitions, c.Adding, c.Removing = cloneAssignment(t.Partitions), cloneAssignment(t.Adding), cloneAssignment(t.Removing)
	return &c
}

func cloneAssignment(a map[int32][]int32) map[int32][]int32 {
	c := make(map[int32][]int32, len(a))
	for p, replicas := range a {
		c[p] = slices.Clone(replicas)
	}
	return c
}

// SortedPartitions lists the partition numbers in order.
func (t *Topic) SortedPartitions() []int32 { return slices.Sorted(maps.Keys(t.Partitions)) }

// topicJSON holds the fields of versions 1 to 3 (kafka.zk.TopicZNode).
type topicJSON struct {
	Partitions map[string][]int32 `json:"partitions"`
	TopicID    string             `json:"topic_id,omitempty"`
	Adding     map[string][]int32 `json:"adding_replicas"`
	Removing   map[string][]int32 `json:"removing_replicas"`
	Version    int32              `json:"version"`
}

// EncodeTopic writes version 3.
func EncodeTopic(t *Topic) []byte {
	j := topicJSON{Version: 3, Removing: numbersToStrings(t.Removing), Partitions: numbersToStrings(t.Partitions), Adding: numbersToStrings(t.Adding)}
	if !t.ID.IsZero() {
		j.TopicID = t.ID.String()
	}
	return encodeJSON(j)
}

// DecodeTopic reads whichever fields there are; the version says nothing more.
func DecodeTopic(name string, data []byte) (*Topic, error) {
	var j topicJSON
	if err := decodeJSON(TopicPath(name), data, &j); err != nil {
		return nil, err
	}
	if j.Partitions == nil {
		return nil, fmt.Errorf("%s has no partitions", TopicPath(name))
	}
	t := &Topic{Name: name}
	var err error
	if j.TopicID != "" {
		if t.ID, err = protocol.ParseTopicID(j.TopicID); err != nil {
			return nil, fmt.Errorf("%s: %w", TopicPath(name), err)
		}
	}
	for _, f := range []struct {
		to   *map[int32][]int32
		from map[string][]int32
	}{{&t.Partitions, j.Partitions}, {&t.Adding, j.Adding}, {&t.Removing, j.Removing}} {
		if *f.to, err = stringsToNumbers(f.from); err != nil {
			return nil, fmt.Errorf("%s: %w", TopicPath(name), err)
		}
	}
	return t, nil
}

func numbersToStrings(m map[int32][]int32) map[string][]int32 {
	out := make(map[string][]int32, len(m))
	for p, replicas := range m {
		if replicas == nil {
			replicas = []int32{}
		}
		out[strconv.Itoa(int(p))] = replicas
	}
	return out
}

func stringsToNumbers(m map[string][]int32) (map[int32][]int32, error) {
	out := make(map[int32][]int32, len(m))
	for s, replicas := range m {
		p, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a partition number", s)
		}
		out[int32(p)] = replicas
	}
	return out, nil
}
