package broker

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/replication/controller"
)

// noZooKeeper is the session of a controller that never starts.
type noZooKeeper struct{ controller.ZooKeeper }

func (noZooKeeper) OnExpired(func()) {}

// TestControlledShutdownWithoutController: while there is no controller a broker asks again, as often as it may, because in a rolling restart there will be
// one in a moment; a broker that is alone has nobody to hand over to.
func TestControlledShutdownWithoutController(t *testing.T) {
	for name, tc := range map[string]struct {
		brokers  []int32
		takes    time.Duration
		attempts int
	}{
		"alone":      {[]int32{1}, 0, 1},
		"in company": {[]int32{1, 2}, 10 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, _, err := config.NewStatic(map[string]string{"zookeeper.connect": "nowhere:1"})
				if err != nil {
					t.Fatal(err)
				}
				log := &logText{}
				b := &Broker{id: 1, config: cfg, logging: logging.New(log, slog.LevelInfo), metadata: newMetadataCache()}
				b.controller = controller.New(controller.Config{BrokerID: 1, Logger: b.logging.Logger}, noZooKeeper{})
				update := kmsg.NewPtrUpdateMetadataRequest()
				for _, id := range tc.brokers {
					live := kmsg.NewUpdateMetadataRequestLiveBroker()
					live.ID = id
					update.LiveBrokers = append(update.LiveBrokers, live)
				}
				b.metadata.Update(update)
				started := time.Now()
				b.controlledShutdown()
				if took := time.Since(started); took != tc.takes {
					t.Errorf("it took %v, want %v", took, tc.takes)
				}
				if n := strings.Count(log.String(), "No controller"); n != tc.attempts {
					t.Errorf("%d attempts, want %d:\n%s", n, tc.attempts, log)
				}
			})
		})
	}
}
