package broker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Costs that can be counted, against what must not drive them: the curves of docs/performance.md in a form that a test can hold. Seconds are never
// asserted.

// counted is what one request costs: system calls that read and write, bytes written (to logs and sockets), allocations.
type counted struct{ reads, writes, written, allocs float64 }

// within says whether a cost is at most 15 % above another one, as far as it can be counted in whole calls.
func (c counted) within(least counted) bool {
	return c.reads <= least.reads*1.15 && c.writes <= least.writes*1.15 && c.written <= least.written*1.15 && c.allocs < least.allocs*1.15+1
}

// costOf calls f, which has been called often enough to be warm, and returns what it costs.
func costOf(t *testing.T, f func()) (c counted) {
	t.Helper()
	const times = 100
	if !raceEnabled {
		c.allocs = testing.AllocsPerRun(times, f)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, between := threadIO(t), threadIO(t)
	for range times {
		f()
	}
	after := threadIO(t)
	per := func(name string) float64 { return float64(after[name]-2*between[name]+before[name]) / times } // less what looking costs
	c.reads, c.writes, c.written = per("syscr:"), per("syscw:"), per("wchar:")
	return c
}

// threadIO are the kernel's counters of this thread.
func threadIO(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	counters := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err != nil {
			t.Fatal(err)
		}
		counters[name] = n
	}
	return counters
}

// served is what a connection does with a request that came alone.
func served(t *testing.T, c *conn, request []byte) func() {
	work := append([]byte(nil), request...)
	return func() {
		copy(work, request) // an append patches the frame in place
		if err := c.handle(work); err != nil {
			t.Fatal(err)
		}
		if err := c.out.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

func repeat(n int, f func()) {
	for range n {
		f()
	}
}

// TestRequestCostsAmongIdlePartitions: partitions that nobody writes to make neither a produce nor a fetch request dearer.
func TestRequestCostsAmongIdlePartitions(t *testing.T) {
	b := hotBroker(t)
	c := hotConn(t, b)
	hot, _ := b.replicas.Partition(protocol.TopicPartition{Topic: "hot"})
	least, led := map[string]counted{}, 1
	for _, partitions := range []int{1, 20, 400} {
		for ; led < partitions; led++ {
			lead(t, b, fmt.Sprintf("idle-%d", led), 0, []int32{0})
		}
		measure := func(name string, request []byte) {
			once := served(t, c, request)
			repeat(100, once)
			got := costOf(t, once)
			t.Logf("%s, %d partitions: %+v", name, partitions, got)
			if partitions == 1 {
				least[name] = got
			} else if !got.within(least[name]) {
				t.Errorf("%s among %d partitions costs %+v, alone %+v", name, partitions, got, least[name])
			}
		}
		measure("produce", produceFrame(1, 15, 1000))
		measure("fetch", fetchFrame(hot.Log().LogEndOffset()-30, 32<<10))
	}
}

// TestSessionFetchCostsWhatChanged: in a fetch session, an answer says what is new, and nothing is read or allocated for what is not.
func TestSessionFetchCostsWhatChanged(t *testing.T) {
	b := hotBroker(t)
	led := 1
	var least counted
	for _, partitions := range []int{1, 20, 400} {
		for ; led < partitions; led++ {
			lead(t, b, fmt.Sprintf("idle-%d", led), 0, []int32{0})
		}
		c := hotConn(t, b)
		served(t, c, sessionFrame(0, 0, 0, partitions))()
		var id int32
		for other, s := range b.sessions.mu.byID {
			if s.size() == partitions {
				id = other
			}
		}
		hot, _ := b.replicas.Partition(protocol.TopicPartition{Topic: "hot"})
		produce := served(t, c, produceFrame(1, 15, 100))
		epoch := int32(0)
		fetch := func() { // the partition with news is asked for anew, from the last batch on
			epoch++
			served(t, c, sessionFrame(id, epoch, hot.Log().LogEndOffset()-15, 1))()
		}
		both := func() { produce(); fetch() }
		repeat(100, both)
		got := costOf(t, both)
		t.Logf("%d partitions in the session: %+v", partitions, got)
		if partitions == 1 {
			least = got
		} else if !got.within(least) {
			t.Errorf("with %d partitions in the session a produce and a fetch cost %+v, with one %+v", partitions, got, least)
		}
	}
}

// sessionFrame asks for the first so many partitions of hot, idle-1, idle-2 ..., in the session (a new one with epoch 0). The offset is that of hot.
func sessionFrame(id, epoch int32, offset int64, partitions int) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionID, req.SessionEpoch = 12, 0, 1<<20, id, epoch
	for i := range partitions {
		topic := kmsg.NewFetchRequestTopic()
		p := kmsg.NewFetchRequestTopicPartition()
		topic.Topic, p.FetchOffset, p.PartitionMaxBytes = "hot", offset, 1<<20
		if i > 0 {
			topic.Topic, p.FetchOffset = fmt.Sprintf("idle-%d", i), 0
		}
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
	}
	return frame(req, 1)[4:]
}

// TestRequestsOfAnySizeAllocateNothing: from 100 B to 900 KiB, however many records they hold.
func TestRequestsOfAnySizeAllocateNothing(t *testing.T) {
	c := hotConn(t, hotBroker(t))
	for _, shape := range []struct{ records, size int }{{1, 100}, {1, 1000}, {15, 1000}, {1, 15_000}, {1000, 15}, {120, 1000}, {1, 900_000}, {10_000, 80}} {
		once := served(t, c, produceFrame(1, shape.records, shape.size))
		repeat(20, once)
		got := costOf(t, once)
		t.Logf("%d records of %d bytes: %+v", shape.records, shape.size, got)
		if got.writes > 2.1 || got.reads > 0 || got.allocs >= 1 || got.written > 1.01*float64(len(produceFrame(1, shape.records, shape.size)))+200 { // now and then a block of an index
			t.Errorf("%d records of %d bytes: %+v, want one write to the log and one to the socket", shape.records, shape.size, got)
		}
	}
}

// TestBusyConnectionCostsAmongIdleOnes: connections that are open and ask nothing make no request dearer.
func TestBusyConnectionCostsAmongIdleOnes(t *testing.T) {
	b := hotBroker(t)
	c := hotConn(t, b)
	once := served(t, c, produceFrame(1, 15, 1000))
	var least counted
	for i, idle := range []int{0, 10, 100} {
		repeat(idle, func() {
			other := hotConn(t, b)
			served(t, other, fetchFrame(0, 1<<10))()
		})
		repeat(100, once)
		got := costOf(t, once)
		if i == 0 {
			least = got
		} else if !got.within(least) {
			t.Errorf("beside %d connections a produce request costs %+v, alone %+v", idle, got, least)
		}
	}
}
