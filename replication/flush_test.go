package replication

import (
	"sync/atomic"
	"testing"

	"gregor/storage"
)

// slowDisk is a log whose due flush waits for the test.
type slowDisk struct {
	Log
	flushed chan error
	bound   atomic.Int64
}

func (s *slowDisk) CommitBound() int64 { return s.bound.Load() }

func (s *slowDisk) FlushDue() error {
	err := <-s.flushed
	if err == nil {
		s.bound.Store(s.LogEndOffset())
	}
	return err
}

// While flush.messages has an append wait for the disk, the partition's lock is free, who waits for the log's end is woken, and the high watermark stands still.
func TestAppendFlushesOutsideTheLock(t *testing.T) {
	r := newReplica(t, 1, 1)
	log, err := r.disk.GetOrCreate(tp0, storage.CreateOptions{IsNew: true})
	if err != nil {
		t.Fatal(err)
	}
	disk := &slowDisk{Log: log, flushed: make(chan error)}
	p := r.newPartition(tp0, disk)
	if err := p.become(state{leader: me, leaderEpoch: 1, isr: []int32{me}, replicas: []int32{me}}); err != nil {
		t.Fatal(err)
	}
	reader, acked := NewWaiter(), make(chan error)
	p.Watch(reader, LogEnd)
	appendOne := func() {
		var out storage.AppendResult
		acked <- p.Append(batch(1), 1, storage.FromClient, &out)
	}
	go appendOne()
	<-reader.C
	if p.Committed(0) {
		t.Error("a record is committed that is not flushed")
	}
	if err := p.become(state{leader: me, leaderEpoch: 2, isr: []int32{me}, replicas: []int32{me}}); err != nil { // takes the lock
		t.Fatal(err)
	}
	if p.Committed(0) {
		t.Error("a new leader epoch commits a record that is not flushed")
	}
	disk.flushed <- nil
	if err := <-acked; err != nil || !p.Committed(0) {
		t.Errorf("%v; committed: %t", err, p.Committed(0))
	}

	go appendOne()
	disk.flushed <- storage.ErrStorage
	if err := <-acked; err == nil || p.Committed(1) {
		t.Errorf("%v; committed: %t", err, p.Committed(1))
	}
}
