package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gregor/broker/config"
	"gregor/broker/logging"
	"gregor/coordinator/group"
	"gregor/protocol"
	"gregor/protocol/record"
	"gregor/replication"
	"gregor/replication/controller"
	"gregor/storage"
	"gregor/zk"
)

// Start brings a broker up and returns when all listeners serve requests and the cluster is known. Requests are served before the first election is over, because a new
// controller of many partitions has much to read: who asks meanwhile finds a broker that does not know the cluster yet. On an error, also when ctx ends meanwhile,
// everything that was started is stopped again. Once Start has returned, ctx has no meaning any more.
func Start(ctx context.Context, cfg *config.Store, logs *logging.Registry) (*Broker, error) {
	b := &Broker{
		config: cfg, logging: logs, metadata: newMetadataCache(), failed: make(chan error, 1), dirFailures: make(chan dirFailure, len(cfg.LogDirs())),
		memory:         newMemoryPool(cfg.Long("queued.max.request.bytes")),
		maxRequestSize: int32(cfg.Int("socket.request.max.bytes")),
		maxQueued:      cfg.Int("queued.max.requests"),
		fetchMaxBytes:  int32(cfg.Int("fetch.max.bytes")),
		rackAware:      isRackAware(cfg.String("replica.selector.class")),
		sessions:       newFetchSessions(cfg.Int("max.incremental.fetch.session.cache.slots")),
		vigil:          newVigil(),
	}
	b.epoch.Store(-1)
	b.featureEpoch.Store(-1)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	interruptible := context.AfterFunc(ctx, b.cancel)
	b.limits = newConnectionLimits(cfg, cfg.InterBrokerListener(), b.bound)
	for _, step := range []func() error{
		b.connectZooKeeper, b.openLogs, b.startConfigs, b.loadLogs, b.bindListeners, b.startReplicas, b.startGroups, b.register, b.writeIdentity,
		b.makeController, b.follow, b.serve, b.startController,
	} {
		err := step()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			b.abort()
			return nil, err
		}
	}
	if !interruptible() {
		b.abort()
		return nil, ctx.Err()
	}
	b.awaitMetadata()
	b.log("kafka.server.KafkaServer", fmt.Sprintf("[KafkaServer id=%d] started", b.id))
	return b, nil
}

// serve begins to answer requests.
func (b *Broker) serve() error {
	b.workers.Go(func() { b.vigil.run(b.ctx) })
	for _, ln := range b.bound() {
		ln.start()
	}
	return nil
}

// awaitMetadata lets the controller's first UpdateMetadata come in, so that who waits for the line "started" finds a broker that knows its cluster: a topic
// created before that would find no broker alive. A cluster that has no controller just now holds the start up for a few seconds only.
func (b *Broker) awaitMetadata() {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	b.metadata.Await(ctx, func() bool { return slices.Contains(b.metadata.AliveBrokers(), b.id) })
}

func (b *Broker) log(logger, message string) { b.logging.Logger(logger).Info(message) }

func (b *Broker) connectZooKeeper() error {
	timeout := b.config.Int("zookeeper.session.timeout.ms")
	connect := timeout
	if b.config.IsSet("zookeeper.connection.timeout.ms") {
		connect = b.config.Int("zookeeper.connection.timeout.ms")
	}
	b.log("kafka.server.KafkaServer", "Connecting to zookeeper on "+b.config.String("zookeeper.connect"))
	var err error
	b.zk, err = zk.Connect(b.ctx, zk.Config{
		Connect:           b.config.String("zookeeper.connect"),
		SessionTimeout:    time.Duration(timeout) * time.Millisecond,
		ConnectionTimeout: time.Duration(connect) * time.Millisecond,
		MaxInFlight:       b.config.Int("zookeeper.max.in.flight.requests"),
		Logger:            b.logging.Logger,
	})
	if err != nil {
		return err
	}
	if err := b.zk.CreatePersistentPaths(); err != nil {
		return err
	}
	if b.clusterID, err = b.zk.ClusterID(); err != nil {
		return err
	}
	b.log("kafka.server.KafkaServer", "Cluster ID = "+b.clusterID)
	return nil
}

