package protocol

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameProduce compares what was decoded by hand with what kmsg decoded.
func sameProduce(t *testing.T, p *ProduceRequest, k *kmsg.ProduceRequest) {
	t.Helper()
	if p.Acks != k.Acks || p.TimeoutMs != k.TimeoutMillis || p.HasTransactionalID != (k.TransactionID != nil) || len(p.Topics) != len(k.Topics) {
		t.Fatalf("v%d: %+v\n%+v", k.Version, p, k)
	}
	if p.HasTransactionalID && p.TransactionalID != *k.TransactionID {
		t.Fatalf("transactional id %q", p.TransactionalID)
	}
	for i, topic := range p.Topics {
		if topic.Name != k.Topics[i].Topic || len(topic.Partitions) != len(k.Topics[i].Partitions) {
			t.Fatalf("topic %+v\n%+v", topic, k.Topics[i])
		}
		for j, part := range topic.Partitions {
			other := k.Topics[i].Partitions[j]
			if part.Index != other.Partition || !bytes.Equal(part.Records, other.Records) || (part.Records == nil) != (other.Records == nil) {
				t.Fatalf("partition %+v\n%+v", part, other)
			}
		}
	}
}

func TestProduceRequestAgreesWithKmsg(t *testing.T) {
	g := generator{Rand: rand.New(rand.NewPCG(11, 12))}
	rq := lookupRequest(keyProduce)
	var p ProduceRequest // reused, as a connection does
	for v := rq.api.MinVersion; v <= rq.api.MaxVersion; v++ {
		for range 50 {
			body := g.body(rq, v)
			if err := p.Decode(v, body); err != nil {
				t.Fatal(err)
			}
			k, err := DecodeRequest(RequestHeader{Version: v}, body)
			if err != nil {
				t.Fatal(err)
			}
			sameProduce(t, &p, k.(*kmsg.ProduceRequest))
			for cut := range body[:min(len(body), 100)] {
				if err := p.Decode(v, body[:cut]); err == nil {
					t.Fatalf("v%d: nothing is wrong with %d of %d bytes", v, cut, len(body))
				}
			}
		}
	}
	if len(p.Topics) > 0 {
		t.Error("after an error the request is not empty")
	}
}

// TestProduceRequestsAreBounded has more partitions than a request may hold, in few bytes each.
func TestProduceRequestsAreBounded(t *testing.T) {
	w := writer{flexible: true}
	w.uvarint(0)
	w.int16(1)
	w.int32(1)
	w.arrayLen(1)
	w.string("t")
	w.arrayLen(maxElements + 1)
	for range maxElements + 1 {
		w.out = append(w.out, 0, 0, 0, 0, 0, 0)
	}
	w.out = append(w.out, 0, 0)
	var p ProduceRequest
	if err := p.Decode(9, w.out); err == nil {
		t.Error("no error")
	}
	if cap(p.partitions) > keepElements {
		t.Errorf("%d elements are kept", cap(p.partitions))
	}
}

