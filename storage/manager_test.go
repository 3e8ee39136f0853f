package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gregor/protocol"
)

func TestLockedDirectory(t *testing.T) {
	r := newRig(t, 1, nil)
	_, err := Open(r.cfg)
	want := "Failed to acquire lock on file .lock in " + r.cfg.Dirs[0] + ". A Kafka instance in another process or thread is using this directory."
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("second open: %v", err)
	}
	if err := r.m.Close(true); err != nil {
		t.Fatal(err)
	}
	r.open() // the lock is free again
}

func TestMetaProperties(t *testing.T) {
	r := newRig(t, 2, nil)
	path := filepath.Join(r.cfg.Dirs[0], metaPropertiesFile)
	if p := r.m.Meta()[r.cfg.Dirs[0]]; p.Present || p.BrokerID != -1 {
		t.Errorf("of a new directory: %+v", p)
	}
	want := MetaProperties{ClusterID: "l7Hdrc1VQSKOw5nsVPs8uw", BrokerID: 7}
	if err := r.m.WriteMeta(want); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	for _, line := range []string{"broker.id=7\n", "cluster.id=l7Hdrc1VQSKOw5nsVPs8uw\n", "version=0\n"} {
		if !strings.Contains(string(data), line) {
			t.Errorf("%q is missing in %q", line, data)
		}
	}
	r.restart(func(string) { os.WriteFile(path, append(data, "directory.id=x\\:y\n"...), 0o644) })
	if p := r.m.Meta()[r.cfg.Dirs[0]]; !p.Present || p.BrokerID != 7 || p.ClusterID != want.ClusterID {
		t.Errorf("read %+v", p)
	}
	if err := r.m.WriteMeta(MetaProperties{ClusterID: "other", BrokerID: 8}); err != nil {
		t.Fatal(err)
	}
	if data, _ = os.ReadFile(path); !strings.Contains(string(data), "directory.id=x\\:y\n") {
		t.Errorf("a key of others is lost: %q", data)
	}
	r.m.Close(true)
	for _, bad := range []string{"version=1\nnode.id=3\n", "version=0\nbroker.id=x\n", "version=0\nbroker.id=-5\n"} {
		os.WriteFile(path, []byte(bad), 0o644)
		if m, err := Open(r.cfg); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", bad, err)
			m.Close(false)
		}
	}
}

func TestMarkerIsGoneBeforeLogsAreOpened(t *testing.T) {
	r := newRig(t, 1, nil)
	fill(t, r.log(), 3)
	marker := filepath.Join(r.cfg.Dirs[0], cleanShutdownFile)
	if err := r.m.Close(true); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(marker); err != nil || string(data) != `{"version":0,"brokerEpoch":-1}` {
		t.Errorf("marker: %q, %v", data, err)
	}
	inspected := false
	r.cfg.TopicConfig = func(string) LogConfig {
		inspected = true
		if exists(marker) {
			t.Error("the marker is there while a log is opened")
		}
		return r.topic
	}
	r.open()
	if !inspected || !r.output.contains("Skipping recovery of 1 logs") || !r.output.contains("Loaded 1 logs in") {
		t.Error("the log was not loaded as after a clean stop")
	}
}

