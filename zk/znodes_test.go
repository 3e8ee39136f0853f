package zk

import (
	"reflect"
	"strings"
	"testing"

	"gregor/protocol"
)

func ptr[T any](v T) *T { return &v }

func mustTopicID(t *testing.T, s string) protocol.TopicID {
	t.Helper()
	id, err := protocol.ParseTopicID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestEncodings holds the bytes that a running Apache Kafka 3.9.2 wrote.
func TestEncodings(t *testing.T) {
	topicID := mustTopicID(t, "AUTJWVbNTWq4RFr6AX-b2g")
	for _, tc := range []struct {
		name, want string
		got        []byte
	}{
		{"broker", `{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://127.0.0.1:29093"],"rack":"r1","jmx_port":-1,"port":29093,"host":"127.0.0.1","version":5,"timestamp":"1795222683140"}`,
			EncodeBroker(Broker{Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "127.0.0.1", 29093}}, Rack: ptr("r1"), JMXPort: -1, Timestamp: 1795222683140})},
		{"broker without PLAINTEXT", `{"features":{},"listener_security_protocol_map":{"IN":"SSL"},"endpoints":["IN://[::1]:9"],"jmx_port":-1,"port":-1,"host":null,"version":5,"timestamp":"1"}`,
			EncodeBroker(Broker{Endpoints: []Endpoint{{"IN", "SSL", "::1", 9}}, JMXPort: -1, Timestamp: 1})},
		{"topic", `{"partitions":{"0":[0],"1":[0]},"topic_id":"AUTJWVbNTWq4RFr6AX-b2g","adding_replicas":{},"removing_replicas":{},"version":3}`,
			EncodeTopic(&Topic{ID: topicID, Partitions: map[int32][]int32{0: {0}, 1: {0}}})},
		{"state", `{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}`,
			EncodePartitionState(PartitionState{ControllerEpoch: 1, ISR: []int32{0}})},
		{"state with lives", `{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0,2],"isr_epochs":[25,-1]}`,
			EncodePartitionState(PartitionState{ControllerEpoch: 1, ISR: []int32{0, 2}, ISREpochs: []int64{25, -1}})},
		{"state recovering", `{"controller_epoch":7,"leader":1,"version":1,"leader_epoch":3,"isr":[1],"leader_recovery_state":1}`,
			EncodePartitionState(PartitionState{Leader: 1, LeaderEpoch: 3, ISR: []int32{1}, ControllerEpoch: 7, Recovery: 1})},
		{"controller", `{"version":2,"brokerid":0,"timestamp":"1795222683932","kraftControllerEpoch":-1}`, EncodeController(0, 1795222683932)},
		{"cluster id", `{"version":"1","id":"BcWsQR28S9WFnO3lC1RuGQ"}`, encodeClusterID("BcWsQR28S9WFnO3lC1RuGQ")},
		{"config", `{"version":1,"config":{"retention.ms":"2000"}}`, EncodeConfig(map[string]string{"retention.ms": "2000"})},
		{"no config", `{"version":1,"config":{}}`, EncodeConfig(nil)},
		{"config change", `{"version":2,"entity_path":"topics/t"}`, encodeConfigChange("topics", "t")},
		{"producer ids", `{"version":1,"broker":0,"block_start":"0","block_end":"999"}`, encodeProducerIDBlock(0, 0)},
		{"features", `{"features":{},"version":2,"status":1}`, encodeJSON(newFeatures(2))},
		{"features before 3.3", `{"features":{},"version":1,"status":1}`, encodeJSON(newFeatures(1))},
		{"features before 2.7", `{"features":{},"version":1,"status":0}`, encodeJSON(newFeatures(0))},
		{"reassignments", `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2,3]}]}`,
			EncodeReassignments([]Reassignment{{protocol.TopicPartition{Topic: "t"}, []int32{2, 3}}})},
		{"log dir event", `{"version":1,"broker":1,"event":1}`, encodeLogDirEvent(1)},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, tc.got, tc.want)
		}
	}
}

