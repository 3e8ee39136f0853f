package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// What is written is read back, by name and by id, in every version of Fetch that carries batches.
func TestProduceFetchRoundTrip(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 2)
	c := r.dial()
	for v := int16(3); v <= 11; v++ {
		req := produceTo("t", 1, -1, values(fmt.Sprint("v", v)))
		req.Version = v
		p := ask[*kmsg.ProduceResponse](c, req).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != int64(v-3) || v >= 5 && p.LogStartOffset != 0 {
			t.Errorf("produce v%d: %+v", v, p)
		}
	}
	want := "[0:v3 1:v4 2:v5 3:v6 4:v7 5:v8 6:v9 7:v10 8:v11]"
	for v := int16(4); v <= 17; v++ {
		req := fetchPartitions("t", 2)
		req.Version = v
		if v >= 13 {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", id
		}
		resp := ask[*kmsg.FetchResponse](c, req)
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 {
			t.Fatalf("fetch v%d: %+v", v, resp)
		}
		p := resp.Topics[0].Partitions[1]
		if got := fmt.Sprint(recordValues(t, p.RecordBatches)); p.ErrorCode != 0 || p.HighWatermark != 9 || got != want {
			t.Errorf("fetch v%d: %v, %+v", v, got, p)
		}
		if empty := resp.Topics[0].Partitions[0]; empty.ErrorCode != 0 || empty.HighWatermark != 0 || empty.RecordBatches == nil || len(empty.RecordBatches) != 0 {
			t.Errorf("fetch v%d: the empty partition: %+v", v, empty)
		}
	}
}

// A batch of every size class of buffers and beyond the copying limit survives the way in and out.
func TestRecordSizes(t *testing.T) {
	r := startBroker(t, map[string]string{"message.max.bytes": "20000000"})
	r.createTopic("t", 1)
	c := r.dial()
	for i, size := range []int{1, 4000, 5000, 16 << 10, 130 << 10, 1 << 20, 5 << 20, 9 << 20} {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(j * (i + 3))
		}
		if got := c.produced("t", 0, string(value)); got != int64(i) {
			t.Fatalf("%d bytes: offset %d", size, got)
		}
		req := fetchPartitions("t", 1)
		req.Topics[0].Partitions[0].FetchOffset = int64(i)
		p := ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions[0]
		if got := recordValues(t, p.RecordBatches); len(got) != 1 || got[0] != fmt.Sprintf("%d:%s", i, value) {
			t.Fatalf("%d bytes come back as %d bytes", size, len(p.RecordBatches))
		}
	}
}

// acks 0: no answer, whatever follows is answered; with an error the connection closes.
func TestAcks0(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c := r.dial()
	for range 3 {
		c.send(produceTo("t", 0, 0, values("x")))
	}
	if got := c.produced("t", 0, "y"); got != 3 {
		t.Fatalf("offset %d after three batches without answers", got)
	}
	for name, req := range map[string]*kmsg.ProduceRequest{
		"unknown topic": produceTo("nope", 0, 0, values("x")),
		"garbage":       produceTo("t", 0, 0, []byte("garbage")),
	} {
		c := r.dial()
		first := kmsg.NewPtrApiVersionsRequest()
		id := c.send(first)
		c.send(req)
		c.receive(first, id) // what was asked before is answered
		c.closed()
		t.Log(name)
	}
}

// acks other than -1, 0, 1 are refused, per partition.
func TestInvalidAcks(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c := r.dial()
	for _, acks := range []int16{2, -2, 32767} {
		p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, acks, values("x"))).Topics[0].Partitions[0]
		if protocol.ErrorCode(p.ErrorCode) != protocol.InvalidRequiredAcks || p.BaseOffset != -1 {
			t.Errorf("acks %d: %+v", acks, p)
		}
	}
	if got := c.produced("t", 0, "x"); got != 0 {
		t.Errorf("offset %d: a refused batch was written", got)
	}
}

// Topics and partitions that are named twice are answered once, the last record set counting; topics without partitions are not answered.
func TestProduceDuplicates(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 2)
	r.createTopic("u", 1)
	req := produceTo("t", 0, 1, values("first"))
	add := func(topic string, partition int32, value string) {
		req.Topics = append(req.Topics, produceTo(topic, partition, 1, values(value)).Topics...)
	}
	add("u", 0, "u")
	add("t", 1, "other")
	add("t", 0, "last")
	req.Topics = append(req.Topics, kmsg.ProduceRequestTopic{Topic: "empty"})
	c := r.dial()
	resp := ask[*kmsg.ProduceResponse](c, req)
	var got []string
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			got = append(got, fmt.Sprintf("%s-%d:%d@%d", rt.Topic, p.Partition, p.ErrorCode, p.BaseOffset))
		}
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[t-0:0@0 t-1:0@0 u-0:0@0]" || len(resp.Topics) != 2 {
		t.Errorf("answered %v", got)
	}
	if p := ask[*kmsg.FetchResponse](c, fetchPartitions("t", 1)).Topics[0].Partitions[0]; fmt.Sprint(recordValues(t, p.RecordBatches)) != "[0:last]" {
		t.Errorf("the log has %v", recordValues(t, p.RecordBatches))
	}
}

