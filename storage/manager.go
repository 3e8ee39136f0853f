package storage

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gregor/protocol"
)

// Manager owns the log directories and all logs in them.
type Manager struct {
	cfg  ManagerConfig
	dirs []*logDir

	creation sync.Mutex // one GetOrCreate or Delete at a time; taken before mu
	mu       struct {
		sync.RWMutex
		logs    map[protocol.TopicPartition]*Log
		futures map[protocol.TopicPartition]*Log // copies on their way into another directory
	}
	preferred  map[protocol.TopicPartition]string // directories that logs are to be created in; guarded by creation
	placed     placement                          // guarded by creation
	background background
	lastConfig atomic.Pointer[LogConfig] // see topicConfig
	manySyncs  sync.Once                 // ManagerConfig.OnManySyncs
}

// Open locks every directory, creating missing ones, and reads meta.properties. A directory that cannot be used goes
// offline; when none is left, or one is in use by another process, or a meta.properties is not version 0, Open fails. No log is
// loaded yet.
func Open(cfg ManagerConfig) (*Manager, error) {
	m := &Manager{cfg: cfg.withDefaults()}
	m.mu.logs, m.mu.futures = map[protocol.TopicPartition]*Log{}, map[protocol.TopicPartition]*Log{}
	m.preferred = map[protocol.TopicPartition]string{}
	m.placed.logs = map[*logDir]int{}
	m.background.init(m)
	for _, path := range slices.Compact(slices.Clone(cfg.Dirs)) {
		d, locked, err := openLogDir(m, path)
		m.dirs = append(m.dirs, d)
		if err == nil {
			err = d.readMeta()
			locked = err != nil && !isEnvironment(err)
		}
		if locked {
			m.Close(false)
			return nil, err
		}
		if err != nil {
			d.fail(err)
		}
	}
	if !slices.ContainsFunc(m.dirs, func(d *logDir) bool { return d.err() == nil }) {
		m.Close(false)
		return nil, fmt.Errorf("shutting down because none of the specified log dirs from %s can be created or validated",
			strings.Join(cfg.Dirs, ", "))
	}
	return m, nil
}

func (d *logDir) readMeta() error {
	p, err := readMetaProperties(d.path)
	if err == nil {
		d.meta.Store(&p)
	}
	return err
}

// Meta returns meta.properties of each online directory, by directory.
func (m *Manager) Meta() map[string]MetaProperties {
	metas := map[string]MetaProperties{}
	for _, d := range m.dirs {
		if d.err() == nil {
			metas[d.path] = *d.meta.Load()
		}
	}
	return metas
}

// WriteMeta writes meta.properties where it is missing or differs. Other keys in the file stay. A directory where that is
// impossible goes offline; the error is for when none is left.
func (m *Manager) WriteMeta(p MetaProperties) error {
	var failed error
	online := 0
	for _, d := range m.dirs {
		if d.err() != nil {
			continue
		}
		had := d.meta.Load()
		if had.Present && had.ClusterID == p.ClusterID && had.BrokerID == p.BrokerID {
			online++
			continue
		}
		next := MetaProperties{ClusterID: p.ClusterID, BrokerID: p.BrokerID, Present: true, other: had.other}
		if err := writeFileAtomic(filepath.Join(d.path, metaPropertiesFile), formatMetaProperties(next, m.cfg.Clock())); err != nil {
			failed = d.fail(err)
			continue
		}
		d.meta.Store(&next)
		online++
	}
	if online == 0 {
		return failed
	}
	return nil
}

func (m *Manager) nowMs() int64 { return m.cfg.Clock().UnixMilli() }

func (m *Manager) info(format string, args ...any) {
	m.cfg.Logger("kafka.log.LogManager").Info(fmt.Sprintf(format, args...))
}

func (m *Manager) warn(format string, args ...any) {
	m.cfg.Logger("kafka.log.LogManager").Warn(fmt.Sprintf(format, args...))
}

// Get returns nil when there is no such log online.
func (m *Manager) Get(tp protocol.TopicPartition) *Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.logs[tp]
}