func TestDecodeBroker(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     Broker
	}{
		{"v1", `{"version":1,"host":"h","port":9092,"jmx_port":9999,"timestamp":"17"}`,
			Broker{ID: 3, Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "h", 9092}}, JMXPort: 9999, Timestamp: 17}},
		{"v3", `{"version":3,"host":null,"port":-1,"jmx_port":-1,"timestamp":"17","endpoints":["SSL://h:1"],"rack":"r"}`,
			Broker{ID: 3, Endpoints: []Endpoint{{"SSL", "SSL", "h", 1}}, Rack: ptr("r"), JMXPort: -1, Timestamp: 17}},
		{"v5", `{"version":5,"host":"h","port":1,"jmx_port":-1,"timestamp":"17","endpoints":["in://h:1","OUT://[::1]:2"],"listener_security_protocol_map":{"IN":"PLAINTEXT","OUT":"SASL_SSL"},"features":{"f":{"min_version":1,"max_version":2}},"later":[1]}`,
			Broker{ID: 3, Endpoints: []Endpoint{{"IN", "PLAINTEXT", "h", 1}, {"OUT", "SASL_SSL", "::1", 2}}, JMXPort: -1, Timestamp: 17}},
	} {
		got, err := DecodeBroker(3, []byte(tc.in))
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v", tc.name, got, err)
		}
	}
}

func TestDecodeTopic(t *testing.T) {
	old, err := DecodeTopic("t", []byte(`{"version":1,"partitions":{"1":[2,1],"0":[1,2]}}`))
	if err != nil || !old.ID.IsZero() || !reflect.DeepEqual(old.Partitions, map[int32][]int32{0: {1, 2}, 1: {2, 1}}) {
		t.Errorf("version 1: %+v, %v", old, err)
	}
	in := &Topic{Name: "t", ID: NewTopicID(), Partitions: map[int32][]int32{0: {1, 2}}, Adding: map[int32][]int32{0: {1}}, Removing: map[int32][]int32{0: {2}}}
	out, err := DecodeTopic("t", EncodeTopic(in))
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("version 3: %+v, %v", out, err)
	}
}

func TestDecodePartitionStateEpochs(t *testing.T) {
	in := PartitionState{ISR: []int32{2, 0}, ISREpochs: []int64{7, -1}}
	out, err := DecodePartitionState(protocol.TopicPartition{Topic: "t"}, EncodePartitionState(in), 0)
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v, %v", out, err)
	}
	in.ISREpochs = []int64{7}
	if out, err = DecodePartitionState(protocol.TopicPartition{Topic: "t"}, EncodePartitionState(in), 0); err != nil || out.ISREpochs != nil {
		t.Errorf("one epoch for two members: %+v, %v", out, err)
	}
}

// TestRefused names what a decoder must refuse with an error that names the znode.
func TestRefused(t *testing.T) {
	tp := protocol.TopicPartition{Topic: "t"}
	decoders := map[string]func([]byte) error{
		BrokerPath(1):               func(b []byte) error { _, err := DecodeBroker(1, b); return err },
		TopicPath("t"):              func(b []byte) error { _, err := DecodeTopic("t", b); return err },
		PartitionStatePath("t", 0):  func(b []byte) error { _, err := DecodePartitionState(tp, b, 0); return err },
		ControllerPath:              func(b []byte) error { _, err := DecodeController(b); return err },
		ControllerEpochPath:         func(b []byte) error { _, err := decodeControllerEpoch(b); return err },
		ClusterIDPath:               func(b []byte) error { _, err := DecodeClusterID(b); return err },
		ConfigChangesPath:           func(b []byte) error { _, _, err := DecodeConfigChange(b); return err },
		LogDirEventNotificationPath: func(b []byte) error { _, err := DecodeLogDirEvent(b); return err },
	}
	huge := []byte(`{"x":"` + strings.Repeat("x", maxZnode) + `"}`)
	for path, decode := range decoders {
		for _, in := range []string{"", "{", "[]", "{}", `"x"`, "null", `{"version":1}`, "\xff\xfe", string(huge)} {
			if err := decode([]byte(in)); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s accepts %.20q: %v", path, in, err)
			}
		}
	}
	for _, in := range []string{`{"endpoints":["h:1"]}`, `{"endpoints":["A://h"]}`, `{"endpoints":["A://h:99999"]}`, `{"endpoints":["A://h:1"],"listener_security_protocol_map":{}}`, `{"host":"h","port":0}`, `{"host":"h","port":1,"timestamp":{}}`} {
		if _, err := DecodeBroker(1, []byte(in)); err == nil {
			t.Errorf("broker %s is accepted", in)
		}
	}
	for _, in := range []string{`{"partitions":{"x":[1]}}`, `{"partitions":{"0":["1"]}}`, `{"partitions":{"99999999999":[1]}}`, `{"partitions":{},"topic_id":"short"}`, `{"partitions":[]}`} {
		if _, err := DecodeTopic("t", []byte(in)); err == nil {
			t.Errorf("topic %s is accepted", in)
		}
	}
	if _, err := nextBlockStart([]byte(`{"version":1,"broker":0,"block_start":"0","block_end":"9223372036854775807"}`)); err == nil {
		t.Error("producer ids overflow")
	}
}

