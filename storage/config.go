package storage

import (
	"log/slog"
	"time"
)

// LogConfig is the effective configuration of one topic. Names and units are those of the topic-level keys:
// bytes, milliseconds, messages. It is read-only once handed over; a change is a new LogConfig.
type LogConfig struct {
	SegmentBytes                int32
	SegmentMs                   int64
	SegmentJitterMs             int64
	SegmentIndexBytes           int32
	IndexIntervalBytes          int32
	FlushMessages               int64
	FlushMs                     int64
	RetentionBytes              int64 // -1: no limit
	RetentionMs                 int64 // -1: no limit
	FileDeleteDelayMs           int64
	MaxMessageBytes             int32
	Compact, Delete             bool   // cleanup.policy
	CompressionType             string // producer, uncompressed, gzip, snappy, lz4 or zstd
	GzipLevel, LZ4Level         int
	ZstdLevel                   int
	LogAppendTime               bool // message.timestamp.type
	TimestampBeforeMaxMs        int64
	TimestampAfterMaxMs         int64
	MinInsyncReplicas           int32
	UncleanLeaderElectionEnable bool
	Preallocate                 bool

	// Overridden is the loggable form of the keys that the topic itself sets, "{k=v, ...}"; "" is printed as "{}".
	Overridden string
}

// ManagerConfig is what a broker tells the log manager. Functions may be called from any goroutine.
// An interval of zero or less switches its task off.
type ManagerConfig struct {
	Dirs                       []string // log.dirs, absolute
	Logger                     func(name string) *slog.Logger
	Clock                      func() time.Time
	TopicConfig                func(topic string) LogConfig // effective configuration, asked at load and creation
	InitialDefault             LogConfig                    // used where TopicConfig is nil
	RetentionCheckInterval     time.Duration                // log.retention.check.interval.ms
	FlushOffsetCheckpoint      time.Duration                // log.flush.offset.checkpoint.interval.ms
	FlushStartOffsetCheckpoint time.Duration                // log.flush.start.offset.checkpoint.interval.ms
	HighWatermarkCheckpoint    time.Duration                // replica.high.watermark.checkpoint.interval.ms
	FlushSchedulerInterval     time.Duration                // log.flush.scheduler.interval.ms
	RecoveryThreadsPerDir      int                          // num.recovery.threads.per.data.dir
	ProducerIDExpirationMs     func() int64                 // producer.id.expiration.ms
	OnDirFailure               func(dir string, err error)  // called once per directory, after its logs are closed
	OnManySyncs                func(most int)               // called once, when commits begin to wait for a disk beside each other: so many may
}

// topicConfig asks for a topic's configuration. Logs that come one after the other mostly have equal ones, and then share it.
func (m *Manager) topicConfig(topic string) *LogConfig {
	c := m.cfg.InitialDefault
	if m.cfg.TopicConfig != nil {
		c = m.cfg.TopicConfig(topic)
	}
	if last := m.lastConfig.Load(); last != nil && *last == c {
		return last
	}
	m.lastConfig.Store(&c)
	return &c
}

// withDefaults fills in what a caller may leave out.
func (c ManagerConfig) withDefaults() ManagerConfig {
	if c.Logger == nil {
		c.Logger = func(name string) *slog.Logger { return slog.Default().With("logger", name) }
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.ProducerIDExpirationMs == nil {
		c.ProducerIDExpirationMs = func() int64 { return 86400000 }
	}
	if c.OnDirFailure == nil {
		c.OnDirFailure = func(string, error) {}
	}
	if c.OnManySyncs == nil {
		c.OnManySyncs = func(int) {}
	}
	c.RecoveryThreadsPerDir = max(c.RecoveryThreadsPerDir, 1)
	return c
}
