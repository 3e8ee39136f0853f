package harness

import (
	"testing"
	"time"
)

// TestExpireSession: a broker's registration goes, and it comes back in a new session, like after an expiry.
func TestExpireSession(t *testing.T) {
	b := StartBroker(t, Gregor, SharedZooKeeper(t).Chroot())
	_, before := ZooKeeperTree(t, b.Connect).Get("/brokers/ids/0")
	b.ExpireSession()
	tree := ZooKeeperTree(t, b.Connect)
	Eventually(t, 30*time.Second, func() error {
		if owner, ok := tree.owner("/brokers/ids/0"); !ok || owner == before.EphemeralOwner {
			return errNoNode
		}
		return nil
	})
}