// A produce of acks -1 waits for the ISR; what is pipelined behind it is appended meanwhile and answered after it, in order.
func TestAcksAllWaitsForISR(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 1)
	r.createTopic("free", 1)
	shrinkISR := setISR(t, r, id, 0, 1)
	c := r.dial()
	all, one, other := produceTo("t", 0, -1, values("a")), produceTo("t", 0, 1, values("b")), produceTo("free", 0, -1, values("c"))
	var sent []int32
	requests := []kmsg.Request{all, one, other, kmsg.NewPtrApiVersionsRequest(), fetchPartitions("t", 1)}
	for _, req := range requests {
		sent = append(sent, c.send(req))
	}
	p, _ := r.replicas.Partition(protocol.TopicPartition{Topic: "t"})
	eventually(t, "both appends", func() bool { return p.Log().LogEndOffset() == 2 })
	free, _ := r.replicas.Partition(protocol.TopicPartition{Topic: "free"})
	eventually(t, "the append behind them", func() bool { return free.Log().LogEndOffset() == 1 })
	if p.Log().HighWatermark() != 0 {
		t.Fatal("committed without the second replica")
	}
	c.silentFor(50 * time.Millisecond)
	shrinkISR()
	for i, req := range requests {
		resp := c.receive(req, sent[i])
		switch resp := resp.(type) {
		case *kmsg.ProduceResponse:
			if code := protocol.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode); code != protocol.None {
				t.Errorf("answer %d: %v", i, code)
			}
		case *kmsg.FetchResponse:
			if got := recordValues(t, resp.Topics[0].Partitions[0].RecordBatches); len(got) != 2 {
				t.Errorf("fetched %v", got)
			}
		}
	}
}

// setISR tells the broker that broker 0 leads partition 0 of topic t in the next epoch with the given ISR, as a controller would; the function it
// returns shrinks the ISR to broker 0 in a further epoch.
func setISR(t *testing.T, r *running, id [16]byte, isr ...int32) func() {
	t.Helper()
	p, code := r.replicas.Partition(protocol.TopicPartition{Topic: "t"})
	if code != protocol.None {
		t.Fatal(code)
	}
	tell := func(isr []int32) {
		t.Helper()
		req := kmsg.NewPtrLeaderAndISRRequest()
		req.Version, req.ControllerEpoch, req.BrokerEpoch = 7, r.controller.Epoch(), -1
		s := kmsg.NewLeaderAndISRRequestTopicPartition()
		s.ControllerEpoch, s.Leader, s.LeaderEpoch, s.ISR, s.Replicas = req.ControllerEpoch, r.id, p.LeaderEpoch()+1, isr, []int32{0, 1, 2}
		req.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{Topic: "t", TopicID: id, PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{s}}}
		resp := r.replicas.LeaderAndISR(req)
		if code := protocol.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode); resp.ErrorCode != 0 || code != protocol.None {
			t.Fatalf("LeaderAndIsr: %d, %v", resp.ErrorCode, code)
		}
	}
	tell(isr)
	return func() { tell([]int32{0}) }
}

// acks -1 times out with REQUEST_TIMED_OUT; with an ISR below min.insync.replicas it is refused at once and not written.
func TestAcksAllRefused(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 1, "min.insync.replicas=2")
	shrinkISR := setISR(t, r, id, 0, 1)
	c := r.dial()
	req := produceTo("t", 0, -1, values("a"))
	req.TimeoutMillis = 30
	if p := ask[*kmsg.ProduceResponse](c, req).Topics[0].Partitions[0]; protocol.ErrorCode(p.ErrorCode) != protocol.RequestTimedOut {
		t.Errorf("%+v, want REQUEST_TIMED_OUT", p)
	}
	shrinkISR()
	if p := ask[*kmsg.ProduceResponse](c, req).Topics[0].Partitions[0]; protocol.ErrorCode(p.ErrorCode) != protocol.NotEnoughReplicas || p.BaseOffset != -1 {
		t.Errorf("%+v, want NOT_ENOUGH_REPLICAS", p)
	}
	p, _ := r.replicas.Partition(protocol.TopicPartition{Topic: "t"})
	if end := p.Log().LogEndOffset(); end != 1 {
		t.Errorf("log end %d: the refused batch was written", end)
	}
}

// Null records leave the connection open and mute, as in Apache Kafka.
func TestProduceNullRecords(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 1)
	c := r.dial()
	c.send(produceTo("t", 0, 1, nil))
	c.send(kmsg.NewPtrApiVersionsRequest())
	c.silentFor(50 * time.Millisecond)
}