// Logs lists all online logs, without future ones.
func (m *Manager) Logs() []*Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.AppendSeq(make([]*Log, 0, len(m.mu.logs)), maps.Values(m.mu.logs))
}

// all lists all online logs, future ones with them.
func (m *Manager) all() (list []*Log) {
	m.each(func(l *Log) { list = append(list, l) })
	return list
}

// each calls f for every online log, future ones with them, while no log comes or goes. f must not block.
func (m *Manager) each(f func(*Log)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, l := range m.mu.logs {
		f(l)
	}
	for _, l := range m.mu.futures {
		f(l)
	}
}

// byDir are all online logs by their directory.
func (m *Manager) byDir() map[*logDir][]*Log {
	logs := map[*logDir][]*Log{}
	for _, l := range m.all() {
		logs[l.dir] = append(logs[l.dir], l)
	}
	return logs
}

// CreateOptions is for GetOrCreate.
type CreateOptions struct {
	TopicID protocol.TopicID // zero: none is written
	IsNew   bool             // may be created although a directory is offline (LeaderAndIsr isNew)
}

// GetOrCreate returns the log, creating its directory on the log directory that Prefer named, or on the online one that has the fewest logs. ErrStorage
// when it may live on an offline directory, or cannot be created anywhere.
func (m *Manager) GetOrCreate(tp protocol.TopicPartition, o CreateOptions) (*Log, error) {
	if l := m.Get(tp); l != nil {
		return l, nil
	}
	m.creation.Lock()
	defer m.creation.Unlock()
	if l := m.Get(tp); l != nil {
		return l, nil
	}
	if !o.IsNew && m.HasOfflineDirs() {
		return nil, fmt.Errorf("%w: cannot create the log of %s, it may be in a directory that is offline", ErrStorage, tp)
	}
	failed := error(ErrStorage)
	for _, d := range m.candidates(tp) {
		l, err := m.create(d, tp, tp.String(), o.TopicID)
		if err == nil {
			return l, nil
		}
		failed = d.fail(fmt.Errorf("create the log of %s: %w", tp, err))
	}
	return nil, failed
}

// candidates lists the online directories that a log may be created in: the preferred one and no other, or all, the one with the fewest logs first.
func (m *Manager) candidates(tp protocol.TopicPartition) []*logDir {
	dirs := slices.DeleteFunc(slices.Clone(m.dirs), func(d *logDir) bool { return d.err() != nil })
	if preferred, ok := m.preferred[tp]; ok {
		return slices.DeleteFunc(dirs, func(d *logDir) bool { return d.path != preferred })
	}
	m.recount()
	slices.SortStableFunc(dirs, func(a, b *logDir) int { return m.placed.logs[a] - m.placed.logs[b] })
	return dirs
}

// placement is how many logs each directory has, so that thousands of logs that are made one after the other are not counted for each of them.
type placement struct {
	logs  map[*logDir]int
	total int
}

func (p *placement) add(d *logDir) {
	p.logs[d]++
	p.total++
}

// recount counts anew when logs came or went in another way than by create.
func (m *Manager) recount() {
	m.mu.RLock()
	total := len(m.mu.logs) + len(m.mu.futures)
	m.mu.RUnlock()
	if m.placed.total == total {
		return
	}
	m.placed = placement{logs: map[*logDir]int{}}
	for _, l := range m.all() {
		m.placed.add(l.dir)
	}
}

// create makes a log in the directory name of d. A preference for the log has then been served.
func (m *Manager) create(d *logDir, tp protocol.TopicPartition, name string, id protocol.TopicID) (*Log, error) {
	if err := d.forget(tp); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, name)
	var l *Log
	err := os.Mkdir(path, 0o755)
	switch {
	case err == nil:
		l = m.emptyLog(d, tp, name)
		d.madeEntry()
	case errors.Is(err, os.ErrExist):
		l, err = m.loadLog(d, tp, name, loadState{clean: true, highWatermark: -1})
	}
	if err != nil {
		return nil, err
	}
	if err := l.SetTopicID(id); err != nil && !errors.Is(err, protocol.InconsistentTopicID) {
		return nil, err
	}
	if err := m.add(l); err != nil {
		return nil, err
	}
	m.placed.add(d)
	delete(m.preferred, tp)
	overridden := l.Config().Overridden
	if overridden == "" {
		overridden = "{}"
	}
	m.info("Created log for partition %s in %s with properties %s", tp, path, overridden)
	return l, nil
}

