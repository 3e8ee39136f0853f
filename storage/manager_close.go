package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// cleanShutdown is the content of .kafka_cleanshutdown as a broker on ZooKeeper writes it; that the file exists is
// what counts.
const cleanShutdown = `{"version":0,"brokerEpoch":-1}`

// Close stops the background work, closes all logs and lets go of the directories. clean also flushes, writes the checkpoints and
// the marker of a clean stop, for each directory that did not fail on the way.
func (m *Manager) Close(clean bool) error {
	m.background.stop()
	m.creation.Lock()
	defer m.creation.Unlock()

	byDir := m.byDir()
	errs := make([]error, len(m.dirs))
	var wg sync.WaitGroup
	for i, d := range m.dirs {
		wg.Go(func() { errs[i] = m.closeDir(d, byDir[d], clean) })
	}
	wg.Wait()
	m.background.wg.Wait() // a directory that failed while it was closed
	for _, d := range m.dirs {
		d.unlock()
	}
	return errors.Join(errs...)
}

// closeDir closes the logs of one directory.
func (m *Manager) closeDir(d *logDir, logs []*Log, clean bool) error {
	clean = clean && d.err() == nil
	if clean {
		m.storeTopicIDs(logs)
		m.makeDurable(d, logs)
	}
	for _, l := range logs {
		if !l.closed.Swap(true) {
			l.discardSegments()
		}
	}
	if !clean || d.err() != nil {
		return d.err()
	}
	for name := range checkpoints {
		if err := d.checkpoint(name); err != nil {
			return err
		}
	}
	if err := writeFileAtomic(filepath.Join(d.path, cleanShutdownFile), []byte(cleanShutdown)); err != nil {
		return d.fail(err)
	}
	return nil
}

// syncEach is how many logs are synced file by file at a stop. Of more of them the whole file system is: their small files cost a wait for the disk each otherwise,
// which thousands of partitions make a minute.
const syncEach = 64

// makeDurable ends the use of a directory's logs and makes them what a clean stop leaves behind. Errors are the directory's.
func (m *Manager) makeDurable(d *logDir, logs []*Log) {
	var mu sync.Mutex
	var unsynced []*Log
	m.inParallel(logs, func(l *Log) {
		if l.closed.Swap(true) || l.complete() != nil || !l.unsynced() {
			return
		}
		mu.Lock()
		unsynced = append(unsynced, l)
		mu.Unlock()
	})
	if len(unsynced) <= syncEach || !syncfsReports() {
		m.inParallel(unsynced, func(l *Log) { l.flush() })
	} else {
		m.syncTogether(d, unsynced)
	}
	for _, l := range logs {
		l.discardSegments()
	}
}

// syncTogether is flush for many logs of a directory at once.
func (m *Manager) syncTogether(d *logDir, logs []*Log) {
	m.inParallel(logs, func(l *Log) {
		if err := l.epochs.save(l.logEnd.Load(), replaceFileUnsynced); err != nil {
			d.fail(err)
		}
	})
	// .lock was opened before anything was written, so that no write error since then is missed.
	if err := unix.Syncfs(int(d.lock.Fd())); err != nil {
		d.fail(fmt.Errorf("syncfs %s: %w", d.path, err))
	}
	if d.err() != nil {
		return
	}
	for _, l := range logs {
		l.recoveryPoint.Store(l.logEnd.Load())
	}
}

// inParallel calls f for each log, for several at a time: they wait for the disk.
func (m *Manager) inParallel(logs []*Log, f func(*Log)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(m.cfg.RecoveryThreadsPerDir, 4), len(logs)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(logs)); i = next.Add(1) - 1 {
				f(logs[i])
			}
		})
	}
	wg.Wait()
}
