package broker

import (
	"errors"
	"strings"
	"testing"

	"gregor/protocol"
)

func TestCheckTopicName(t *testing.T) {
	for _, name := range []string{"a", "A.b_c-9", "...", "__consumer_offsets", strings.Repeat("x", 249)} {
		if err := checkTopicName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a b", "a/b", "ä", "a\x00", "a:b", strings.Repeat("x", 250)} {
		if err := checkTopicName(name); !errors.Is(err, protocol.InvalidTopicException) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCollidingTopic(t *testing.T) {
	existing := []string{"a.b", "a_b.c", "plain"}
	for _, tc := range []struct {
		name, other string
	}{{"a_b", "a.b"}, {"a.b", ""}, {"a.b_c", "a_b.c"}, {"plain", ""}, {"ab", ""}, {"a.b.d", ""}} {
		other, collides := collidingTopic(tc.name, existing)
		if other != tc.other || collides != (tc.other != "") {
			t.Errorf("%s: %q, %v", tc.name, other, collides)
		}
	}
}
