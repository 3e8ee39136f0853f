package storage

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// topicIDDelay gathers the logs of one request of the controller.
const topicIDDelay = time.Second

// scheduleTopicID has partition.metadata of an empty log written soon. People and tools look for it; the log itself could wait for its first batch.
func (m *Manager) scheduleTopicID(l *Log) {
	b := &m.background
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.stopped {
		return
	}
	b.mu.topicIDs = append(b.mu.topicIDs, l)
	if len(b.mu.topicIDs) > 1 {
		return
	}
	b.wg.Go(func() {
		timer := time.NewTimer(topicIDDelay)
		defer timer.Stop()
		select {
		case <-b.done:
			return // the stop writes them
		case <-timer.C:
		}
		b.mu.Lock()
		queue := b.mu.topicIDs
		b.mu.topicIDs = nil
		b.mu.Unlock()
		m.storeTopicIDs(queue) // an error is the directory's
	})
}

// storeTopicIDs writes partition.metadata of many logs, with a wait for the disk for all that are in one directory when they are many.
func (m *Manager) storeTopicIDs(logs []*Log) {
	byDir := map[*logDir][]*Log{}
	for _, l := range logs {
		if t := l.topicID.Load(); t != nil && !t.stored && l.usable() == nil {
			byDir[l.dir] = append(byDir[l.dir], l)
		}
	}
	for d, logs := range byDir {
		if len(logs) <= syncEach || !syncfsReports() {
			m.inParallel(logs, func(l *Log) { l.storeTopicID(false) })
			continue
		}
		m.inParallel(logs, func(l *Log) { l.prepareTopicID() })
		if d.err() != nil {
			continue
		}
		if err := unix.Syncfs(int(d.lock.Fd())); err != nil {
			d.fail(err)
			continue
		}
		m.inParallel(logs, func(l *Log) { l.storeTopicID(true) })
	}
}

func (l *Log) topicIDPath() string { return filepath.Join(l.path, partitionMetadataFile) }

// prepareTopicID writes the file under its temporary name.
func (l *Log) prepareTopicID() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.topicID.Load(); !t.stored && !l.closed.Load() {
		if err := os.WriteFile(l.topicIDPath()+".tmp", formatPartitionMetadata(t.id), 0o644); err != nil {
			l.failed("write partition.metadata", err)
		}
	}
}

// storeTopicID puts the file in its place; prepared says that it is durable under its temporary name.
func (l *Log) storeTopicID(prepared bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.topicID.Load()
	if t.stored || l.closed.Load() {
		return
	}
	var err error
	if prepared {
		if err = os.Rename(l.topicIDPath()+".tmp", l.topicIDPath()); err == nil {
			l.topicID.Store(&topicIdentity{t.id, true})
		}
	} else {
		err = l.storeTopicIDLocked()
	}
	if err != nil {
		l.failed("write partition.metadata", err)
	}
}
