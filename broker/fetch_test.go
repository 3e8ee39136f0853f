package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// parked waits until a fetch of the broker waits for records.
func (r *running) parked() {
	r.t.Helper()
	eventually(r.t, "a parked fetch", func() bool {
		return slices.ContainsFunc(goroutines(), func(stack string) bool {
			return strings.Contains(stack, "[select") && strings.Contains(stack, "(*fetchOp).wait")
		})
	})
}

// longPoll is a Fetch of partitions 0 to n-1 from the given offset on that waits for minBytes for as long as the test does.
func longPoll(topic string, n int32, offset int64, minBytes int32) *kmsg.FetchRequest {
	req := fetchPartitions(topic, n)
	req.MinBytes, req.MaxWaitMillis = minBytes, int32(10*patience.Milliseconds())
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].FetchOffset = offset
	}
	return req
}

// What ends a parked fetch: an append to any of its partitions, and the end of its topic. Its connection lives on.
func TestLongPoll(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(r *running)
		want string
	}{
		{"append", func(r *running) { r.dial().produced("t", 1, "x") }, "0:[] 0:[0:x]"},
		{"append without answer", func(r *running) { r.dial().send(produceTo("t", 0, 0, values("x"))) }, "0:[0:x] 0:[]"},
		{"topic deleted", func(r *running) { r.deleteTopic("t") }, ""},
		{"leader epoch", func(r *running) {
			setISR(r.t.(*testing.T), r, r.metadata.TopicID("t"), 0)()
			r.dial().produced("t", 0, "x")
		}, "0:[0:x] 0:[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startBroker(t, nil)
			r.createTopic("t", 2)
			c := r.dial()
			req := longPoll("t", 2, 0, 1)
			id := c.send(req)
			r.parked()
			tc.do(r)
			resp := c.receive(req, id).(*kmsg.FetchResponse)
			var got []string
			for _, p := range resp.Topics[0].Partitions {
				got = append(got, fmt.Sprintf("%d:%v", p.ErrorCode, recordValues(t, p.RecordBatches)))
			}
			if tc.want == "" {
				for _, p := range resp.Topics[0].Partitions {
					if code := protocol.ErrorCode(p.ErrorCode); code != protocol.None && code != protocol.UnknownTopicOrPartition && code != protocol.NotLeaderOrFollower {
						t.Errorf("partition %d: %v", p.Partition, code)
					}
				}
			} else if fmt.Sprintf("[%s]", tc.want) != fmt.Sprint(got) {
				t.Errorf("got %v, want %s", got, tc.want)
			}
			c.alive()
		})
	}
}

// An append at any moment of a fetch's way to its wait is not missed.
func TestLongPollMeetsAppend(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c, producer := r.dial(), r.dial()
	for offset := range int64(500) {
		fetch, produce := longPoll("t", 1, offset, 1), produceTo("t", 0, 1, values("x"))
		fetched, produced := c.send(fetch), producer.send(produce)
		if p := c.receive(fetch, fetched).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(p.RecordBatches) == 0 {
			t.Fatalf("nothing at offset %d: %+v", offset, p)
		}
		producer.receive(produce, produced)
	}
}

// min bytes are waited for over several appends, and the time limit ends the wait with what is there.
func TestMinBytes(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c, producer := r.dial(), r.dial()
	req := longPoll("t", 1, 0, int32(len(values("x")))*3)
	id := c.send(req)
	for _, v := range []string{"x", "y", "z"} {
		r.parked()
		producer.produced("t", 0, v)
	}
	if got := recordValues(t, c.receive(req, id).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches); len(got) != 3 {
		t.Errorf("answered with %v, want three records", got)
	}
	req.MinBytes, req.MaxWaitMillis = 1<<20, 50
	start := time.Now()
	p := ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]
	if got := recordValues(t, p.RecordBatches); len(got) != 3 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("%v after %v", got, time.Since(start))
	}
}

// A fetch at the end of the log with max wait 0 answers at once, empty.
func TestNoWait(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	p := ask[*kmsg.FetchResponse](r.dial(), fetchPartitions("t", 1)).Topics[0].Partitions[0]
	if p.ErrorCode != 0 || len(p.RecordBatches) != 0 || p.HighWatermark != 0 {
		t.Errorf("%+v", p)
	}
}

