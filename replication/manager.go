// Package replication holds this broker's replicas: who leads, the ISR, the high watermark, and what the controller said last.
package replication

import (
	"log/slog"
	"sync"
	"time"

	"gregor/protocol"
)

// Config of a Manager.
type Config struct {
	BrokerID    int32
	BrokerEpoch func() int64 // czxid of our registration in force (KIP-380)
	Logs        Logs
	Logger      func(name string) *slog.Logger
	Clock       func() time.Time // nil: time.Now

	ReplicaLagTimeMax time.Duration           // replica.lag.time.max.ms: how long a follower may be behind before it leaves the ISR
	Alive             func(broker int32) bool // whether the cluster's metadata has the broker; nil: every broker is alive

	// OnLeader and OnFollower are told, in order and without a lock of the partition held, when this broker becomes leader of a partition (also
	// in a new leader epoch) or stops being it; leaderEpoch -1 says that the partition is gone.
	OnLeader   func(tp protocol.TopicPartition, leaderEpoch int32)
	OnFollower func(tp protocol.TopicPartition, leaderEpoch int32)

	Follow     FollowConfig
	RunFetcher func(f *Fetcher) (stop func()) // starts who drives f until stop returns; nil: partitions that follow get nothing by themselves
	Move       MoveConfig
}

// Manager owns all partitions of this broker.
type Manager struct {
	cfg Config
	log *slog.Logger // kafka.server.ReplicaManager
	sc  *slog.Logger // state.change.logger

	partitionLog *slog.Logger // kafka.cluster.Partition
	isrLog       *slog.Logger // kafka.server.DefaultAlterPartitionManager
	isr          isrQueue

	moveLog *slog.Logger // kafka.server.ReplicaAlterLogDirsManager
	moves   moves

	// change serialises controller requests, as Kafka's replicaStateChangeLock does.
	change sync.Mutex

	fetchers  fetchers
	deletions watchers // who waits for followers to delete records

	mu struct {
		sync.RWMutex
		partitions      map[protocol.TopicPartition]*Partition
		offline         map[protocol.TopicPartition]struct{} // on a failed directory
		controllerEpoch int32                                // highest seen
	}
}

// NewManager returns a manager without partitions: the controller's LeaderAndIsr brings them.
func NewManager(cfg Config) *Manager {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Alive == nil {
		cfg.Alive = func(int32) bool { return true }
	}
	m := &Manager{
		cfg: cfg, log: cfg.Logger("kafka.server.ReplicaManager"), sc: cfg.Logger("state.change.logger"),
		partitionLog: cfg.Logger("kafka.cluster.Partition"), isrLog: cfg.Logger("kafka.server.DefaultAlterPartitionManager"),
		isr: isrQueue{wake: make(chan struct{}, 1)},
	}
	m.mu.partitions = make(map[protocol.TopicPartition]*Partition)
	m.mu.offline = make(map[protocol.TopicPartition]struct{})
	m.moveLog = cfg.Logger("kafka.server.ReplicaAlterLogDirsManager")
	m.moves.init()
	m.fetchers.init(m)
	return m
}

// Partition returns the partition, or the code to answer: KAFKA_STORAGE_ERROR when it is on a failed directory,
// UNKNOWN_TOPIC_OR_PARTITION when this broker has no replica of it (the caller answers NOT_LEADER_OR_FOLLOWER instead when the metadata
// cache knows the partition).
func (m *Manager) Partition(tp protocol.TopicPartition) (*Partition, protocol.ErrorCode) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if p := m.mu.partitions[tp]; p != nil {
		return p, protocol.None
	}
	if _, off := m.mu.offline[tp]; off {
		return nil, protocol.KafkaStorageError
	}
	return nil, protocol.UnknownTopicOrPartition
}

// Partitions lists all online partitions.
func (m *Manager) Partitions() []*Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*Partition, 0, len(m.mu.partitions))
	for _, p := range m.mu.partitions {
		all = append(all, p)
	}
	return all
}

// DirFailed takes all partitions of a failed log directory offline, and ends the moves into it. The caller tells the controller through
// /log_dir_event_notification.
func (m *Manager) DirFailed(dir string) {
	m.change.Lock()
	defer m.change.Unlock()
	var lost []*Partition
	staying := 0
	for _, p := range m.Partitions() {
		switch current, future := p.dirs(); dir {
		case current:
			lost = append(lost, p)
		case future:
			p.detachFuture()
			staying++
		}
	}
	m.mu.Lock()
	for _, p := range lost {
		delete(m.mu.partitions, p.tp)
		m.mu.offline[p.tp] = struct{}{}
	}
	m.mu.Unlock()
	for _, p := range lost {
		m.fetchers.remove(p.tp)
		p.leave(protocol.KafkaStorageError)
		if s := p.snapshot(); s.leader == m.cfg.BrokerID {
			m.cfg.OnFollower(p.tp, s.leaderEpoch)
		}
	}
	m.fetchers.stopIdle()
	m.log.Warn("Stopped serving replicas in dir "+dir, "partitions", len(lost))
	if staying > 0 {
		m.log.Warn("Stopped moving logs to dir "+dir, "partitions", staying)
	}
}
