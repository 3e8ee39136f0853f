package zk_test

import "testing"

// TestSetFeatures is a table of what a controller finds and leaves behind (KafkaController.maybeSetupFeatureVersioning), and of the epoch that clients are told then.
func TestSetFeatures(t *testing.T) {
	const (
		none     = ""
		disabled = `{"features":{},"version":1,"status":0}`
		first    = `{"features":{},"version":1,"status":1}`
		second   = `{"features":{},"version":2,"status":1}`
		promise  = `{"features":{"f":3},"version":2,"status":1}`
	)
	for _, tc := range []struct {
		name    string
		found   string
		version int32
		left    string
		epoch   int64
	}{
		{"a new cluster", none, 2, second, 0},
		{"a new cluster before 3.3", none, 1, first, 0},
		{"a new cluster before 2.7", none, 0, disabled, -1},
		{"nothing new", second, 2, second, 0},
		{"an upgrade to 2.7", disabled, 1, first, 1},
		{"an upgrade to 3.3", first, 2, second, 1},
		{"an upgrade across both", disabled, 2, second, 1},
		{"a downgrade", second, 1, first, 1},
		{"a downgrade across both", second, 0, disabled, -1},
		{"something is finalized", promise, 2, promise, 0},
		{"something is finalized, of another version", promise, 1, promise, 0},
		{"something is finalized before features are disabled", promise, 0, disabled, -1},
		{"something is finalized and disabled", `{"features":{"f":3},"version":2,"status":0}`, 2, second, 1},
		{"unreadable", "{", 2, "{", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, c := start(t)
			fence, err := c.ElectController(1)
			if err != nil {
				t.Fatal(err)
			}
			if tc.found != none {
				s.Put("/feature", []byte(tc.found))
			}
			if err := c.SetFeatures(fence, tc.version); err != nil {
				t.Fatal(err)
			}
			if data, _ := s.Get("/feature"); string(data) != tc.left {
				t.Errorf("left %s, want %s", data, tc.left)
			}
			if epoch, err := c.FeatureVersion(); epoch != tc.epoch || (err != nil) != (tc.name == "unreadable") {
				t.Errorf("epoch %d, %v; want %d", epoch, err, tc.epoch)
			}
		})
	}
}