func FuzzZnodes(f *testing.F) {
	f.Add(EncodeBroker(Broker{Endpoints: []Endpoint{{"A", "PLAINTEXT", "h", 1}}, Rack: ptr("r")}))
	f.Add(EncodeTopic(&Topic{ID: NewTopicID(), Partitions: map[int32][]int32{0: {1}}, Adding: map[int32][]int32{0: {1}}}))
	f.Add(EncodePartitionState(PartitionState{ISR: []int32{1}, Recovery: 1}))
	f.Add(EncodeController(1, 2))
	f.Add([]byte("17"))
	f.Add(encodeClusterID("x"))
	f.Add(EncodeConfig(map[string]string{"a": "b"}))
	f.Add(encodeConfigChange("users", "u/clients/c"))
	f.Add([]byte(`{"version":1,"entity_type":"topics","entity_name":"t"}`))
	f.Add(EncodeReassignments([]Reassignment{{protocol.TopicPartition{Topic: "t"}, []int32{1}}}))
	f.Add(encodeLogDirEvent(1))
	f.Add(encodeProducerIDBlock(1, 1000))
	f.Add([]byte(`{"host":"h","port":1}`))
	tp := protocol.TopicPartition{Topic: "t", Partition: 1}
	f.Fuzz(func(t *testing.T, data []byte) {
		// What was read is written so that it is read the same.
		if b, err := DecodeBroker(1, data); err == nil {
			again, err := DecodeBroker(1, EncodeBroker(b))
			if err != nil || len(again.Endpoints) != len(b.Endpoints) {
				t.Errorf("%+v is read back as %+v, %v", b, again, err)
			}
		}
		if tt, err := DecodeTopic("t", data); err == nil {
			if again, err := DecodeTopic("t", EncodeTopic(tt)); err != nil || again.ID != tt.ID || len(again.Partitions) != len(tt.Partitions) {
				t.Errorf("%+v is read back as %+v, %v", tt, again, err)
			}
		}
		if st, err := DecodePartitionState(tp, data, 5); err == nil {
			if again, err := DecodePartitionState(tp, EncodePartitionState(st), 5); err != nil || !again.SameLeaderAndISR(st) {
				t.Errorf("%+v is read back as %+v, %v", st, again, err)
			}
		}
		if start, err := nextBlockStart(data); err == nil && start < 0 {
			t.Errorf("a block begins at %d", start)
		}
		DecodeController(data)
		decodeControllerEpoch(data)
		DecodeClusterID(data)
		DecodeConfig("topics", "t", data)
		DecodeConfigChange(data)
		DecodeReassignments(data)
		DecodePartitions(PreferredReplicaElectionPath, data)
		DecodeLogDirEvent(data)
	})
}

func TestParseConnect(t *testing.T) {
	servers, chroot, err := ParseConnect("a, b:1,[::1]:2,/x/y/")
	if err != nil || chroot != "/x/y" || !reflect.DeepEqual(servers, []string{"a:2181", "b:1", "[::1]:2"}) {
		t.Errorf("%v %q %v", servers, chroot, err)
	}
	for _, bad := range []string{"", "/x", "a:b", "a:0", "a:70000", "a:1//x"} {
		if _, _, err := ParseConnect(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	h := &hostProvider{}
	h.Init([]string{"a", "b"})
	var got []string
	for range 5 {
		s, pause := h.Next()
		if pause {
			s += "!"
		}
		got = append(got, s)
	}
	if want := []string{"a", "b", "a!", "b", "a!"}; !reflect.DeepEqual(got, want) {
		t.Errorf("hosts in turn: %v, want %v", got, want)
	}
}
