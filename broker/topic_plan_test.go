package broker

import (
	"errors"
	"testing"

	"gregor/protocol"
)

func TestCheckManualAssignment(t *testing.T) {
	for _, tc := range []struct {
		name       string
		assignment map[int32][]int32
		ok         bool
	}{
		{"one", map[int32][]int32{0: {1}}, true},
		{"without a replica", map[int32][]int32{0: {}}, true},
		{"unknown brokers", map[int32][]int32{0: {7, -1}, 1: {8, 9}}, true},
		{"gap", map[int32][]int32{0: {1}, 2: {1}}, false},
		{"not from 0", map[int32][]int32{1: {1}}, false},
		{"uneven", map[int32][]int32{0: {1}, 1: {1, 2}}, false},
		{"twice on a broker", map[int32][]int32{0: {1, 1}}, false},
		{"partition -1 alone", map[int32][]int32{-1: {1}}, true}, // fails later, with UNKNOWN_SERVER_ERROR
		{"partition -1 counts", map[int32][]int32{-1: {1}, 0: {1}}, false},
	} {
		err := checkManualAssignment(tc.assignment)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, protocol.InvalidReplicaAssignment) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
