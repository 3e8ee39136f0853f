package protocol

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sameFetch compares what was decoded by hand with what kmsg decoded.
func sameFetch(t *testing.T, f *FetchRequest, k *kmsg.FetchRequest) {
	t.Helper()
	cluster := ""
	if k.ClusterID != nil {
		cluster = *k.ClusterID
	}
	replica, epoch := k.ReplicaID, int64(-1)
	if k.Version >= 15 {
		replica, epoch = k.ReplicaState.ID, k.ReplicaState.Epoch
	}
	if f.ClusterID != cluster || f.ReplicaID != replica || f.ReplicaEpoch != epoch || f.MaxWaitMs != k.MaxWaitMillis || f.MinBytes != k.MinBytes ||
		f.MaxBytes != k.MaxBytes || f.Isolation != k.IsolationLevel || f.SessionID != k.SessionID || f.SessionEpoch != k.SessionEpoch ||
		f.RackID != k.Rack || len(f.Topics) != len(k.Topics) || len(f.Forgotten) != len(k.ForgottenTopics) {
		t.Fatalf("v%d: %+v\n%+v", k.Version, f, k)
	}
	for i, topic := range f.Topics {
		kt := k.Topics[i]
		if topic.Name != kt.Topic || topic.ID != kt.TopicID || len(topic.Partitions) != len(kt.Partitions) {
			t.Fatalf("topic %+v\n%+v", topic, kt)
		}
		for j, p := range topic.Partitions {
			kp := kt.Partitions[j]
			if p != (FetchPartition{kp.Partition, kp.CurrentLeaderEpoch, kp.FetchOffset, kp.LastFetchedEpoch, kp.LogStartOffset, kp.PartitionMaxBytes, kp.ReplicaDirectoryID}) {
				t.Fatalf("partition %+v\n%+v", p, kp)
			}
		}
	}
	for i, topic := range f.Forgotten {
		kt := k.ForgottenTopics[i]
		if topic.Name != kt.Topic || topic.ID != kt.TopicID || !slices.Equal(topic.Partitions, kt.Partitions) {
			t.Fatalf("forgotten %+v\n%+v", topic, kt)
		}
	}
}

func TestFetchRequestAgreesWithKmsg(t *testing.T) {
	g := generator{Rand: rand.New(rand.NewPCG(15, 16))}
	rq := lookupRequest(keyFetch)
	var f FetchRequest // reused, as a connection does
	for v := rq.api.MinVersion; v <= rq.api.MaxVersion; v++ {
		for range 50 {
			body := g.body(rq, v)
			if err := f.Decode(v, body); err != nil {
				t.Fatal(err)
			}
			k, err := DecodeRequest(RequestHeader{Key: keyFetch, Version: v}, body)
			if err != nil {
				t.Fatal(err)
			}
			sameFetch(t, &f, k.(*kmsg.FetchRequest))
			for cut := range body[:min(len(body), 100)] {
				if err := f.Decode(v, body[:cut]); err == nil {
					t.Fatalf("v%d: nothing is wrong with %d of %d bytes", v, cut, len(body))
				}
			}
		}
	}
}

// TestFetchTags has the tags of later versions, which Kafka refuses, and odd but legal ones.
func TestFetchTags(t *testing.T) {
	for _, c := range []struct {
		name    string
		version int16
		tags    string
		ok      bool
	}{
		{"cluster id", 12, "\x01\x00\x03\x03id", true},
		{"cluster id of a wrong size", 12, "\x01\x00\x00\x03id", true},
		{"unknown", 12, "\x01\x07\x02zz", true},
		{"replica state", 15, "\x01\x01\x0d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00", true},
		{"replica state before its time", 14, "\x01\x01\x0d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00", false},
		{"endless", 12, "\x02\x07\x00", false},
	} {
		k := kmsg.NewPtrFetchRequest()
		k.Version = c.version
		body := k.AppendTo(nil)
		body = append(body[:len(body)-1], c.tags...)
		var f FetchRequest
		err := f.Decode(c.version, body)
		_, kerr := DecodeRequest(RequestHeader{Key: keyFetch, Version: c.version}, body)
		if (err == nil) != c.ok || (kerr == nil) != c.ok {
			t.Errorf("%s: by hand %v, by schema %v", c.name, err, kerr)
		}
		if c.name == "replica state" && (f.ReplicaID != 1 || f.ReplicaEpoch != 2) {
			t.Errorf("%+v", f)
		}
	}
}

