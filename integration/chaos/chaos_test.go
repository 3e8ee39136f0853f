package chaos

import (
	"os"
	"testing"
)

// TestFaults plays every fault, -chaos.count times, on one cluster; after a round that went wrong the next one gets a new cluster.
func TestFaults(t *testing.T) {
	s := sharedSite(t)
	dir := histories(t, s)
	var c *cluster
	for n := range *count {
		for _, p := range plans {
			if !selected(p.name) {
				continue
			}
			if c == nil {
				c = s.newCluster(t)
			}
			t.Run(p.name, func(t *testing.T) {
				anomalies, err := c.play(t, dir, *firstSeed+uint64(n), p)
				if err != nil {
					t.Error(err)
				}
				for _, a := range anomalies {
					t.Error(a)
				}
				if t.Failed() {
					c.abandon()
					c = nil
				}
			})
		}
	}
}

// histories is the folder for them.
func histories(t *testing.T, s *site) string {
	t.Helper()
	if *keep == "" {
		return s.dir
	}
	if err := os.MkdirAll(*keep, 0o755); err != nil {
		t.Fatal(err)
	}
	return *keep
}