func TestPlacementAndDirs(t *testing.T) {
	r := newRig(t, 3, nil)
	for i := range int32(7) {
		if _, err := r.m.GetOrCreate(protocol.TopicPartition{Topic: "x", Partition: i}, CreateOptions{IsNew: true}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		var got []int
		for _, d := range r.m.Dirs() {
			got = append(got, len(d.Logs))
			if d.Err != nil || d.TotalBytes <= 0 || d.UsableBytes <= 0 {
				t.Errorf("%+v", d)
			}
		}
		if fmt.Sprint(got) != "[3 2 2]" {
			t.Errorf("logs per directory: %v", got)
		}
		r.restart()
	}
	if !r.output.contains("Created log for partition x-0 in " + filepath.Join(r.cfg.Dirs[0], "x-0") + " with properties {}") {
		t.Error("no line about the creation")
	}
}

func TestTopicID(t *testing.T) {
	r := newRig(t, 1, nil)
	id := protocol.TopicID{1, 2, 3}
	if _, err := r.m.GetOrCreate(tp0, CreateOptions{TopicID: id, IsNew: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.partition(), partitionMetadataFile)); err == nil {
		t.Error("a log that has nothing to lose has partition.metadata")
	}
	fill(t, r.log(), 1)
	data, _ := os.ReadFile(filepath.Join(r.partition(), partitionMetadataFile))
	if string(data) != "version: 0\ntopic_id: "+id.String() {
		t.Errorf("partition.metadata is %q", data)
	}
	l := r.restart()
	if l.TopicID() != id {
		t.Errorf("after a restart: %v", l.TopicID())
	}
	if err := l.SetTopicID(protocol.TopicID{9}); !errors.Is(err, protocol.InconsistentTopicID) || l.TopicID() != id {
		t.Errorf("another id: %v, %v", err, l.TopicID())
	}
	if l = r.restart(remove("t-0/partition.metadata")); !l.TopicID().IsZero() {
		t.Errorf("without the file: %v", l.TopicID())
	}
	if err := l.SetTopicID(id); err != nil || r.crash().TopicID() != id {
		t.Errorf("set again: %v, %v", err, r.log().TopicID())
	}
}

func TestDeleteAndRecreate(t *testing.T) {
	r := newRig(t, 1, nil)
	fill(t, r.log(), 5)
	if err := r.m.Delete(tp0); err != nil {
		t.Fatal(err)
	}
	if r.m.Get(tp0) != nil || exists(r.partition()) {
		t.Error("the log is still there")
	}
	gone, _ := filepath.Glob(filepath.Join(r.cfg.Dirs[0], "t-0.*-delete"))
	if len(gone) != 1 || len(filepath.Base(gone[0])) != len("t-0.")+32+len("-delete") {
		t.Errorf("renamed to %v", gone)
	}
	fill(t, r.log(), 2)
	r.topic.FileDeleteDelayMs, r.cfg.InitialDefault.FileDeleteDelayMs = 0, 0
	expectOffsets(t, r.restart(), 0, 2)
	r.m.background.waitForRemovals()
	if exists(gone[0]) {
		t.Error("the deleted directory survives a restart")
	}
	if err := r.m.Delete(protocol.TopicPartition{Topic: "no", Partition: 1}); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
}

// waitForRemovals lets the removals that are due happen.
func (b *background) waitForRemovals() {
	for {
		b.mu.Lock()
		n := len(b.mu.removals)
		b.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFilesGoAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 3000 })
		l := r.log()
		fill(t, l, 10)
		l.SetHighWatermark(10)
		if err := l.IncrementLogStartOffset(9); err != nil {
			t.Fatal(err)
		}
		renamed := filepath.Join(r.partition(), firstSegment+".log.deleted")
		if !exists(renamed) || exists(filepath.Join(r.partition(), firstSegment+".log")) {
			t.Error("the segment is not renamed")
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if !exists(renamed) {
			t.Error("removed before file.delete.delay.ms")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if names, _ := readDirNames(r.partition()); strings.Contains(strings.Join(names, " "), deletedSuffix) {
			t.Errorf("still there: %v", names)
		}
		r.m.Close(true)
	})
}

func TestPeriodicWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *LogConfig) { c.FlushMs, c.RetentionMs = 1000, 3600000 })
		r.m.Close(true)
		r.cfg.RetentionCheckInterval, r.cfg.HighWatermarkCheckpoint = 5*time.Minute, 5*time.Second
		r.cfg.FlushOffsetCheckpoint, r.cfg.FlushStartOffsetCheckpoint = time.Minute, time.Minute
		r.cfg.FlushSchedulerInterval = 3 * time.Second
		r.cfg.Clock = time.Now
		r.open()
		l := r.log()
		mustAppend(t, l, batch(3, 10, time.Now().UnixMilli()))
		l.SetHighWatermark(2)
		file := func(name string) string {
			synctest.Wait()
			data, _ := os.ReadFile(filepath.Join(r.cfg.Dirs[0], name))
			return string(data)
		}
		time.Sleep(6 * time.Second)
		if got := file(replicationCheckpoint); got != "0\n1\nt 0 2\n" {
			t.Errorf("high watermarks: %q", got)
		}
		time.Sleep(100 * time.Second)
		if got := file(recoveryPointCheckpoint); got != "0\n1\nt 0 3\n" {
			t.Errorf("recovery points after flush.ms: %q", got)
		}
		l.SetHighWatermark(3)
		if err := l.IncrementLogStartOffset(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := file(logStartCheckpoint); got != "0\n1\nt 0 1\n" {
			t.Errorf("log starts: %q", got)
		}
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		if l.LogStartOffset() != 3 {
			t.Errorf("retention.ms has passed, the log starts at %d", l.LogStartOffset())
		}
		r.m.Close(true)
	})
}