// openLogs locks the log directories and settles who we are with meta.properties.
func (b *Broker) openLogs() error {
	ms := func(key string) time.Duration { return time.Duration(b.config.Long(key)) * time.Millisecond }
	var err error
	b.logs, err = storage.Open(storage.ManagerConfig{
		Dirs:                       b.config.LogDirs(),
		Logger:                     b.logging.Logger,
		Clock:                      time.Now,
		TopicConfig:                func(topic string) storage.LogConfig { return b.topicConfigs.LogConfig(topic) },
		RetentionCheckInterval:     ms("log.retention.check.interval.ms"),
		FlushOffsetCheckpoint:      ms("log.flush.offset.checkpoint.interval.ms"),
		FlushStartOffsetCheckpoint: ms("log.flush.start.offset.checkpoint.interval.ms"),
		HighWatermarkCheckpoint:    ms("replica.high.watermark.checkpoint.interval.ms"),
		FlushSchedulerInterval:     ms("log.flush.scheduler.interval.ms"),
		RecoveryThreadsPerDir:      b.config.Int("num.recovery.threads.per.data.dir"),
		ProducerIDExpirationMs:     func() int64 { return b.config.Long("producer.id.expiration.ms") },
		OnDirFailure:               func(dir string, err error) { b.dirFailures <- dirFailure{dir, err} },
		OnManySyncs:                addSyncingProcessors,
	})
	if err != nil {
		return err
	}
	return b.settleIdentity()
}

// settleIdentity finds the broker id, and checks it and the cluster's id against every meta.properties.
func (b *Broker) settleIdentity() error {
	configured, stored, storedIn := int32(b.config.Int("broker.id")), int32(-1), ""
	for dir, meta := range b.logs.Meta() {
		if !meta.Present {
			continue
		}
		if meta.ClusterID != "" && meta.ClusterID != b.clusterID {
			return fmt.Errorf("the cluster id %s in ZooKeeper (/cluster/id) doesn't match the stored cluster id %s in %s/meta.properties: "+
				"the broker is trying to join the wrong cluster, configured by zookeeper.connect=%s", b.clusterID, meta.ClusterID, dir, b.config.String("zookeeper.connect"))
		}
		if meta.BrokerID < 0 {
			continue
		}
		if stored >= 0 && stored != meta.BrokerID {
			return fmt.Errorf("broker.id %d in %s/meta.properties differs from %d in %s/meta.properties: the directories belong to two brokers", meta.BrokerID, dir, stored, storedIn)
		}
		stored, storedIn = meta.BrokerID, dir
	}
	switch {
	case configured >= 0 && stored >= 0 && configured != stored:
		return fmt.Errorf("configured broker.id %d doesn't match stored broker.id %d in %s/meta.properties: "+
			"if you moved your data, make sure your configured broker.id matches; to make a new broker, use empty log directories", configured, stored, storedIn)
	case configured >= 0:
		b.id = configured
	case stored >= 0:
		b.id = stored
	case b.config.Bool("broker.id.generation.enable"):
		id, err := b.zk.GenerateBrokerID(int32(b.config.Int("reserved.broker.max.id")))
		if err != nil {
			return fmt.Errorf("generating a broker id: %w", err)
		}
		b.id = id
	default:
		return fmt.Errorf("broker.id is not set and broker.id.generation.enable is false")
	}
	return nil
}

