package storage

import (
	"errors"
	"path/filepath"
	"sync"

	"gregor/protocol"
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

	byDir := map[*logDir][]*Log{}
	for _, l := range m.Logs() {
		byDir[l.dir] = append(byDir[l.dir], l)
	}
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
	if err := errors.Join(
		d.writeCheckpoint(recoveryPointCheckpoint, recoveryPoints(logs)),
		d.writeCheckpoint(logStartCheckpoint, logStarts(logs)),
		d.writeCheckpoint(replicationCheckpoint, highWatermarks(logs)),
	); err != nil {
		return err
	}
	if err := writeFileAtomic(filepath.Join(d.path, cleanShutdownFile), []byte(cleanShutdown)); err != nil {
		return d.fail(err)
	}
	return nil
}

func recoveryPoints(logs []*Log) map[protocol.TopicPartition]int64 {
	points := make(map[protocol.TopicPartition]int64, len(logs))
	for _, l := range logs {
		points[l.tp] = l.recoveryPoint.Load()
	}
	return points
}

// logStarts has the logs that begin behind their first segment's base; of the others the files tell.
func logStarts(logs []*Log) map[protocol.TopicPartition]int64 {
	starts := map[protocol.TopicPartition]int64{}
	for _, l := range logs {
		if start := l.logStart.Load(); start > l.segments.Load().list[0].base {
			starts[l.tp] = start
		}
	}
	return starts
}

func highWatermarks(logs []*Log) map[protocol.TopicPartition]int64 {
	marks := make(map[protocol.TopicPartition]int64, len(logs))
	for _, l := range logs {
		marks[l.tp] = l.highWatermark.Load()
	}
	return marks
}