// add makes a log known, unless its directory has failed meanwhile: dirFailed looks for its logs only once. Of two logs of a partition one is removed, when that
// loses nothing.
func (m *Manager) add(l *Log) error {
	m.mu.Lock()
	if err := l.dir.err(); err != nil {
		m.mu.Unlock()
		l.close(false)
		return err
	}
	into := m.mu.logs
	if l.IsFuture() {
		into = m.mu.futures
	}
	other := into[l.tp]
	if other == nil {
		into[l.tp] = l
		m.mu.Unlock()
		return nil
	}
	kept, spare := m.settle(other, l)
	if kept != nil {
		into[l.tp] = kept
	}
	m.mu.Unlock()
	if kept == nil {
		l.close(false)
		return refuseStart("Duplicate log directories for %s are found in both %s and %s: remove the one that is out of date", l.tp, other.path, l.path)
	}
	m.warn("Duplicate log directories for %s are found, as a move between log directories leaves them when it is interrupted: "+
		"keeping %s, which has everything that is in %s", l.tp, kept.path, spare.path)
	m.discard(spare) // its error is the directory's
	return nil
}

// Delete renames the log's directory to its -delete name at once, and removes it after file.delete.delay.ms; so it does with its future log's. A log that does not
// exist is no error.
func (m *Manager) Delete(tp protocol.TopicPartition) error {
	m.creation.Lock()
	defer m.creation.Unlock()
	m.mu.Lock()
	l, future := m.mu.logs[tp], m.mu.futures[tp]
	delete(m.mu.logs, tp)
	delete(m.mu.futures, tp)
	m.mu.Unlock()
	return errors.Join(m.discard(l), m.discard(future))
}

// discard is Delete for a log that is no longer in the maps.
func (m *Manager) discard(l *Log) error {
	if l == nil {
		return nil
	}
	if err := l.usable(); err != nil {
		return err
	}
	path := filepath.Join(l.dir.path, deleteDirName(l.tp))
	if err := l.moveAway(path); err != nil {
		return l.dir.fail(err)
	}
	l.dir.left(l.tp)
	m.info("Log for partition %s is renamed to %s and is scheduled for deletion", l.tp, path)
	m.removeLater([]string{path}, time.Duration(l.Config().FileDeleteDelayMs)*time.Millisecond)
	return nil
}

// moveAway closes the log and renames its directory.
func (l *Log) moveAway(path string) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	l.closed.Store(true)
	for _, s := range l.segments.Load().list {
		s.gone.Store(true)
		s.release()
	}
	err := os.Rename(l.path, path)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return syncDir(l.dir.path)
}

// UpdateConfig applies a new effective configuration to all logs of a topic.
func (m *Manager) UpdateConfig(topic string, c LogConfig) {
	for _, l := range m.all() {
		if l.tp.Topic == topic {
			l.config.Store(&c)
		}
	}
}

// dirFailed closes the logs of a directory that went offline and then tells the broker, on a goroutine that Close waits for.
func (m *Manager) dirFailed(d *logDir, err error) {
	m.background.wg.Add(1)
	go func() {
		defer m.background.wg.Done()
		m.cfg.Logger("kafka.log.LogManager").Error(fmt.Sprintf("Stopping serving logs in dir %s", d.path), "error", err)
		m.mu.Lock()
		var logs []*Log
		for _, known := range []map[protocol.TopicPartition]*Log{m.mu.logs, m.mu.futures} {
			for tp, l := range known {
				if l.dir == d {
					logs = append(logs, l)
					delete(known, tp)
				}
			}
		}
		m.mu.Unlock()
		for _, l := range logs {
			l.close(false)
		}
		m.cfg.OnDirFailure(d.path, err)
	}()
}
