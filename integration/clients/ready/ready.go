// Package ready starts the broker that a client's test talks to.
package ready

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"gregor/integration/harness"
)

// Broker brings a broker up that only this test uses. It returns when topics can be made: a broker accepts connections a moment before its
// controller counts it among those that can hold replicas.
func Broker(t *testing.T) *harness.Broker {
	t.Helper()
	b := harness.StartBroker(t, harness.DefaultKind(), harness.SharedZooKeeper(t).Chroot())
	client := b.Client()
	defer client.Close()
	harness.Eventually(t, 30*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "ready")
		return err
	})
	return b
}
