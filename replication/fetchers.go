package replication

import (
	"fmt"
	"sync"

	"gregor/protocol"
)

// fetchers are the Fetchers of this broker: for each leader that something is followed of up to num.replica.fetchers, each driven by whom RunFetcher starts
// (kafka.server.ReplicaFetcherManager).
type fetchers struct {
	m *Manager

	mu struct {
		sync.Mutex
		count   int
		closed  bool
		running map[fetcherKey]*runningFetcher
		of      map[protocol.TopicPartition]fetcherKey
	}
}

type fetcherKey struct {
	leader int32
	id     int
}

type runningFetcher struct {
	*Fetcher
	stop func()
}

func (fs *fetchers) init(m *Manager) {
	fs.m = m
	fs.mu.count = max(m.cfg.Follow.Fetchers, 1)
	fs.mu.running = make(map[fetcherKey]*runningFetcher)
	fs.mu.of = make(map[protocol.TopicPartition]fetcherKey)
}

// fetcherID spreads partitions over the Fetchers of a leader as Apache Kafka does (AbstractFetcherManager.getFetcherId).
func fetcherID(tp protocol.TopicPartition, count int) int {
	hash := int32(0) // of java.lang.String; names of topics are ASCII
	for i := range len(tp.Topic) {
		hash = 31*hash + int32(tp.Topic[i])
	}
	hash = 31*hash + tp.Partition
	if hash < 0 {
		hash = max(-hash, 0) // the smallest number has no positive twin
	}
	return int(hash) % count
}

// add follows a partition's leader in its leader epoch. The partition is not followed at this time.
func (fs *fetchers) add(p *Partition, leader, leaderEpoch int32) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.mu.closed {
		return
	}
	key := fetcherKey{leader, fetcherID(p.tp, fs.mu.count)}
	r := fs.mu.running[key]
	if r == nil {
		cfg := &fs.m.cfg
		r = &runningFetcher{Fetcher: newFetcher(&cfg.Follow, cfg.BrokerID, leader, key.id, cfg.BrokerEpoch, cfg.Logger("kafka.server.ReplicaFetcherThread"))}
		fs.mu.running[key] = r
	}
	fs.mu.of[p.tp] = key
	r.add(p, leaderEpoch)
	if r.stop == nil {
		r.stop = func() {}
		if run := fs.m.cfg.RunFetcher; run != nil {
			r.stop = run(r.Fetcher)
		}
	}
}

// remove stops following a partition. When it returns, nothing is written to its log any more.
func (fs *fetchers) remove(tp protocol.TopicPartition) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	key, ok := fs.mu.of[tp]
	if !ok {
		return
	}
	delete(fs.mu.of, tp)
	if r := fs.mu.running[key]; r != nil { // one that had given up all its partitions has been stopped
		r.remove(tp)
	}
}

// stopIdle ends the Fetchers that follow nothing any more.
func (fs *fetchers) stopIdle() {
	fs.mu.Lock()
	var idle []*runningFetcher
	for key, r := range fs.mu.running {
		if r.idle() {
			delete(fs.mu.running, key)
			idle = append(idle, r)
		}
	}
	fs.mu.Unlock()
	stopAll(idle)
}

// stopAll ends Fetchers side by side, because each may have to wait for the answer under way.
func stopAll(list []*runningFetcher) {
	var wg sync.WaitGroup
	for _, r := range list {
		wg.Go(r.stop)
	}
	wg.Wait()
}

// retry has everything tried again at once: the cluster's brokers have changed.
func (fs *fetchers) retry() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, r := range fs.mu.running {
		r.Retry()
	}
}

// clear stops following anything.
func (fs *fetchers) clear() {
	fs.mu.Lock()
	all := make([]*runningFetcher, 0, len(fs.mu.running))
	for _, r := range fs.mu.running {
		all = append(all, r)
	}
	clear(fs.mu.running)
	clear(fs.mu.of)
	fs.mu.Unlock()
	stopAll(all)
}

// close is clear for good.
func (fs *fetchers) close() {
	fs.mu.Lock()
	fs.mu.closed = true
	fs.mu.Unlock()
	fs.clear()
}

// BrokersChanged tells that brokers have come, gone or moved: who waits for its leader tries again, and who waits for followers to delete records looks who is left.
func (m *Manager) BrokersChanged() {
	m.fetchers.retry()
	m.deletions.wakeAll()
}

// ResizeFetchers takes a changed num.replica.fetchers into force.
func (m *Manager) ResizeFetchers(count int) {
	m.change.Lock()
	defer m.change.Unlock()
	m.fetchers.clear()
	m.fetchers.mu.Lock()
	m.log.Info(fmt.Sprintf("[ReplicaFetcherManager on broker %d] Resizing fetcher thread pool size from %d to %d", m.cfg.BrokerID, m.fetchers.mu.count, count))
	m.fetchers.mu.count = max(count, 1)
	m.fetchers.mu.Unlock()
	for _, p := range m.Partitions() {
		if s := p.snapshot(); s.leader >= 0 && s.leader != m.cfg.BrokerID {
			m.fetchers.add(p, s.leader, s.leaderEpoch)
		}
	}
}

// Close stops following leaders and moving logs. Nothing is written to a log by replication any more when it returns.
func (m *Manager) Close() {
	m.fetchers.close()
	m.moves.close()
}
