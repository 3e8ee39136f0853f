package zk

import "testing"

// TestEncodeOldBroker: the form in which a running Apache Kafka 3.9.2 with inter.broker.protocol.version=2.0 registers.
func TestEncodeOldBroker(t *testing.T) {
	const want = `{"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://127.0.0.1:29093"],"jmx_port":-1,"port":29093,"host":"127.0.0.1","version":4,"timestamp":"1795222683140"}`
	got := EncodeBroker(Broker{Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "127.0.0.1", 29093}}, JMXPort: -1, Timestamp: 1795222683140, Old: true})
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
