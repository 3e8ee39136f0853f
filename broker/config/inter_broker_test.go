package config

import "testing"

// TestInterBrokerVersions holds the versions against what Kafka's MetadataVersion names for some releases.
func TestInterBrokerVersions(t *testing.T) {
	keys := []int16{1, 2, 4, 5, 6, 7, 23}
	for release, want := range map[string][]int16{
		"3.9":     {17, 9, 7, 4, 8, 3, 4},
		"3.3":     {13, 7, 6, 3, 7, 3, 4},
		"2.8-IV0": {12, 6, 4, 3, 6, 3, 4},
		"2.8":     {12, 6, 5, 3, 7, 3, 4},
		"2.4-IV0": {11, 5, 3, 1, 5, 2, 3},
		"2.3.1":   {11, 5, 2, 1, 5, 2, 3},
		"2.0":     {8, 3, 1, 0, 4, 1, 1},
		"0.11.0":  {5, 2, 0, 0, 3, 1, 0},
	} {
		s, _, err := NewStatic(map[string]string{"zookeeper.connect": "x:1", "inter.broker.protocol.version": release})
		if err != nil {
			t.Fatalf("%s: %v", release, err)
		}
		for i, key := range keys {
			if got := s.InterBrokerVersion(key); got != want[i] {
				t.Errorf("%s: API key %d goes out in version %d, want %d", release, key, got, want[i])
			}
		}
	}
}

func TestControlPlaneListener(t *testing.T) {
	props := map[string]string{"zookeeper.connect": "x:1", "listeners": "PLAINTEXT://:0,Ctl://:1", "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CTL:PLAINTEXT"}
	for name, want := range map[string]string{"": "PLAINTEXT", "ctl": "CTL"} {
		if name != "" {
			props["control.plane.listener.name"] = name
		}
		s, _, err := NewStatic(props)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ControlPlaneListener(); got != want {
			t.Errorf("control.plane.listener.name %q: %s, want %s", name, got, want)
		}
		delete(props, "control.plane.listener.name")
	}
}
