package controller

import (
	"slices"
	"testing"

	"gregor/protocol"
)

func TestCompareTopics(t *testing.T) {
	for _, test := range []struct{ names, fresh, gone []string }{
		{[]string{"b", "a"}, nil, nil},
		{[]string{"d", "b", "a", "c"}, []string{"c", "d"}, nil},
		{[]string{"a"}, nil, []string{"b"}},
		{[]string{"c", "b"}, []string{"c"}, []string{"a"}},
		{nil, nil, []string{"a", "b"}},
	} {
		c, _ := twoBrokers()
		fresh, gone := c.compareTopics(test.names)
		slices.Sort(gone)
		if !slices.Equal(fresh, test.fresh) || !slices.Equal(gone, test.gone) {
			t.Errorf("%v: new %v, gone %v", test.names, fresh, gone)
		}
	}
}

func TestTopicsByID(t *testing.T) {
	c, _ := twoBrokers()
	a, b := protocol.TopicID{'a'}, protocol.TopicID{'b'}
	if c.topicsByID[a] != c.topics["a"] || c.topicsByID[b] != c.topics["b"] {
		t.Error("a topic is not found by its id")
	}
	c.removeTopic("a")
	if c.topicsByID[a] != nil || c.topicsByID[b] == nil {
		t.Error("the removed topic is still there, or the other one is gone")
	}
	if again := c.addTopic("a", protocol.TopicID{'x'}); c.topicsByID[again.id] != again || c.topicsByID[a] != nil {
		t.Error("a topic made anew is not found by its new id only")
	}
	c.addTopic("old", protocol.TopicID{})
	if c.topicsByID[protocol.TopicID{}] != nil {
		t.Error("a topic without id is found by one")
	}
}