// A directory that fails takes its logs with it, once; the others live on.
func TestDirectoryFailure(t *testing.T) {
	r := newRig(t, 2, nil)
	other := protocol.TopicPartition{Topic: "t", Partition: 1}
	a := r.log()
	b, err := r.m.GetOrCreate(other, CreateOptions{IsNew: true})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, a, 3)
	fill(t, b, 3)
	a.segments.Load().active().mu.file.Close() // every further write fails
	var out AppendResult
	if err := a.AppendAsLeader(batch(1, 10, 1), 0, FromClient, &out); !errors.Is(err, ErrStorage) {
		t.Fatalf("append on a broken disk: %v", err)
	}
	if dir := <-r.failed; dir != r.cfg.Dirs[0] {
		t.Errorf("failed: %s", dir)
	}
	for _, err := range []error{
		a.AppendAsLeader(batch(1, 10, 1), 0, FromClient, &out), a.AppendAsFollower(batch(1, 10, 1)), a.Read(0, 100, 3, true, &ReadResult{}),
		a.Flush(), a.TruncateTail(1), a.TruncateFullyAndStartAt(0), a.IncrementLogStartOffset(0), a.AssignEpochStart(9), r.m.Delete(tp0),
	} {
		if err != nil && !errors.Is(err, ErrStorage) {
			t.Errorf("a call on the failed log: %v", err)
		}
	}
	if r.m.Get(tp0) != nil || !r.m.HasOfflineDirs() || r.m.Dirs()[0].Err == nil {
		t.Error("the failed directory is still online")
	}
	fill(t, b, 3)
	if _, err := r.m.GetOrCreate(tp0, CreateOptions{}); !errors.Is(err, ErrStorage) {
		t.Errorf("a log that may be on the failed directory: %v", err)
	}
	if l, err := r.m.GetOrCreate(protocol.TopicPartition{Topic: "new", Partition: 0}, CreateOptions{IsNew: true}); err != nil || l.Dir() != r.cfg.Dirs[1] {
		t.Errorf("a new log: %v", err)
	}
	r.m.Close(true)
	if exists(filepath.Join(r.cfg.Dirs[0], cleanShutdownFile)) || !exists(filepath.Join(r.cfg.Dirs[1], cleanShutdownFile)) {
		t.Error("the marker belongs to the healthy directory alone")
	}
	select {
	case dir := <-r.failed:
		t.Errorf("told twice about %s", dir)
	default:
	}
	r.open() // the disk was repaired: what was written is there
	expectOffsets(t, r.log(), 0, 3)
	expectOffsets(t, r.m.Get(other), 0, 6)
}

// An fsync that fails is final: the directory goes offline.
func TestFlushFailure(t *testing.T) {
	r := newRig(t, 2, nil)
	l := r.log()
	fill(t, l, 1)
	l.segments.Load().active().mu.file.Close()
	if err := l.Flush(); !errors.Is(err, ErrStorage) || l.recoveryPoint.Load() != 0 {
		t.Errorf("flush: %v, recovery point %d", err, l.recoveryPoint.Load())
	}
	<-r.failed
}

