package storage

import (
	"os"
	"path/filepath"
	"sync"
	"time"
)

// initialDelay is how long the periodic work waits after the start (LogManager.InitialTaskDelayMs).
const initialDelay = 30 * time.Second

// producerExpirationCheck is producer.id.expiration.check.interval.ms, an internal key of Kafka.
const producerExpirationCheck = 10 * time.Minute

// background is the work of a manager that nobody waits for: retention, flushes, checkpoints, removal of files. All its
// goroutines end with stop.
type background struct {
	manager *Manager
	wg      sync.WaitGroup
	done    chan struct{} // closed by stop

	mu struct {
		sync.Mutex
		stopped  bool
		flush    []*Log
		topicIDs []*Log // see scheduleTopicID
		removals map[*removal]struct{}
	}
	wake chan struct{} // flush is not empty
}

// removal is files or directories that wait for file.delete.delay.ms.
type removal struct {
	paths []string
	timer *time.Timer
}

func (b *background) init(m *Manager) {
	b.manager = m
	b.done = make(chan struct{})
	b.wake = make(chan struct{}, 1)
	b.mu.removals = map[*removal]struct{}{}
}

func (b *background) start() {
	c := &b.manager.cfg
	b.every(initialDelay, c.RetentionCheckInterval, b.retention)
	b.every(initialDelay, c.FlushSchedulerInterval, b.flushOld)
	b.every(initialDelay, c.FlushOffsetCheckpoint, func() { b.checkpoint(recoveryPointCheckpoint) })
	b.every(initialDelay, c.FlushStartOffsetCheckpoint, func() { b.checkpoint(logStartCheckpoint) })
	b.every(c.HighWatermarkCheckpoint, c.HighWatermarkCheckpoint, func() { b.checkpoint(replicationCheckpoint) })
	b.every(producerExpirationCheck, producerExpirationCheck, b.expireProducers)
	b.wg.Go(b.flusher)
}

// every runs work after delay and then at each interval.
func (b *background) every(delay, interval time.Duration, work func()) {
	if interval <= 0 {
		return
	}
	b.wg.Go(func() {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		for {
			select {
			case <-b.done:
				return
			case <-timer.C:
				work()
				timer.Reset(interval)
			}
		}
	})
}

// stop ends all work and waits for what is running. Files that still wait for their removal are found again at the next start.
func (b *background) stop() {
	b.mu.Lock()
	if !b.mu.stopped {
		b.mu.stopped = true
		close(b.done)
	}
	for r := range b.mu.removals {
		if r.timer.Stop() {
			delete(b.mu.removals, r)
			b.wg.Done()
		}
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *background) retention() {
	for _, l := range b.manager.Logs() {
		l.applyRetention(b.manager.nowMs()) // its error is the directory's
	}
}

func (b *background) flushOld() {
	for _, l := range b.manager.all() {
		l.flushIfOld(b.manager.nowMs()) // its error is the directory's
	}
}

func (b *background) expireProducers() {
	now, limit := b.manager.nowMs(), b.manager.cfg.ProducerIDExpirationMs()
	for _, l := range b.manager.all() {
		l.mu.Lock()
		l.mu.producers.expire(now, limit)
		l.mu.Unlock()
	}
}

// checkpoint writes one checkpoint file in every online directory.
func (b *background) checkpoint(name string) {
	for _, d := range b.manager.dirs {
		d.checkpoint(name) // its error is the directory's
	}
}

// scheduleFlush has a log that has rolled, or grown by much, made durable soon, so that a crash finds little to recover.
func (m *Manager) scheduleFlush(l *Log) {
	if l.flushQueued.Swap(true) {
		return
	}
	b := &m.background
	b.mu.Lock()
	b.mu.flush = append(b.mu.flush, l)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// removeLater removes files or directories after a delay, unless the manager is closed before.
func (m *Manager) removeLater(paths []string, delay time.Duration) {
	b := &m.background
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.stopped {
		return
	}
	r := &removal{paths: paths}
	b.mu.removals[r] = struct{}{}
	b.wg.Add(1)
	r.timer = time.AfterFunc(delay, func() { b.remove(r) })
}

func (b *background) remove(r *removal) {
	defer b.wg.Done()
	defer func() {
		b.mu.Lock()
		delete(b.mu.removals, r)
		b.mu.Unlock()
	}()
	for _, path := range r.paths {
		if err := os.RemoveAll(path); err != nil {
			b.manager.warn("Failed to delete %s: %s", path, err)
			continue
		}
		b.manager.cfg.Logger("kafka.log.LogManager").Info("Deleted " + filepath.Base(path) + " in " + filepath.Dir(path))
	}
}
