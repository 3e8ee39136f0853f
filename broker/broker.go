// Package broker is the server: listeners, connections, one file per API; the only room that knows two siblings at once.
package broker

import (
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
}