func TestFetchRequestAllocatesNothing(t *testing.T) {
	k := kmsg.NewPtrFetchRequest()
	k.Rack = "rack"
	for range 3 {
		topic := kmsg.FetchRequestTopic{Topic: "topic", Partitions: make([]kmsg.FetchRequestTopicPartition, 4)}
		k.Topics = append(k.Topics, topic)
		k.ForgottenTopics = append(k.ForgottenTopics, kmsg.FetchRequestForgottenTopic{Topic: "old", Partitions: []int32{1, 2}})
	}
	for v := int16(4); v <= 17; v++ {
		k.Version = v
		body := k.AppendTo(nil)
		var f FetchRequest
		if n := testing.AllocsPerRun(100, func() {
			if err := f.Decode(v, body); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("v%d: %v allocations", v, n)
		}
	}
}

func FuzzFetchRequest(f *testing.F) {
	g := generator{Rand: rand.New(rand.NewPCG(17, 18))}
	rq := lookupRequest(keyFetch)
	for v := rq.api.MinVersion; v <= rq.api.MaxVersion; v++ {
		f.Add(v, g.body(rq, v))
		f.Add(v, g.body(rq, v))
	}
	f.Fuzz(func(t *testing.T, v int16, body []byte) {
		if v < 0 || v > rq.api.MaxVersion {
			return
		}
		var p FetchRequest
		err := p.Decode(v, body)
		k, kerr := DecodeRequest(RequestHeader{Key: keyFetch, Version: v}, body)
		if (err == nil) != (kerr == nil) {
			t.Fatalf("v%d: by hand %v, by schema %v", v, err, kerr)
		}
		if err == nil {
			sameFetch(t, &p, k.(*kmsg.FetchRequest))
		}
	})
}

// fetchFrame writes a response as the broker does, with the records spliced in after the rest is written.
func fetchFrame(h RequestHeader, k *kmsg.FetchResponse, parts map[*kmsg.FetchResponseTopicPartition]*FetchPartitionResponse, endpoints []NodeEndpoint) []byte {
	type splice struct {
		at      int
		records []byte
	}
	var splices []splice
	records := 0
	b := AppendFetchResponseHeader(nil, h, k.ThrottleMillis, ErrorCode(k.ErrorCode), k.SessionID, len(k.Topics))
	for i := range k.Topics {
		topic := &k.Topics[i]
		b = AppendFetchTopic(b, h.Version, topic.Topic, topic.TopicID, len(topic.Partitions))
		for j := range topic.Partitions {
			kp := &topic.Partitions[j]
			n := len(kp.RecordBatches)
			if kp.RecordBatches == nil {
				n = -1
			}
			b = AppendFetchPartition(b, h.Version, parts[kp], n)
			splices = append(splices, splice{len(b), kp.RecordBatches})
			records += max(n, 0)
			b = AppendFetchPartitionEnd(b, h.Version, parts[kp])
		}
		b = AppendFetchTopicEnd(b, h.Version)
	}
	b = AppendFetchResponseEnd(b, h.Version, endpoints)
	PatchFetchFrameSize(b, records)
	for _, s := range slices.Backward(splices) {
		b = slices.Insert(b, s.at, s.records...)
	}
	return b
}

func TestFetchResponseAgreesWithKmsg(t *testing.T) {
	k := kmsg.NewPtrFetchResponse()
	k.ThrottleMillis, k.ErrorCode, k.SessionID = 1, int16(FetchSessionIDNotFound), 99
	k.Topics = make([]kmsg.FetchResponseTopic, 2)
	parts := map[*kmsg.FetchResponseTopicPartition]*FetchPartitionResponse{}
	for i := range k.Topics {
		topic := &k.Topics[i]
		topic.Topic, topic.TopicID = "topic", TopicID{1, 2, byte(i)}
		topic.Partitions = make([]kmsg.FetchResponseTopicPartition, 4)
		for j := range topic.Partitions {
			kp := &topic.Partitions[j]
			*kp = kmsg.NewFetchResponseTopicPartition()
			p := &FetchPartitionResponse{Partition: int32(j), ErrorCode: OffsetOutOfRange, HighWatermark: 10, LastStableOffset: 9, LogStartOffset: 2, PreferredReadReplica: -1}
			kp.Partition, kp.ErrorCode, kp.HighWatermark, kp.LastStableOffset, kp.LogStartOffset = p.Partition, int16(p.ErrorCode), 10, 9, 2
			switch j {
			case 1:
				kp.RecordBatches = []byte{}
				p.AbortedTransactions, kp.AbortedTransactions = []AbortedTransaction{}, []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
			case 2:
				kp.RecordBatches = bytes.Repeat([]byte("records"), 50)
				p.AbortedTransactions = []AbortedTransaction{{1, 2}, {3, 4}}
				kp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1, FirstOffset: 2}, {ProducerID: 3, FirstOffset: 4}}
				p.DivergingEpoch = &EpochEndOffset{5, 6}
				kp.DivergingEpoch.Epoch, kp.DivergingEpoch.EndOffset = 5, 6
			case 3:
				p.CurrentLeader = &LeaderIDAndEpoch{7, 8}
				kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = 7, 8
				p.PreferredReadReplica, kp.PreferredReadReplica = 4, 4
			}
			parts[kp] = p
		}
	}
	endpoints := []NodeEndpoint{{7, "host", 9092, "r"}}
	for v := int16(0); v <= 17; v++ {
		k.Version = v
		if k.Brokers = nil; v >= 16 { // kmsg would write the tag before it exists, too
			k.Brokers = []kmsg.FetchResponseBroker{{NodeID: 7, Host: "host", Port: 9092, Rack: nullable("r")}}
		}
		h := RequestHeader{Key: keyFetch, Version: v, CorrelationID: 4}
		want := AppendResponse(nil, h, k)
		if got := fetchFrame(h, k, parts, endpoints); !bytes.Equal(got, want) {
			t.Errorf("v%d:\n%x\n%x", v, got, want)
		}
		buf := make([]byte, 0, 4096)
		part := parts[&k.Topics[0].Partitions[2]]
		if n := testing.AllocsPerRun(10, func() {
			b := AppendFetchResponseHeader(buf, h, 0, None, 1, 1)
			b = AppendFetchTopic(b, v, "topic", TopicID{}, 1)
			b = AppendFetchPartition(b, v, part, 100)
			b = AppendFetchPartitionEnd(b, v, part)
			b = AppendFetchTopicEnd(b, v)
			AppendFetchResponseEnd(b, v, endpoints)
		}); n != 0 {
			t.Errorf("v%d: %v allocations", v, n)
		}
	}
}