// The limits of a fetch: of a partition, of the whole, of the broker. The first batch found comes whole whatever the limits.
func TestFetchLimits(t *testing.T) {
	r := startBroker(t, map[string]string{"fetch.max.bytes": "4096"})
	r.createTopic("t", 3)
	c := r.dial()
	one := len(values("0123456789"))
	for p := range int32(3) {
		for range 10 {
			c.produced("t", p, "0123456789")
		}
	}
	big := make([]byte, 6000)
	r.createTopic("big", 2)
	for p := range int32(2) {
		c.produced("big", p, string(big))
	}
	for _, tc := range []struct {
		name       string
		topic      string
		partitions int32
		max        int32 // of the whole
		each       []int32
		want       []int // whole batches
	}{
		{"plenty", "t", 3, 1 << 20, []int32{1 << 20, 1 << 20, 1 << 20}, []int{10, 10, 10}},
		{"each partition", "t", 3, 1 << 20, []int32{int32(3 * one), int32(one), int32(2*one + 5)}, []int{3, 1, 2}},
		{"the whole", "t", 3, int32(12 * one), []int32{1 << 20, 1 << 20, 1 << 20}, []int{10, 2, 0}},
		{"the whole, fair shares", "t", 3, int32(9 * one), []int32{int32(3 * one), int32(3 * one), int32(3 * one)}, []int{3, 3, 3}},
		{"nothing asked for but the first batch", "t", 3, 0, []int32{0, 0, 0}, []int{1, 0, 0}},
		{"the broker's limit", "big", 2, 50 << 20, []int32{1 << 20, 1 << 20}, []int{1, 0}},
		{"a batch larger than its limit", "big", 2, 1 << 20, []int32{100, 100}, []int{1, 0}},
	} {
		req := fetchPartitions(tc.topic, tc.partitions)
		req.MaxBytes = tc.max
		for i := range tc.each {
			req.Topics[0].Partitions[i].PartitionMaxBytes = tc.each[i]
		}
		resp := ask[*kmsg.FetchResponse](c, req)
		for i, p := range resp.Topics[0].Partitions {
			if got := wholeBatches(p.RecordBatches); got != tc.want[i] {
				t.Errorf("%s: partition %d has %d batches in %d bytes, want %d", tc.name, i, got, len(p.RecordBatches), tc.want[i])
			}
		}
	}
}

// wholeBatches counts the batches that are all there; the last one of a fetch may be cut.
func wholeBatches(set []byte) (n int) {
	for len(set) >= 12 {
		size := 12 + int(uint32(set[8])<<24|uint32(set[9])<<16|uint32(set[10])<<8|uint32(set[11]))
		if size > len(set) {
			break
		}
		set, n = set[size:], n+1
	}
	return n
}

// Each partition's error stands alone, with -1 offsets and empty records; an error answers a fetch that would wait.
func TestFetchErrors(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 1)
	c := r.dial()
	c.produced("t", 0, "x")
	for _, tc := range []struct {
		name   string
		change func(req *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition)
		want   protocol.ErrorCode
	}{
		{"offset beyond the end", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = 2 }, protocol.OffsetOutOfRange},
		{"negative offset", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = -5 }, protocol.OffsetOutOfRange},
		{"no such partition", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.Partition = 7 }, protocol.UnknownTopicOrPartition},
		{"no such topic", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.Topics[0].Topic = "nope" }, protocol.UnknownTopicOrPartition},
		{"no such id", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) {
			req.Version, req.Topics[0].TopicID = 13, [16]byte{9}
		}, protocol.UnknownTopicID},
		{"epoch to come", func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = 9 }, protocol.UnknownLeaderEpoch},
		{"a broker that is no replica", func(req *kmsg.FetchRequest, _ *kmsg.FetchRequestTopicPartition) { req.ReplicaID = 5 }, protocol.NotLeaderOrFollower},
	} {
		req := longPoll("t", 1, 1, 1)
		req.Topics[0].TopicID = id
		tc.change(req, &req.Topics[0].Partitions[0])
		resp := ask[*kmsg.FetchResponse](c, req)
		p := resp.Topics[0].Partitions[0]
		if code := protocol.ErrorCode(p.ErrorCode); code != tc.want || resp.ErrorCode != 0 || p.HighWatermark != -1 || p.LastStableOffset != -1 || p.LogStartOffset != -1 || p.RecordBatches == nil {
			t.Errorf("%s: %v, %+v; want %v", tc.name, code, p, tc.want)
		}
	}
}

// Slow and fast requests in one burst are answered in the order they were sent, while the appends among them happen at once: the produce
// behind a parked fetch is what ends the fetch's wait.
func TestPipelining(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c := r.dial()
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 9
	requests := []kmsg.Request{
		kmsg.NewPtrApiVersionsRequest(), longPoll("t", 1, 0, 1), kmsg.NewPtrApiVersionsRequest(), metadata,
		produceTo("t", 0, 1, values("a")), longPoll("t", 1, 1, 1), produceTo("t", 0, -1, values("b")), fetchPartitions("t", 1),
		produceTo("t", 0, 0, values("c")), longPoll("t", 1, 2, 1), metadata,
	}
	var burst []byte
	for i, req := range requests {
		burst = append(burst, protocol.AppendRequest(nil, int32(i), "test", req)...)
	}
	if _, err := c.Write(burst); err != nil {
		t.Fatal(err)
	}
	for i, req := range requests {
		if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
			continue
		}
		resp := c.receive(req, int32(i))
		if f, ok := resp.(*kmsg.FetchResponse); ok && len(f.Topics[0].Partitions[0].RecordBatches) == 0 {
			t.Errorf("answer %d: nothing fetched", i)
		}
	}
}

// A client that leaves while its fetch waits leaves nothing behind.
func TestClientLeavesLongPoll(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	before := len(goroutines())
	for range 10 {
		c := r.dial()
		c.send(longPoll("t", 1, 0, 1))
		r.parked()
		c.Close()
	}
	eventually(t, "the end of their goroutines", func() bool { return len(goroutines()) <= before })
}
