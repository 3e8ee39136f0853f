package storage

import (
	"fmt"
	"hash/maphash"
	"path/filepath"

	"gregor/protocol"
)

// checkpoints are the checkpoint files of a log directory, and what each says of a log; has is false for a log that it does not mention.
var checkpoints = map[string]func(*Log) (offset int64, has bool){
	recoveryPointCheckpoint: func(l *Log) (int64, bool) { return l.recoveryPoint.Load(), true },
	// Logs that begin at their first segment's base are left out: the files tell.
	logStartCheckpoint: func(l *Log) (int64, bool) {
		start := l.logStart.Load()
		return start, start > l.segments.Load().list[0].base
	},
	replicationCheckpoint: func(l *Log) (int64, bool) { return l.highWatermark.Load(), true },
}

// checkpointDigest stands for the content of a checkpoint file, in any order of its lines. lines begins at 1, so that the zero value is no file.
type checkpointDigest struct{ sum, lines uint64 }

var checkpointSeed = maphash.MakeSeed()

func (c *checkpointDigest) add(tp protocol.TopicPartition, offset int64) {
	c.sum += maphash.Comparable(checkpointSeed, struct {
		protocol.TopicPartition
		offset int64
	}{tp, offset})
	c.lines++
}

// checkpoint replaces a checkpoint file unless it has that content already.
func (d *logDir) checkpoint(name string) error {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	if d.err() != nil || d.unchangedLocked(name) {
		return nil
	}
	var logs []*Log
	d.manager.each(func(l *Log) {
		if l.dir == d {
			logs = append(logs, l)
		}
	})
	offsets, digest := make(map[protocol.TopicPartition]int64, len(logs)), checkpointDigest{lines: 1}
	for _, l := range logs {
		if offset, has := checkpoints[name](l); has {
			offsets[l.tp] = offset
			digest.add(l.tp, offset)
		}
	}
	for tp := range d.checkpoints.stale[name] {
		if _, back := offsets[tp]; !back {
			delete(d.checkpoints.stale[name], tp)
		}
	}
	if d.checkpoints.written[name] == digest {
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
	if err := writeFileAtomic(filepath.Join(d.path, name), formatOffsetCheckpoint(offsets)); err != nil {
		return d.fail(fmt.Errorf("write %s: %w", name, err))
	}
	claim(false)
	d.checkpoints.written[name] = digest
	return nil
}

// unchangedLocked reports whether a checkpoint file says already what it would say now. It allocates nothing: most of the many partitions that a broker may have
// are idle, and it looks at them every few seconds.
func (d *logDir) unchangedLocked(name string) bool {
	if len(d.checkpoints.stale[name]) > 0 {
		return false
	}
	digest := checkpointDigest{lines: 1}
	offset := checkpoints[name]
	d.manager.each(func(l *Log) {
		if l.dir != d {
			return
		}
		if o, has := offset(l); has {
			digest.add(l.tp, o)
		}
	})
	return d.checkpoints.written[name] == digest
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
