package storage

import (
	"errors"
	"path/filepath"
	"sync"
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

// closeDir closes the logs of one directory, several at a time: a clean close waits for the disk.
func (m *Manager) closeDir(d *logDir, logs []*Log, clean bool) error {
	jobs := make(chan *Log)
	var wg sync.WaitGroup
	for range min(max(m.cfg.RecoveryThreadsPerDir, 4), len(logs)) {
		wg.Go(func() {
			for l := range jobs {
				l.close(clean) // its error is the directory's
			}
		})
	}
	for _, l := range logs {
		jobs <- l
	}
	close(jobs)
	wg.Wait()
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
