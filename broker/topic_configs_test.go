package broker

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"gregor/broker/config"
)

// storeOf is the configuration of a broker with the given settings, as key=value.
func storeOf(t *testing.T, settings ...string) *config.Store {
	t.Helper()
	props := map[string]string{"zookeeper.connect": "127.0.0.1:1", "broker.id": "0"}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		props[key] = value
	}
	store, _, err := config.NewStatic(props)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestLogConfig(t *testing.T) {
	store := storeOf(t, "log.retention.hours=2", "log.segment.bytes=4096", "log.cleanup.policy=compact,delete", "min.insync.replicas=2")
	got := logConfig(store, map[string]string{"segment.bytes": "8192", "message.timestamp.type": "LogAppendTime", "unclean.leader.election.enable": "TRUE"})
	if got.RetentionMs != 2*3600*1000 || got.SegmentBytes != 8192 || !got.Compact || !got.Delete || got.MinInsyncReplicas != 2 ||
		!got.LogAppendTime || !got.UncleanLeaderElectionEnable || got.CompressionType != "producer" || got.MaxMessageBytes != 1048588 {
		t.Errorf("%+v", got)
	}
	if got.TimestampBeforeMaxMs != 1<<63-1 {
		t.Errorf("timestamps before: %d", got.TimestampBeforeMaxMs)
	}
	got = logConfig(store, map[string]string{"message.timestamp.difference.max.ms": "5", "message.timestamp.after.max.ms": "7"})
	if got.TimestampBeforeMaxMs != 5 || got.TimestampAfterMaxMs != 7 {
		t.Errorf("the deprecated limit: before %d, after %d", got.TimestampBeforeMaxMs, got.TimestampAfterMaxMs)
	}
}

// TestPlainTopicFollowsBroker: topics without overrides share what they do, until the broker's configuration changes.
func TestPlainTopicFollowsBroker(t *testing.T) {
	store := storeOf(t)
	c := newTopicConfigs(store, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	c.read = func(string) (map[string]string, error) { return nil, nil }
	for _, want := range []struct {
		dynamic map[string]string
		ms      int64
	}{{nil, 7 * 24 * 3600 * 1000}, {map[string]string{"log.retention.ms": "5"}, 5}, {map[string]string{"log.retention.ms": "6"}, 6}, {nil, 7 * 24 * 3600 * 1000}} {
		if errs := store.SetDynamic(true, want.dynamic); len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, topic := range []string{"a", "b"} {
			if got := c.LogConfig(topic).RetentionMs; got != want.ms {
				t.Errorf("%s with %v keeps %d ms", topic, want.dynamic, got)
			}
		}
	}
}

func TestTopicConfigs(t *testing.T) {
	znodes, reads := map[string]map[string]string{"a": {"retention.ms": "5"}}, 0
	var failure error
	c := newTopicConfigs(storeOf(t), nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	c.read = func(topic string) (map[string]string, error) { reads++; return znodes[topic], failure }

	if got := c.LogConfig("a").RetentionMs; got != 5 {
		t.Errorf("a new topic keeps %d ms", got)
	}
	znodes["a"] = map[string]string{"retention.ms": "6"}
	if got := c.LogConfig("a").RetentionMs; got != 5 || reads != 1 {
		t.Errorf("%d ms after %d reads: not kept until it changes", got, reads)
	}
	if _, err := c.refresh("a"); err != nil || c.LogConfig("a").RetentionMs != 6 {
		t.Errorf("a change was not taken: %v", err)
	}
	znodes["a"] = map[string]string{"retention.ms": "7"}
	c.forget("a")
	if got := c.LogConfig("a").RetentionMs; got != 7 {
		t.Errorf("a topic made anew has the configuration of the old one: %d", got)
	}

	znodes["b"] = map[string]string{"retention.ms": "soon", "no.such": "x", "segment.ms": "9"}
	if got := c.LogConfig("b"); got.RetentionMs != 7*24*3600*1000 || got.SegmentMs != 9 {
		t.Errorf("overrides that no Kafka takes: %+v", got)
	}

	failure = errors.New("ZooKeeper is away")
	if got := c.LogConfig("c").RetentionMs; got != 7*24*3600*1000 {
		t.Errorf("without ZooKeeper: %d", got)
	}
	failure, znodes["c"] = nil, map[string]string{"retention.ms": "8"}
	if got := c.LogConfig("c").RetentionMs; got != 8 {
		t.Errorf("a failed read is remembered: %d", got)
	}
}