func TestUnusableDirectories(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	os.WriteFile(file, nil, 0o644)
	var told atomic.Int32
	cfg := ManagerConfig{Dirs: []string{file, filepath.Join(root, "a", "b")}, InitialDefault: defaultTopic(),
		Logger:       func(string) *slog.Logger { return slog.New(slog.DiscardHandler) },
		OnDirFailure: func(string, error) { told.Add(1) }}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(); err != nil {
		t.Fatal(err)
	}
	if d := m.Dirs(); !errors.Is(d[0].Err, syscall.ENOTDIR) || d[1].Err != nil {
		t.Errorf("%+v", d)
	}
	if _, err := m.GetOrCreate(tp0, CreateOptions{IsNew: true}); err != nil {
		t.Error(err)
	}
	m.Close(true)
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
	cfg.Dirs = cfg.Dirs[:1]
	if _, err := Open(cfg); err == nil {
		t.Error("no directory is usable, yet Open says nothing")
	}
}

func TestForeignAndOtherDirectories(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 2)
	r := newRig(t, 2, nil)
	fill(t, r.log(), 1)
	mk := func(name string) func(string) { return func(dir string) { os.Mkdir(filepath.Join(dir, name), 0o755) } }
	r.restart(mk("u-1."+id+"-stray"), mk(remoteIndexCacheDir))
	if n := len(r.m.Logs()); n != 1 {
		t.Errorf("%d logs", n)
	}
	if !exists(filepath.Join(r.cfg.Dirs[0], "u-1."+id+"-stray")) {
		t.Error("a stray log was removed")
	}
	r.m.Close(true)
	for _, name := range []string{"lost+found", "no", "t-x", "-1", "t-0.x-delete-y", "t-delete", "t-x." + id + "-future"} {
		path := filepath.Join(r.cfg.Dirs[0], name)
		os.Mkdir(path, 0o755)
		m, err := Open(r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Load(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		m.Close(false)
		os.Remove(path)
	}
}

func TestDirectoryNames(t *testing.T) {
	long := strings.Repeat("n", 249)
	for _, tp := range []protocol.TopicPartition{{Topic: "t", Partition: 0}, {Topic: long, Partition: 123456}, {Topic: "a-b-delete", Partition: 3}, {Topic: "a.b", Partition: 0}} {
		if kind, got := classifyDir(tp.String()); kind != partitionDir || got != tp {
			t.Errorf("%v is %v %v", tp, kind, got)
		}
		name := deleteDirName(tp)
		if kind, _ := classifyDir(name); kind != deletedDir || len(name) > 255 {
			t.Errorf("%s is %v with %d characters", name, kind, len(name))
		}
	}
}

func TestUpdateConfig(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.log()
	c := r.topic
	c.MaxMessageBytes = 100
	r.m.UpdateConfig("t", c)
	var out AppendResult
	if err := l.AppendAsLeader(batch(1, 200, 1), 0, FromClient, &out); !errors.Is(err, protocol.MessageTooLarge) {
		t.Errorf("after the change: %v", err)
	}
}

// A clean start of many logs reads no records and takes no time to speak of.
func TestCleanStartOpensNoOldSegment(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 3000 })
	fill(t, r.log(), 20)
	l := r.restart()
	list := l.segments.Load().list
	for _, s := range list[:len(list)-1] {
		if s.mu.file != nil || s.mu.indexed {
			t.Errorf("segment %d was opened", s.base)
		}
	}
	expectOffsets(t, l, 0, 20)
}

// partition.metadata of logs that nobody writes to comes in the background, or at a stop, whichever is first; one by one, or of many together.
func TestTopicIDsOfEmptyLogs(t *testing.T) {
	for _, n := range []int{1, syncEach + 1} {
		for _, wait := range []time.Duration{0, 2 * topicIDDelay} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, nil)
				for i := range n {
					tp := protocol.TopicPartition{Topic: "t", Partition: int32(i)}
					if _, err := r.m.GetOrCreate(tp, CreateOptions{TopicID: protocol.TopicID{1}, IsNew: true}); err != nil {
						t.Fatal(err)
					}
				}
				if wait > 0 {
					time.Sleep(wait)
					synctest.Wait()
				} else if err := r.m.Close(true); err != nil {
					t.Fatal(err)
				}
				files, _ := filepath.Glob(filepath.Join(r.cfg.Dirs[0], "t-*", partitionMetadataFile+"*"))
				if len(files) != n || !strings.HasSuffix(files[0], partitionMetadataFile) {
					t.Errorf("after %v %d of %d logs have their topic's id: %v", wait, len(files), n, files)
				}
				r.m.Close(true)
			})
		}
	}
}
