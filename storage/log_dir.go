package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gregor/protocol"
)

// logDir is one entry of log.dirs.
type logDir struct {
	path    string
	manager *Manager
	lock    *os.File // .lock; held as long as it is open
	failure atomic.Pointer[error]

	checkpoints struct {
		sync.Mutex
		written map[string]checkpointDigest // checkpoint file -> what it says, so that an idle broker does not write
		// stale are the partitions that a checkpoint file may still speak of although their logs have left the directory.
		stale map[string]map[protocol.TopicPartition]struct{}
	}
	meta atomic.Pointer[MetaProperties]
	// Tokens of what happens at the same time: commits whose files are being made durable, and logs that are being recovered.
	syncing, recovering chan struct{}
	ahead               readAhead

	entries struct {
		sync.Mutex
		changed bool // directories of logs were made since the last fsync
	}
}

// syncsAtOnce is how many commits of different logs ask a file system for durability at the same time, as many as Apache Kafka's request handlers. The device takes
// them one by one anyway; where more wait inside the kernel than in line here, some wait for much longer than others.
const syncsAtOnce = 8

// err is nil while the directory is online.
func (d *logDir) err() error {
	if e := d.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// fail takes the directory offline, once, and returns the error to answer with. The rest (closing its logs, telling the
// broker) happens on a goroutine of the manager, since the caller may hold a log's lock.
func (d *logDir) fail(cause error) error {
	if errors.Is(cause, ErrStorage) {
		return cause
	}
	err := fmt.Errorf("%w: %s: %w", ErrStorage, d.path, cause)
	if d.failure.CompareAndSwap(nil, &err) {
		d.manager.dirFailed(d, err)
	}
	return err
}

// errLocked says in Kafka's words that another process uses the directory.
func errLocked(dir string) error {
	return refuseStart("Failed to acquire lock on file %s in %s. A Kafka instance in another process or thread is using this directory.", lockFile, dir)
}

// openLogDir makes the directory when it is missing and locks it. locked reports that another process holds it.
func openLogDir(m *Manager, path string) (d *logDir, locked bool, err error) {
	made := makeLogDir(path)
	d = &logDir{path: path, manager: m, syncing: make(chan struct{}, syncsAtOnce), recovering: make(chan struct{}, max(m.cfg.RecoveryThreadsPerDir, 1)), ahead: newReadAhead(path)}
	d.checkpoints.written = map[string]checkpointDigest{}
	d.checkpoints.stale = map[string]map[protocol.TopicPartition]struct{}{}
	d.meta.Store(&MetaProperties{BrokerID: -1})
	if made != nil {
		return d, false, made
	}
	if d.lock, err = os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return d, false, err
	}
	// A lock of the open file, not of the process: it excludes the JVM's lockf and a second manager in this process.
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET}
	if err := unix.FcntlFlock(d.lock.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		d.lock.Close()
		d.lock = nil
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return d, true, errLocked(path)
		}
		return d, false, err
	}
	return d, false, nil
}

func makeLogDir(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	if err == nil && !st.IsDir() {
		return &os.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
	}
	return err
}

// madeEntry notes that the directory of a log was made. The first flush makes it durable; a log that is lost before has nothing durable in it.
func (d *logDir) madeEntry() {
	d.entries.Lock()
	d.entries.changed = true
	d.entries.Unlock()
}

// syncEntries makes the directories of new logs durable.
func (d *logDir) syncEntries() error {
	d.entries.Lock()
	defer d.entries.Unlock()
	if !d.entries.changed {
		return nil
	}
	if err := syncDir(d.path); err != nil {
		return err
	}
	d.entries.changed = false
	return nil
}

// unlock lets another process have the directory.
func (d *logDir) unlock() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// DirInfo is one log directory for DescribeLogDirs.
type DirInfo struct {
	Path                    string
	Err                     error  // non-nil when offline
	TotalBytes, UsableBytes int64  // of the file system; -1 unknown
	Logs                    []*Log // future ones, too
}

// Dirs describes all log directories, in the order of log.dirs.
func (m *Manager) Dirs() []DirInfo {
	byDir := m.byDir()
	list := make([]DirInfo, 0, len(m.dirs))
	for _, d := range m.dirs {
		info := DirInfo{Path: d.path, Err: d.err(), TotalBytes: -1, UsableBytes: -1, Logs: byDir[d]}
		var fs unix.Statfs_t
		if info.Err == nil && unix.Statfs(d.path, &fs) == nil {
			info.TotalBytes = int64(fs.Blocks) * fs.Bsize
			info.UsableBytes = int64(fs.Bavail) * fs.Bsize
		}
		list = append(list, info)
	}
	return list
}

// HasOfflineDirs reports whether a log directory has failed: a partition that is not found may live there.
func (m *Manager) HasOfflineDirs() bool {
	for _, d := range m.dirs {
		if d.err() != nil {
			return true
		}
	}
	return false
}
