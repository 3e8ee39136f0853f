package broker

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

func TestConfigChangeApply(t *testing.T) {
	keys := func(name string) (configKey, bool) {
		k, ok := map[string]configKey{"list": {list: true, fallback: "x"}, "number": {}}[name]
		return k, ok
	}
	const set, del, app, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, tc := range []struct {
		name, key, before string
		op                kmsg.IncrementalAlterConfigOp
		value, after      string
		err               protocol.ErrorCode
	}{
		{"set", "number", "1", set, "2", "2", protocol.None},
		{"set what nobody knows", "other", "", set, "2", "2", protocol.None},
		{"delete", "number", "1", del, "", "", protocol.None},
		{"append to the default", "list", "", app, "y", "x,y", protocol.None},
		{"append what is there", "list", "a,b", app, "b,c,c", "a,b,c", protocol.None},
		{"subtract", "list", "a,b,c", sub, "b,z", "a,c", protocol.None},
		{"append to a number", "number", "1", app, "2", "1", protocol.InvalidConfig},
		{"append to an unknown", "other", "1", app, "2", "1", protocol.UnknownServerError},
		{"unknown operation", "number", "1", 9, "2", "1", protocol.UnknownServerError},
	} {
		values := map[string]string{}
		if tc.before != "" {
			values[tc.key] = tc.before
		}
		c := configChange{name: tc.key, op: tc.op, value: &tc.value}
		err := c.apply(values, keys)
		if values[tc.key] != tc.after || errorCode(err) != tc.err {
			t.Errorf("%s: %q, %v", tc.name, values[tc.key], err)
		}
	}
}

func TestCheckConfigChanges(t *testing.T) {
	value := "v"
	for _, tc := range []struct {
		name    string
		changes []configChange
		ok      bool
	}{
		{"fine", []configChange{{name: "a", value: &value}, {name: "b", op: kmsg.IncrementalAlterConfigOpDelete}}, true},
		{"twice", []configChange{{name: "a", value: &value}, {name: "a", op: kmsg.IncrementalAlterConfigOpDelete}}, false},
		{"null", []configChange{{name: "a"}}, false},
	} {
		if err := checkConfigChanges(tc.changes); (err == nil) != tc.ok || err != nil && !errors.Is(err, protocol.InvalidRequest) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
