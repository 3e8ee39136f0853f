package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gregor/protocol"
)

// Load opens all logs, recovering those of directories without the marker of a clean stop, and starts the background
// work. A directory that fails goes offline. Errors: a partition in two directories, a foreign directory between the logs, and no
// directory left.
func (m *Manager) Load() error {
	began := m.cfg.Clock()
	var paths []string
	for _, d := range m.dirs {
		if d.err() == nil {
			paths = append(paths, d.path)
		}
	}
	m.info("Loading logs from log dirs %s", strings.Join(paths, ", "))

	var wg sync.WaitGroup
	errs := make([]error, len(m.dirs))
	for i, d := range m.dirs {
		if d.err() != nil {
			continue
		}
		wg.Go(func() { errs[i] = m.loadDir(d) })
	}
	wg.Wait()
	var fatal []error
	online := 0
	for i, err := range errs {
		switch {
		case err != nil && !errors.Is(err, ErrStorage):
			fatal = append(fatal, err)
		case m.dirs[i].err() == nil:
			online++
		}
	}
	if len(fatal) > 0 {
		return errors.Join(fatal...)
	}
	if online == 0 {
		return fmt.Errorf("%w: no log directory is left after loading", ErrStorage)
	}
	m.dropUselessFutures()
	for _, l := range m.all() {
		l.unclaim() // its error is the directory's
	}
	m.info("Loaded %d logs in %dms", len(m.Logs()), m.cfg.Clock().Sub(began)/time.Millisecond)
	m.background.start()
	return nil
}

// dirContent is what a log directory has, found before any log is opened.
type dirContent struct {
	clean                               bool
	recoveryPoint, logStart, highWaters map[protocol.TopicPartition]int64
	logs                                []foundLog
}

// foundLog is the directory of a log.
type foundLog struct {
	tp   protocol.TopicPartition
	name string // <topic>-<partition>, or the name of a future log
}

// openingAtOnce is how many logs of a directory are opened at the same time. After the machine has started, or when memory was short, each waits for the disk a few times
// to see what its directory has.
const openingAtOnce = 16

// loadDir opens the logs of one directory on openingAtOnce goroutines, or on RecoveryThreadsPerDir if that is more. No more than RecoveryThreadsPerDir of them recover a log.
func (m *Manager) loadDir(d *logDir) error {
	c, err := m.readDir(d)
	if err != nil {
		return err
	}
	if len(c.logs) > 0 && c.clean {
		m.info("Skipping recovery of %d logs from %s since clean shutdown file was found", len(c.logs), d.path)
	} else if len(c.logs) > 0 {
		m.info("Recovering %d logs from %s since no clean shutdown file was found", len(c.logs), d.path)
	} else {
		m.info("No logs found to be loaded in %s", d.path)
	}
	jobs := make(chan foundLog)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for range min(max(m.cfg.RecoveryThreadsPerDir, openingAtOnce), len(c.logs)) {
		wg.Go(func() {
			for found := range jobs {
				if err := m.loadOne(d, found, c); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, found := range c.logs {
		jobs <- found
	}
	close(jobs)
	wg.Wait()
	return first
}

func (m *Manager) loadOne(d *logDir, found foundLog, c *dirContent) error {
	if err := d.err(); err != nil {
		return err
	}
	tp := found.tp
	st := loadState{clean: c.clean, recoveryPoint: c.recoveryPoint[tp], logStart: c.logStart[tp], highWatermark: -1}
	if hw, ok := c.highWaters[tp]; ok {
		st.highWatermark = hw
	}
	l, err := m.loadLog(d, tp, found.name, st)
	if err != nil {
		return d.fail(fmt.Errorf("load %s: %w", filepath.Join(d.path, found.name), err))
	}
	return m.add(l)
}

// readDir lists a log directory and reads its checkpoints. The marker of a clean stop is gone, durably, when it returns: a crash
// from here on is a crash.
func (m *Manager) readDir(d *logDir) (*dirContent, error) {
	c := &dirContent{}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, d.fail(err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == remoteIndexCacheDir {
			continue
		}
		path := filepath.Join(d.path, e.Name())
		switch kind, tp := classifyDir(e.Name()); kind {
		case partitionDir, futureDir:
			c.logs = append(c.logs, foundLog{tp, e.Name()})
		case deletedDir:
			m.removeLater([]string{path}, time.Duration(m.cfg.InitialDefault.FileDeleteDelayMs)*time.Millisecond)
		case strayDir:
			m.warn("Leaving %s alone: it is a stray log", path)
		case foreignDir:
			return nil, refuseStart("Found directory %s, '%s' is not in the form of topic-partition or topic-partition.uniqueId-delete (if marked for deletion)."+
				" Kafka's log directories (and children) should only contain Kafka topic data.", path, e.Name())
		}
	}
	marker := filepath.Join(d.path, cleanShutdownFile)
	if _, err := os.Stat(marker); err == nil {
		c.clean = true
		if err := errors.Join(os.Remove(marker), syncDir(d.path)); err != nil {
			return nil, d.fail(err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, d.fail(err)
	}
	here := map[protocol.TopicPartition]bool{}
	for _, found := range c.logs {
		here[found.tp] = true
	}
	for name, into := range map[string]*map[protocol.TopicPartition]int64{
		recoveryPointCheckpoint: &c.recoveryPoint, logStartCheckpoint: &c.logStart, replicationCheckpoint: &c.highWaters,
	} {
		if *into, err = readOffsetCheckpoint(filepath.Join(d.path, name)); err == nil {
			d.noteStale(name, *into, here)
			continue
		}
		if isEnvironment(err) {
			return nil, d.fail(err)
		}
		m.warn("%s in %s is damaged and counts as empty: %s", name, d.path, err)
	}
	return c, nil
}