func TestProduceRequestAllocatesNothing(t *testing.T) {
	k := kmsg.NewPtrProduceRequest()
	k.Acks = -1
	for range 3 {
		topic := kmsg.ProduceRequestTopic{Topic: "topic"}
		for range 4 {
			topic.Partitions = append(topic.Partitions, kmsg.ProduceRequestTopicPartition{Records: make([]byte, 100)})
		}
		k.Topics = append(k.Topics, topic)
	}
	for v := int16(3); v <= 11; v++ {
		k.Version = v
		body := k.AppendTo(nil)
		var p ProduceRequest
		if n := testing.AllocsPerRun(100, func() {
			if err := p.Decode(v, body); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("v%d: %v allocations", v, n)
		}
	}
}

func FuzzProduceRequest(f *testing.F) {
	g := generator{Rand: rand.New(rand.NewPCG(13, 14))}
	rq := lookupRequest(keyProduce)
	for v := rq.api.MinVersion; v <= rq.api.MaxVersion; v++ {
		f.Add(v, g.body(rq, v))
	}
	f.Fuzz(func(t *testing.T, v int16, body []byte) {
		if v < 0 || v > rq.api.MaxVersion {
			return
		}
		var p ProduceRequest
		err := p.Decode(v, body)
		k, kerr := DecodeRequest(RequestHeader{Version: v}, body)
		if (err == nil) != (kerr == nil) {
			t.Fatalf("v%d: by hand %v, by schema %v", v, err, kerr)
		}
		if err == nil {
			sameProduce(t, &p, k.(*kmsg.ProduceRequest))
		}
	})
}

func produceResponses() map[string]*ProduceResponse {
	return map[string]*ProduceResponse{
		"empty": {ThrottleTimeMs: 3},
		"good": {Topics: []ProduceTopicResponse{{Name: "t", Partitions: []ProducePartitionResponse{
			{Index: 1, BaseOffset: 5, LogAppendTimeMs: -1, LogStartOffset: 2}, {Index: 2, BaseOffset: 1 << 40, LogAppendTimeMs: 7},
		}}, {Name: "u"}}},
		"bad": {ThrottleTimeMs: 1, Topics: []ProduceTopicResponse{{Name: "t", Partitions: []ProducePartitionResponse{
			{Index: 1, ErrorCode: InvalidRecord, BaseOffset: -1, LogAppendTimeMs: -1, LogStartOffset: -1, ErrorMessage: "no",
				RecordErrors: []BatchIndexAndErrorMsg{{0, "zero"}, {1, ""}}},
			{Index: 2, ErrorCode: NotLeaderOrFollower, BaseOffset: -1, LogAppendTimeMs: -1, LogStartOffset: -1, CurrentLeader: &LeaderIDAndEpoch{1, 2}},
		}}}, NodeEndpoints: []NodeEndpoint{{1, "host", 9092, ""}, {2, string(make([]byte, 200)), 9093, "rack"}, {3, "h", 1, string(make([]byte, 150))}}},
	}
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// TestProduceResponseAgreesWithKmsg compares the frames.
func TestProduceResponseAgreesWithKmsg(t *testing.T) {
	for name, resp := range produceResponses() {
		for v := int16(0); v <= 11; v++ {
			k := produceForKmsg(resp, v)
			h := RequestHeader{Version: v, CorrelationID: 9}
			want := AppendResponse([]byte("x"), h, k)
			if got := AppendProduceResponse([]byte("x"), h, resp); !bytes.Equal(got, want) {
				t.Errorf("%s v%d:\n%x\n%x", name, v, got, want)
			}
			buf := make([]byte, 0, 4096)
			if n := testing.AllocsPerRun(10, func() { AppendProduceResponse(buf, h, resp) }); n != 0 {
				t.Errorf("%s v%d: %v allocations", name, v, n)
			}
		}
	}
}

// produceForKmsg is resp in the form of kmsg, which writes the tags of version 10 into version 9 as well, where Java does not take them.
func produceForKmsg(resp *ProduceResponse, v int16) *kmsg.ProduceResponse {
	k := kmsg.NewPtrProduceResponse()
	k.ThrottleMillis = resp.ThrottleTimeMs
	for _, topic := range resp.Topics {
		kt := kmsg.ProduceResponseTopic{Topic: topic.Name}
		for _, p := range topic.Partitions {
			kp := kmsg.NewProduceResponseTopicPartition()
			kp.Partition, kp.ErrorCode, kp.BaseOffset, kp.LogAppendTime = p.Index, int16(p.ErrorCode), p.BaseOffset, p.LogAppendTimeMs
			kp.LogStartOffset, kp.ErrorMessage = p.LogStartOffset, nullable(p.ErrorMessage)
			for _, e := range p.RecordErrors {
				kp.ErrorRecords = append(kp.ErrorRecords, kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: e.BatchIndex, ErrorMessage: nullable(e.Message)})
			}
			if l := p.CurrentLeader; l != nil && v >= 10 {
				kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = l.LeaderID, l.LeaderEpoch
			}
			kt.Partitions = append(kt.Partitions, kp)
		}
		k.Topics = append(k.Topics, kt)
	}
	for _, e := range resp.NodeEndpoints {
		if v < 10 {
			break
		}
		k.Brokers = append(k.Brokers, kmsg.ProduceResponseBroker{NodeID: e.NodeID, Host: e.Host, Port: e.Port, Rack: nullable(e.Rack)})
	}
	k.Version = v
	return k
}
