// Package broker is the server: listeners, connections, one file per API; the only room that knows two siblings at once.
package broker

import (
	"context"
	"sync"
	"sync/atomic"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/coordinator/group"
	"gregor/replication"
	"gregor/replication/controller"
	"gregor/storage"
	"gregor/zk"
)

// Broker is one running broker.
type Broker struct {
	id         int32
	clusterID  string
	config     *config.Store
	logging    *logging.Registry
	zk         *zk.Client
	logs       *storage.Manager
	replicas   *replication.Manager
	controller *controller.Controller
	groups     *group.Coordinator
	metadata   *MetadataCache

	topicConfigs *TopicConfigs
	producerIDs  *producerIDs
	sessions     *fetchSessions
	leaderQuota  *replicationQuota
	vigil        *vigil

	listening struct {
		sync.Mutex
		all []*listener
	}
	limits         *connectionLimits
	memory         *memoryPool // queued.max.request.bytes
	maxRequestSize int32       // socket.request.max.bytes
	maxQueued      int         // queued.max.requests, per connection
	fetchMaxBytes  int32       // fetch.max.bytes
	rackAware      bool        // replica.selector.class names the RackAwareReplicaSelector

	epoch        atomic.Int64 // broker epoch: czxid of the registration in force
	featureEpoch atomic.Int64 // data version of /feature, -1 when there is none

	ctx    context.Context // ends when the broker stops serving
	cancel context.CancelFunc
	failed chan error // gets the reason when the broker cannot go on

	dirFailures chan dirFailure // room for every log directory, each of which fails once at most
	workers     sync.WaitGroup
	stop        sync.Once
}

// Failed delivers the reason when the broker cannot go on, such as that no log directory is left.
func (b *Broker) Failed() <-chan error { return b.failed }

// fail reports a reason to stop; the first one counts.
func (b *Broker) fail(err error) {
	select {
	case b.failed <- err:
	default:
	}
}

// socketSize is a size of a socket's buffer or backlog that somebody chose. -1 leaves it to the operating system; so does the default, which the server.properties
// that Kafka ships repeats.
func (b *Broker) socketSize(key string) (int, bool) {
	n := b.config.Int(key)
	return n, n > 0 && !b.config.AtDefault(key)
}
