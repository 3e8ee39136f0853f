package broker

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"gregor/protocol"
)

// Throttled replication (KIP-73): replicas that a topic's configuration lists share a rate on this broker. The leader sends a listed replica nothing while the rate is
// exceeded, and a follower does not fetch; replicas that are in sync count, but never wait.

// replicationQuota is one of the two quotas: of what this broker sends as leader, and of what it fetches as follower.
type replicationQuota struct {
	limit func() int64              // bytes per second; math.MaxInt64: none
	list  func(topic string) string // {leader,follower}.replication.throttled.replicas of a topic
	me    int32                     // whose replicas the list names
	meter rateMeter

	mu struct {
		sync.Mutex
		parsed map[string]throttledReplicas // by topic, as of its last text
	}
}

// throttledReplicas is a parsed list.
type throttledReplicas struct {
	text       string
	all        bool
	partitions map[int32]struct{} // of which this broker's replica is listed
}

// on reports whether there is a limit at all.
func (q *replicationQuota) on() bool { return q.limit() != math.MaxInt64 }

// exceeded reports whether the replica of a partition has to wait.
func (q *replicationQuota) exceeded(tp protocol.TopicPartition, now time.Time) bool {
	limit := q.limit()
	return limit != math.MaxInt64 && q.throttled(tp) && q.meter.rate(now) > float64(limit)
}

// record counts what was sent of a partition, if its replicas are throttled.
func (q *replicationQuota) record(tp protocol.TopicPartition, bytes int, now time.Time) {
	if q.on() && q.throttled(tp) {
		q.meter.record(int64(bytes), now)
	}
}

// pause counts what came of a partition and returns how long its replica has to wait until the rate is no longer exceeded, 0 when it is not.
func (q *replicationQuota) pause(tp protocol.TopicPartition, bytes int, now time.Time) time.Duration {
	limit := q.limit()
	if limit == math.MaxInt64 || !q.throttled(tp) {
		return 0
	}
	return q.meter.pause(bytes, limit, now)
}

func (q *replicationQuota) throttled(tp protocol.TopicPartition) bool {
	text := q.list(tp.Topic)
	if text == "" {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	list, ok := q.mu.parsed[tp.Topic]
	if !ok || list.text != text {
		list = parseThrottled(text, q.me)
		if q.mu.parsed == nil {
			q.mu.parsed = make(map[string]throttledReplicas)
		}
		q.mu.parsed[strings.Clone(tp.Topic)] = list
	}
	_, listed := list.partitions[tp.Partition]
	return list.all || listed
}

// parseThrottled reads "*" or "partition:broker,...", of which the entries of other brokers are of no interest. The text was validated.
func parseThrottled(text string, me int32) throttledReplicas {
	list := throttledReplicas{text: text, partitions: make(map[int32]struct{})}
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		partition, broker, _ := strings.Cut(entry, ":")
		p, errP := strconv.ParseInt(partition, 10, 32)
		b, errB := strconv.ParseInt(broker, 10, 32)
		switch {
		case entry == "*":
			list.all = true
		case errP == nil && errB == nil && int32(b) == me:
			list.partitions[int32(p)] = struct{}{}
		}
	}
	return list
}

// rateMeter measures bytes per second over the last windows (replication.quota.window.num, replication.quota.window.size.seconds). At the beginning a burst counts as
// if it had taken at least one window (org.apache.kafka.common.metrics.stats.SimpleRate).
type rateMeter struct {
	windows int
	window  time.Duration

	mu struct {
		sync.Mutex
		samples []rateSample // oldest first
	}
}

type rateSample struct {
	start time.Time
	bytes int64
}

func (m *rateMeter) record(bytes int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropOldLocked(now)
	if n := len(m.mu.samples); n == 0 || now.Sub(m.mu.samples[n-1].start) >= m.window {
		m.mu.samples = append(m.mu.samples, rateSample{start: now})
	}
	m.mu.samples[len(m.mu.samples)-1].bytes += bytes
}

// pause counts bytes, where there is a limit, and returns how long it takes until the rate is no longer above it.
func (m *rateMeter) pause(bytes int, limit int64, now time.Time) time.Duration {
	if limit == math.MaxInt64 {
		return 0
	}
	m.record(int64(bytes), now)
	if m.rate(now) <= float64(limit) {
		return 0
	}
	return m.untilBelow(limit, now)
}

// rate is in bytes per second.
func (m *rateMeter) rate(now time.Time) float64 {
	bytes, elapsed := m.measure(now)
	return float64(bytes) / elapsed.Seconds()
}

// untilBelow is how long it takes, without further bytes, until the rate is no higher than the limit: time passes over the same bytes, or the oldest of them are no
// longer in the windows.
func (m *rateMeter) untilBelow(limit int64, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropOldLocked(now)
	var bytes int64
	for _, s := range m.mu.samples {
		bytes += s.bytes
	}
	whole := time.Duration(m.windows) * m.window
	from := now // the samples before s are over
	for _, s := range m.mu.samples {
		over := s.start.Add(whole)
		if seconds := float64(bytes) / float64(limit); seconds <= whole.Seconds() {
			below := from
			if need := time.Duration(seconds * float64(time.Second)); need > m.window && s.start.Add(need).After(from) {
				below = s.start.Add(need)
			}
			if !below.After(over) {
				return below.Sub(now)
			}
		}
		from = over
		bytes -= s.bytes
	}
	return from.Sub(now)
}

func (m *rateMeter) measure(now time.Time) (bytes int64, elapsed time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropOldLocked(now)
	elapsed = m.window
	for i, s := range m.mu.samples {
		bytes += s.bytes
		if i == 0 {
			elapsed = max(now.Sub(s.start), m.window)
		}
	}
	return bytes, elapsed
}

func (m *rateMeter) dropOldLocked(now time.Time) {
	kept := m.mu.samples[:0]
	for _, s := range m.mu.samples {
		if now.Sub(s.start) < time.Duration(m.windows)*m.window {
			kept = append(kept, s)
		}
	}
	m.mu.samples = kept
}

func (b *Broker) newReplicationQuota(side string) *replicationQuota {
	c := b.config
	return &replicationQuota{
		me:    b.id,
		limit: func() int64 { return c.Long(side + ".replication.throttled.rate") },
		list: func(topic string) string {
			return b.topicConfigs.override(topic, side+".replication.throttled.replicas")
		},
		meter: rateMeter{windows: c.Int("replication.quota.window.num"), window: time.Duration(c.Int("replication.quota.window.size.seconds")) * time.Second},
	}
}

// askQuota looks once for all partitions of a fetch whether the leader's quota has a say in it: mostly nobody throttles.
func (op *fetchOp) askQuota() {
	if op.limited = op.replica >= 0 && op.b.leaderQuota.on(); op.limited {
		op.now = time.Now()
	}
}

// throttle reports whether a follower's fetch of a partition has to wait for the leader's quota.
func (op *fetchOp) throttle(part *fetchPart) bool {
	return op.limited && op.b.leaderQuota.exceeded(part.tp, op.now) && !part.p.InSync(op.replica)
}

// countThrottled counts what is sent to a follower.
func (op *fetchOp) countThrottled(part *fetchPart, bytes int) {
	if op.limited && bytes > 0 {
		op.b.leaderQuota.record(part.tp, bytes, op.now)
	}
}