func (b *Broker) bindListeners() error {
	for _, l := range b.config.Listeners() {
		if _, err := b.listen(l); err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) startReplicas() error {
	b.leaderQuota = b.newReplicationQuota("leader")
	b.replicas = replication.NewManager(replication.Config{
		BrokerID: b.id, BrokerEpoch: b.epoch.Load, Logs: replication.OnDisk(b.logs), Logger: b.logging.Logger,
		Clock: time.Now, ReplicaLagTimeMax: b.replicaLagTimeMax(), Alive: b.metadata.Alive,
		OnLeader: func(tp protocol.TopicPartition, epoch int32) {
			if tp.Topic == groupMetadataTopic {
				b.groups.Elected(tp.Partition, epoch)
			}
		},
		OnFollower: func(tp protocol.TopicPartition, epoch int32) {
			if tp.Topic == groupMetadataTopic {
				b.groups.Resigned(tp.Partition, epoch)
			}
		},
		Follow: b.followConfig(), RunFetcher: b.fetchOverNetwork().Run, Move: b.moveConfig(),
	})
	b.workers.Go(b.handleDirFailures)
	b.startISRUpdates()
	return nil
}

func (b *Broker) startGroups() error {
	c := b.config
	log, err := newGroupLog(b)
	if err != nil {
		return fmt.Errorf("reading the partitions of %s: %w", groupMetadataTopic, err)
	}
	b.groups = group.New(group.Config{
		BrokerID:                        b.id,
		MinSessionTimeoutMs:             int32(c.Int("group.min.session.timeout.ms")),
		MaxSessionTimeoutMs:             int32(c.Int("group.max.session.timeout.ms")),
		InitialRebalanceDelayMs:         int32(c.Int("group.initial.rebalance.delay.ms")),
		MaxSize:                         int32(c.Int("group.max.size")),
		OffsetMetadataMaxBytes:          int32(c.Int("offset.metadata.max.bytes")),
		OffsetsRetentionMs:              int64(c.Int("offsets.retention.minutes")) * 60_000,
		OffsetsRetentionCheckIntervalMs: c.Long("offsets.retention.check.interval.ms"),
		OffsetCommitTimeoutMs:           int32(c.Int("offsets.commit.timeout.ms")),
		OffsetsTopicCodec:               record.Codec(c.Int("offsets.topic.compression.codec")),
		Clock:                           time.Now,
		Logger:                          b.logging.Logger,
		OffsetValueVersion:              offsetValueVersion(c),
		GroupValueVersion:               groupValueVersion(c),
	}, log)
	b.groups.Start()
	b.producerIDs = newProducerIDs(b)
	return nil
}

// registration is what stands in /brokers/ids/N: the advertised listeners, with the bound port where none was given.
func (b *Broker) registration() zk.Broker {
	r := zk.Broker{ID: b.id, JMXPort: -1, Timestamp: time.Now().UnixMilli(), Old: !b.config.ProtocolAtLeast("2.7-IV0")}
	if rack := b.config.String("broker.rack"); rack != "" {
		r.Rack = &rack
	}
	for _, l := range b.config.AdvertisedListeners() {
		port := l.Port
		for _, ln := range b.bound() {
			if ln.name == l.Name && port == 0 {
				port = ln.port()
			}
		}
		r.Endpoints = append(r.Endpoints, zk.Endpoint{Listener: l.Name, Protocol: l.Protocol, Host: l.Host, Port: port})
	}
	return r
}

// register makes the ephemeral /brokers/ids/N, whose czxid is the broker epoch (KIP-380).
func (b *Broker) register() error {
	epoch, err := b.zk.RegisterBroker(b.registration())
	if err != nil {
		return err
	}
	b.epoch.Store(epoch)
	return nil
}

// writeIdentity writes meta.properties where it is missing. That comes after the registration, so that a start that fails leaves new directories to
// whom they belong.
func (b *Broker) writeIdentity() error {
	return b.logs.WriteMeta(storage.MetaProperties{ClusterID: b.clusterID, BrokerID: b.id, Present: true})
}

func (b *Broker) makeController() error {
	c := b.config
	b.controller = controller.New(controller.Config{
		BrokerID:             b.id,
		BrokerEpoch:          b.epoch.Load,
		InterBrokerListener:  c.InterBrokerListener(),
		ControlPlaneListener: c.ControlPlaneListener(),
		Protocol: controller.Protocol{
			LeaderAndISR: c.InterBrokerVersion(keyLeaderAndISR), UpdateMetadata: c.InterBrokerVersion(keyUpdateMetadata), StopReplica: c.InterBrokerVersion(keyStopReplica),
			Features: featuresVersion(c), TopicIDs: c.ProtocolAtLeast("2.8-IV0"), LeaderRecovery: c.ProtocolAtLeast("3.2-IV0"),
		},
		DeleteTopicEnable:     func() bool { return c.Bool("delete.topic.enable") },
		AutoLeaderRebalance:   c.Bool("auto.leader.rebalance.enable"),
		ImbalancePercent:      c.Int("leader.imbalance.per.broker.percentage"),
		ImbalanceCheckSeconds: int(c.Long("leader.imbalance.check.interval.seconds")),
		SocketTimeoutMs:       c.Int("controller.socket.timeout.ms"),
		UncleanLeaderElection: func(topic string) bool { return b.topicConfigs.LogConfig(topic).UncleanLeaderElectionEnable },
		TopicIDHint:           b.topicIDHint,
		Logger:                b.logging.Logger,
	}, b.zk)
	return nil
}

// featuresVersion is the version of /feature that inter.broker.protocol.version asks for.
func featuresVersion(c *config.Store) int32 {
	switch {
	case c.ProtocolAtLeast("3.3-IV0"):
		return 2
	case c.ProtocolAtLeast("2.7-IV0"):
		return 1
	}
	return 0
}

// startController returns when the first election is over, and the term has begun if this broker has won it.
func (b *Broker) startController() error {
	err := b.controller.Start()
	b.refreshFeatures() // a new cluster has them since then
	return err
}

// topicIDHint is the id that this broker's logs know a topic by.
func (b *Broker) topicIDHint(topic string) (protocol.TopicID, bool) {
	for _, l := range b.logs.Logs() {
		if l.TopicPartition().Topic == topic && !l.TopicID().IsZero() {
			return l.TopicID(), true
		}
	}
	return protocol.TopicID{}, false
}

// follow begins to react to what changes outside: configuration, sessions, features.
func (b *Broker) follow() error {
	b.config.OnChange(b.reconfigure)
	if err := b.watchConfigs(b.ctx); err != nil {
		return err
	}
	if err := b.followFeatures(); err != nil {
		return err
	}
	b.zk.OnSession(func() {
		switch err := b.register(); {
		case errors.Is(err, zk.ErrSessionExpired), errors.Is(err, zk.ErrClosed):
			return // this runs again with the next session, or the broker is stopping
		case err != nil:
			b.logging.Logger("kafka.server.KafkaServer").Error("Cannot register again after the ZooKeeper session was replaced: " + err.Error())
			b.fail(err)
			return
		}
		b.controller.Reregistered()
	})
	return nil
}

// followFeatures reads /feature again whenever it changes, until the broker stops.
func (b *Broker) followFeatures() error {
	changed := make(chan struct{}, 1)
	if _, err := b.zk.Watch(zk.FeaturePath, zk.WatchData, func() {
		select {
		case changed <- struct{}{}:
		default: // it is going to be read anyway
		}
	}); err != nil {
		return err
	}
	b.workers.Go(func() {
		for {
			select {
			case <-changed:
				b.refreshFeatures()
			case <-b.ctx.Done():
				return
			}
		}
	})
	return nil
}

// refreshFeatures takes over what the controller says of features, unless inter.broker.protocol.version is too old to know of them.
func (b *Broker) refreshFeatures() {
	if featuresVersion(b.config) == 0 {
		return
	}
	v, err := b.zk.FeatureVersion()
	if err != nil {
		b.logging.Logger("kafka.server.FinalizedFeatureChangeListener").Warn("Cannot read /feature: " + err.Error())
		return
	}
	b.featureEpoch.Store(v)
}
