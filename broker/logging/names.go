package logging

import "strings"

// BrokerLoggers are the loggers that an Apache Kafka 3.9 broker on ZooKeeper has once it has started, and those that its log4j.properties names. Tools and
// runbooks set their levels by name, so they exist here from the start, too, also those under which gregor has nothing
// to say.
var BrokerLoggers = strings.Fields(`
	kafka kafka.controller org.apache.kafka org.apache.zookeeper
	kafka.authorizer.logger kafka.cluster.Partition kafka.common.ZkNodeChangeNotificationListener
	kafka.controller.ControllerChannelManager kafka.controller.KafkaController kafka.controller.RequestSendThread
	kafka.controller.TopicDeletionManager kafka.controller.ZkPartitionStateMachine kafka.controller.ZkReplicaStateMachine
	kafka.coordinator.group.GroupCoordinator kafka.coordinator.group.GroupMetadataManager
	kafka.coordinator.transaction.TransactionCoordinator kafka.coordinator.transaction.TransactionMarkerChannelManager
	kafka.log.LogCleaner kafka.log.LogManager kafka.log.UnifiedLog
	kafka.network.ConnectionQuotas kafka.network.DataPlaneAcceptor kafka.network.Processor kafka.network.RequestChannel$ kafka.network.SocketServer
	kafka.request.logger kafka.server.ConfigAdminManager kafka.server.DynamicBrokerConfig kafka.server.FinalizedFeatureChangeListener
	kafka.server.KafkaApis kafka.server.KafkaConfig kafka.server.KafkaRequestHandler kafka.server.KafkaRequestHandlerPool kafka.server.KafkaServer
	kafka.server.NodeToControllerRequestThread kafka.server.ReplicaFetcherManager kafka.server.ReplicaManager
	kafka.server.TopicConfigHandler kafka.server.ZkAdminManager kafka.server.ZkConfigManager kafka.server.metadata.ZkMetadataCache
	kafka.zk.AdminZkClient kafka.zk.KafkaZkClient kafka.zookeeper.ZooKeeperClient state.change.logger`)

// Declare makes loggers exist, so that Levels lists them and SetLevel knows them.
func (r *Registry) Declare(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.loggerLocked(name)
	}
}
