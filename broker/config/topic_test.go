package config

import (
	"errors"
	"slices"
	"testing"
)

func TestTopicValue(t *testing.T) {
	s := newStore(t, "log.retention.hours=-1", "log.roll.hours=2", "log.roll.jitter.hours=1", "log.flush.scheduler.interval.ms=77",
		"log.message.timestamp.difference.max.ms=600", "log.message.timestamp.after.max.ms=30", "min.insync.replicas=2", "compression.type=zstd")
	for _, test := range []struct {
		overrides map[string]string
		key, want string
	}{
		{nil, "retention.ms", "-1"},
		{nil, "segment.ms", "7200000"},
		{nil, "segment.jitter.ms", "3600000"},
		{nil, "flush.ms", "77"},
		{nil, "min.insync.replicas", "2"},
		{nil, "compression.type", "zstd"},
		{nil, "remote.storage.enable", "false"},
		{nil, "cleanup.policy", "delete"},
		{map[string]string{"retention.ms": " 5 "}, "retention.ms", "5"},
		{map[string]string{"retention.ms": "garbage"}, "retention.ms", "-1"},
		{map[string]string{"cleanup.policy": "compact , delete"}, "cleanup.policy", "compact,delete"},
		// KIP-937: the older limit counts where the newer one has its default.
		{nil, "message.timestamp.before.max.ms", "600"},
		{nil, "message.timestamp.after.max.ms", "30"},
		{map[string]string{"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.difference.max.ms": "8"}, "message.timestamp.before.max.ms", "8"},
		{map[string]string{"message.timestamp.after.max.ms": "9"}, "message.timestamp.after.max.ms", "9"},
	} {
		if got := s.TopicValue(test.overrides, test.key); got != test.want {
			t.Errorf("%s with %v is %s, want %s", test.key, test.overrides, got, test.want)
		}
	}
}

func TestDescribeTopicWithStrangers(t *testing.T) {
	s := newStore(t)
	entries := s.DescribeTopic(map[string]string{"my.tag": "x", "retention.ms": "garbage"})
	if len(entries) != 37 {
		t.Fatalf("%d entries", len(entries))
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == "my.tag" })
	if i < 0 || entries[i].Value != nil || !entries[i].Sensitive || entries[i].Source != SourceTopic || entries[i].Type != Unknown {
		t.Errorf("a key that nobody knows: %+v", entries[i])
	}
	i = slices.IndexFunc(entries, func(e Entry) bool { return e.Name == "retention.ms" })
	if *entries[i].Value != "604800000" {
		t.Errorf("a value that does not parse shows as %s", *entries[i].Value)
	}
}

func TestTopicErrors(t *testing.T) {
	var unknown *UnknownTopicKeyError
	var conflict *ConflictError
	var invalid *InvalidValueError
	if err := ValidateTopic(map[string]string{"x": "1", "retention.ms": "y"}); !errors.As(err, &unknown) || unknown.Name != "x" {
		t.Error(err)
	}
	if err := ValidateTopic(map[string]string{"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "1"}); !errors.As(err, &conflict) {
		t.Error(err)
	}
	if err := ValidateTopic(map[string]string{"retention.ms": "y"}); !errors.As(err, &invalid) || invalid.Name != "retention.ms" || invalid.Value != "y" {
		t.Error(err)
	}
	if err := ValidateTopic(map[string]string{"remote.storage.enable": "true"}); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if err := ValidateTopic(nil); err != nil {
		t.Error(err)
	}
}
