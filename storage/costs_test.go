package storage

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gregor/protocol"
	"gregor/protocol/record"
)

// Costs that can be counted, against what must not drive them: the curves of docs/performance.md in a form that a test can hold. Seconds are never
// asserted.

// systemIO are a thread's or a process's reading and writing system calls, and the bytes that they moved.
type systemIO struct{ reads, writes, readBytes, writtenBytes int }

func (a systemIO) minus(b systemIO) systemIO {
	return systemIO{a.reads - b.reads, a.writes - b.writes, a.readBytes - b.readBytes, a.writtenBytes - b.writtenBytes}
}

// ioOf reads the kernel's counters: of "thread-self", or of "self", the process.
func ioOf(t testing.TB, who string) (io systemIO) {
	t.Helper()
	data, err := os.ReadFile("/proc/" + who + "/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatal(err)
		}
		for field, counter := range map[string]*int{"rchar:": &io.readBytes, "wchar:": &io.writtenBytes, "syscr:": &io.reads, "syscw:": &io.writes} {
			if field == name {
				*counter = n
			}
		}
	}
	return io
}

// ioDuring is what f does, less what looking costs.
func ioDuring(t testing.TB, who string, f func()) systemIO {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, between := ioOf(t, who), ioOf(t, who)
	f()
	return ioOf(t, who).minus(between).minus(between.minus(before))
}

// filled appends so many bytes in batches of 16 KiB.
func filled(t testing.TB, l *Log, bytes int) {
	t.Helper()
	template := batch(16, 1000, 1700000000000)
	set := append(record.Batch(nil), template...)
	var out AppendResult
	for range bytes / len(template) {
		copy(set, template)
		if err := l.AppendAsLeader(set, 0, FromClient, &out); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFirstReadCosts: what a reader costs who jumps grows with the logarithm of the segment's index, and not with the log behind him.
func TestFirstReadCosts(t *testing.T) {
	for _, segment := range []int32{1 << 30, 1 << 20} {
		for _, length := range []int{1 << 20, 8 << 20, 64 << 20} {
			l := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = segment }).log()
			filled(t, l, length)
			end := l.LogEndOffset()
			var in ReadResult
			const jumps = 200
			read := func() {
				for i := range int64(jumps) {
					if err := l.Read(i*7919%end, 1024, end, true, &in); err != nil {
						t.Fatal(err)
					}
					in.Slice.Release()
				}
			}
			read() // opens index files
			io := ioDuring(t, "thread-self", read)
			reads, bytes := float64(io.reads)/jumps, io.readBytes/jumps
			t.Logf("%d MiB in segments of %d MiB: %.2f reads, %d bytes for each jump", length>>20, segment>>20, reads, bytes)
			if most := 2 + math.Log2(float64(min(int64(length), int64(segment))>>20)); reads > most || bytes > 8<<10 {
				t.Errorf("a log of %d MiB in segments of %d MiB: a jump costs %.1f reads of %d bytes together, more than %.0f", length>>20, segment>>20, reads, bytes, most)
			}
		}
	}
}

// TestStartReadsWhatWasNotFlushed: what a start after a crash reads follows the bytes behind the recovery point, and not those before it.
func TestStartReadsWhatWasNotFlushed(t *testing.T) {
	read := func(flushed, unflushed int) int {
		r := newRig(t, 1, nil)
		filled(t, r.log(), flushed)
		checkpointed(t, r)
		filled(t, r.log(), unflushed)
		r.m.Close(false)
		return ioDuring(t, "self", r.open).readBytes
	}
	const tail = 2 << 20
	least := read(1<<20, tail)
	for _, flushed := range []int{8 << 20, 64 << 20} {
		got := read(flushed, tail)
		t.Logf("%d MiB flushed: %d bytes read, instead of %d", flushed>>20, got, least)
		if got > least*115/100 {
			t.Errorf("a start behind %d MiB that were flushed reads %d bytes, behind 1 MiB %d", flushed>>20, got, least)
		}
	}
	if got := read(1<<20, 4*tail); got < 3*least || got > 5*least {
		t.Errorf("a start with four times the unflushed bytes reads %d bytes, with as much as once %d", got, least)
	}
}

// TestAppendCosts: records in a batch and other partitions cost an append nothing that can be counted.
func TestAppendCosts(t *testing.T) {
	for _, c := range []struct{ records, partitions int }{{1, 1}, {30, 1}, {1000, 1}, {15, 10}, {15, 100}} {
		r := newRig(t, 1, nil)
		for i := range c.partitions {
			tp := tp0
			tp.Partition = int32(i)
			if _, err := r.m.GetOrCreate(tp, CreateOptions{IsNew: true}); err != nil {
				t.Fatal(err)
			}
		}
		l := r.log()
		template := batch(c.records, 60_000/c.records, 1700000000000)
		set := append(record.Batch(nil), template...)
		var out AppendResult
		appendOnce := func() {
			copy(set, template)
			if err := l.AppendAsLeader(set, 0, FromClient, &out); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			appendOnce()
		}
		expectNoAllocs(t, fmt.Sprintf("append of %d records, of %d partitions", c.records, c.partitions), appendOnce)
		const times = 50
		io := ioDuring(t, "thread-self", func() {
			for range times {
				appendOnce()
			}
		})
		if io.writes > times+2 || io.reads > 0 || io.writtenBytes > times*(len(set)+100) {
			t.Errorf("%d appends of %d records (%d bytes each), of %d partitions: %+v", times, c.records, len(set), c.partitions, io)
		}
	}
}

// Checkpoint files say one line for each log, and are written when one of them changes: what an idle broker has costs a look every few seconds and no more.
func TestCheckpointCostsWhatChanged(t *testing.T) {
	r := newRig(t, 1, nil)
	var logs []*Log
	for p := range int32(300) {
		l, err := r.m.GetOrCreate(protocol.TopicPartition{Topic: "idle", Partition: p}, CreateOptions{IsNew: true})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
	}
	mustAppend(t, logs[7], batch(3, 10, 1700000000000))
	path := filepath.Join(r.cfg.Dirs[0], replicationCheckpoint)
	lookAgain := func() {
		if err := r.m.dirs[0].checkpoint(replicationCheckpoint); err != nil {
			t.Fatal(err)
		}
	}
	written := func() string {
		lookAgain()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if before := written(); strings.Count(before, "\n") != 302 || !strings.Contains(before, "\nidle 7 0\n") {
		t.Fatalf("300 logs: %q", before)
	}
	expectNoAllocs(t, "a look at what has not changed", lookAgain)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	lookAgain()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("nothing has changed, and the file was written: %v", err)
	}
	logs[7].SetHighWatermark(2)
	if after := written(); !strings.Contains(after, "\nidle 7 2\n") {
		t.Errorf("a high watermark has risen: %q", after)
	}
	logs[8].highWatermark.Store(2) // the sum of all is the same again
	logs[7].highWatermark.Store(0)
	if after := written(); !strings.Contains(after, "\nidle 7 0\n") || !strings.Contains(after, "\nidle 8 2\n") {
		t.Errorf("two high watermarks have changed places: %q", after)
	}
}
