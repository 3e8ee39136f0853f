package storage

import (
	"fmt"
	"path/filepath"

	"gregor/protocol"
)

// checkpoints are the checkpoint files of a log directory, and what they say of its logs.
var checkpoints = map[string]func([]*Log) map[protocol.TopicPartition]int64{
	recoveryPointCheckpoint: recoveryPoints,
	logStartCheckpoint:      logStarts,
	replicationCheckpoint:   highWatermarks,
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

// checkpoint replaces a checkpoint file unless it has that content already.
func (d *logDir) checkpoint(name string) error {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	logs := d.manager.byDir()[d]
	offsets := checkpoints[name](logs)
	for tp := range d.checkpoints.stale[name] {
		if _, back := offsets[tp]; !back {
			delete(d.checkpoints.stale[name], tp)
		}
	}
	data := formatOffsetCheckpoint(offsets)
	if d.err() != nil || d.checkpoints.written[name] == string(data) {
		return nil
	}
	claim := func(raise bool) {
		for _, l := range logs {
			if point := offsets[l.tp]; name == recoveryPointCheckpoint && (point > l.claimed.Load()) == raise {
				l.claimed.Store(point)
			}
		}
	}
	claim(true)
	if err := writeFileAtomic(filepath.Join(d.path, name), data); err != nil {
		return d.fail(fmt.Errorf("write %s: %w", name, err))
	}
	claim(false)
	d.checkpoints.written[name] = string(data)
	return nil
}

// unclaim rewrites the checkpoint of recovery points when it says that something is durable that the log does not have any more (LogManager.truncateTo). What is
// appended there next would not be looked at after a crash.
func (l *Log) unclaim() error {
	if l.claimed.Load() <= l.recoveryPoint.Load() {
		return nil
	}
	return l.dir.checkpoint(recoveryPointCheckpoint)
}

// left notes that a partition has no log in the directory any more.
func (d *logDir) left(tp protocol.TopicPartition) {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	for name := range checkpoints {
		d.staleLocked(name, tp)
	}
}

func (d *logDir) staleLocked(name string, tp protocol.TopicPartition) {
	if d.checkpoints.stale[name] == nil {
		d.checkpoints.stale[name] = map[protocol.TopicPartition]struct{}{}
	}
	d.checkpoints.stale[name][tp] = struct{}{}
}

// forget makes sure, before a partition gets a log in the directory, that no checkpoint file speaks of one that it had there before: after a crash the new log
// would be cut to the old one's start, or count records as committed or durable that are not.
func (d *logDir) forget(tp protocol.TopicPartition) error {
	for name := range checkpoints {
		d.checkpoints.Lock()
		_, stale := d.checkpoints.stale[name][tp]
		d.checkpoints.Unlock()
		if !stale {
			continue
		}
		if err := d.checkpoint(name); err != nil {
			return err
		}
	}
	return nil
}

// noteStale notes whom a checkpoint file speaks of that has no log here.
func (d *logDir) noteStale(name string, offsets map[protocol.TopicPartition]int64, here map[protocol.TopicPartition]bool) {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	for tp := range offsets {
		if !here[tp] {
			d.staleLocked(name, tp)
		}
	}
}
