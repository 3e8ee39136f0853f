package config

import (
	"slices"
	"testing"
)

// TestTables holds that defaults satisfy their own definitions, stand in the form that DescribeConfigs answers, and
// that every key is documented.
func TestTables(t *testing.T) {
	keys := make([]*Key, 0, len(brokerIndex)+len(topicIndex))
	listed := 0
	for _, key := range brokerIndex {
		keys = append(keys, key)
		if !key.Internal && key.Scope != DynamicOnly {
			listed++
		}
	}
	for _, key := range topicIndex {
		keys = append(keys, &key.Key)
		if key.server != "" && brokerIndex[key.server] == nil {
			t.Errorf("%s follows %s, which is no broker key", key.Name, key.server)
		}
	}
	if listed != 315 || len(topicIndex) != 36 {
		t.Errorf("%d broker and %d topic keys, Kafka 3.9 lists 315 and 36", listed, len(topicIndex))
	}
	for _, key := range keys {
		if key.Doc == "" {
			t.Errorf("%s is not documented", key.Name)
		}
		if key.Default == nil {
			continue
		}
		if v, err := key.parse(*key.Default); err != nil || v.text != *key.Default {
			t.Errorf("default of %s: %q, %v", key.Name, v.text, err)
		}
	}
	for family, names := range synonymFamilies {
		for _, name := range append(slices.Clone(names), family) {
			if brokerIndex[name] == nil {
				t.Errorf("synonym %s is no key", name)
			}
		}
	}
	for _, r := range refusals {
		if brokerIndex[r.name] == nil {
			t.Errorf("refused %s is no key", r.name)
		}
	}
	for _, name := range slices.Concat(storeKeys, mechanismKeys, clusterListenerKeys, threadPools, withoutEffect) {
		if brokerIndex[name] == nil {
			t.Errorf("%s is no key", name)
		}
	}
}

func TestLookups(t *testing.T) {
	if key, ok := BrokerKey("log.retention.ms"); !ok || key.Type != Long || key.Default != nil || key.Scope != ClusterWide {
		t.Errorf("log.retention.ms is %+v, %v", key, ok)
	}
	if key, ok := TopicKey("retention.ms"); !ok || key.Type != Long || *key.Default != "604800000" {
		t.Errorf("retention.ms is %+v, %v", key, ok)
	}
	if _, ok := BrokerKey("retention.ms"); ok {
		t.Error("retention.ms passes for a broker key")
	}
	if _, ok := TopicKey("log.retention.ms"); ok {
		t.Error("log.retention.ms passes for a topic key")
	}
}

func TestReleases(t *testing.T) {
	for _, test := range []struct {
		newer, older string
	}{{"3.0", "2.8"}, {"2.8", "2.8-IV0"}, {"0.11.0", "0.10.2"}, {"3.9", "3.9-IV0"}, {"3.9-IV0", "3.9"}, {"1.0", "0.11.0.3"}} {
		if !atLeastRelease(test.newer, test.older) {
			t.Errorf("%s is not at least %s", test.newer, test.older)
		}
	}
	if atLeastRelease("2.8-IV0", "2.8") || atLeastRelease("2.8", "3.0-IV0") {
		t.Error("an older release passes for a newer")
	}
	for release, want := range map[string]int{"0.8.2": 0, "0.9.0": 0, "0.10.0": 1, "0.10.2": 1, "0.11.0": 2, "1.0": 2, "3.9-IV0": 2} {
		if got := recordVersion(release); got != want {
			t.Errorf("record version of %s is %d, want %d", release, got, want)
		}
	}
}

func FuzzValue(f *testing.F) {
	for _, seed := range []string{"1", " -5 ", "+7", "1e3", "0x1p-1", ".5f", "1d", "NaN", "true", "a, b", "", "1_0", "4.9e-324", "*", "1:2,3:4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, name := range []string{"num.io.threads", "log.roll.ms", "offsets.topic.replication.factor", "log.cleaner.min.cleanable.ratio", "log.cleanup.policy",
			"auto.create.topics.enable", "inter.broker.protocol.version", "compression.gzip.level", "listeners"} {
			key := brokerIndex[name]
			v, err := key.parse(raw)
			if err != nil {
				continue
			}
			again, err := key.parse(v.text)
			if err != nil || again.text != v.text {
				t.Fatalf("%s=%q prints as %q, which reads as %q, %v", name, raw, v.text, again.text, err)
			}
		}
	})
}

// FuzzListeners holds that whatever listener settings do not fit is an error.
func FuzzListeners(f *testing.F) {
	f.Add("PLAINTEXT://:9092", "PLAINTEXT:PLAINTEXT", "h:5")
	f.Add("A://[::1]:1,B://127.0.0.1:1", "A:PLAINTEXT,B:PLAINTEXT,:", "a:b:1")
	f.Add("A://,", "A", ",")
	f.Fuzz(func(t *testing.T, listeners, protocols, perIP string) {
		s, _, err := NewStatic(map[string]string{
			"zookeeper.connect": "x", "listeners": listeners, "advertised.listeners": listeners, "listener.security.protocol.map": protocols,
			"inter.broker.listener.name": "A", "max.connections.per.ip.overrides": perIP,
		})
		if err != nil {
			return
		}
		for _, l := range s.Listeners() {
			if l.Protocol != "PLAINTEXT" || l.Name == "" && protocols == "" || l.Port < 0 {
				t.Fatalf("accepted %+v", l)
			}
		}
	})
}
