package protocol

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchAnswer makes a response as kmsg writes it, with all that a leader may put into it.
func fetchAnswer(rng *rand.Rand, version int16) (*kmsg.FetchResponse, []byte) {
	k := kmsg.NewPtrFetchResponse()
	k.Version, k.ThrottleMillis, k.ErrorCode, k.SessionID = version, rng.Int32N(100), int16(rng.IntN(5)), rng.Int32()
	for range rng.IntN(4) {
		t := kmsg.NewFetchResponseTopic()
		t.Topic = string(bytes.Repeat([]byte("t"), 1+rng.IntN(200)))
		binary.BigEndian.PutUint64(t.TopicID[:], rng.Uint64())
		for range rng.IntN(4) {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = rng.Int32(), int16(rng.IntN(100)), rng.Int64(), rng.Int64(), rng.Int64()
			for range rng.IntN(3) {
				a := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				a.ProducerID, a.FirstOffset = rng.Int64(), rng.Int64()
				p.AbortedTransactions = append(p.AbortedTransactions, a)
			}
			if n := rng.IntN(300); n > 0 {
				p.RecordBatches = make([]byte, n-1)
			}
			if rng.IntN(2) == 0 {
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = rng.Int32(), rng.Int64()
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = rng.Int32(), rng.Int32()
			}
			t.Partitions = append(t.Partitions, p)
		}
		k.Topics = append(k.Topics, t)
	}
	if rng.IntN(2) == 0 {
		k.Brokers = append(k.Brokers, kmsg.FetchResponseBroker{NodeID: 3, Host: "host", Port: 9092})
	}
	h := RequestHeader{Key: keyFetch, Version: version, CorrelationID: 77}
	return k, AppendResponse(nil, h, k)[4:]
}

// sameAnswer compares what was decoded by hand with what kmsg has.
func sameAnswer(t *testing.T, f *FetchResponse, k *kmsg.FetchResponse) {
	t.Helper()
	if k.Version >= 7 && (int16(f.ErrorCode) != k.ErrorCode || f.SessionID != k.SessionID) || k.Version < 7 && (f.ErrorCode != None || f.SessionID != 0) {
		t.Fatalf("v%d: %v, session %d", k.Version, f.ErrorCode, f.SessionID)
	}
	next := 0
	for i := range k.Topics {
		for j := range k.Topics[i].Partitions {
			if next == len(f.Partitions) {
				t.Fatalf("v%d: %d partitions", k.Version, next)
			}
			sameFetched(t, k.Version, &f.Partitions[next], &k.Topics[i], &k.Topics[i].Partitions[j])
			next++
		}
	}
	if next != len(f.Partitions) {
		t.Fatalf("v%d: %d partitions, want %d", k.Version, len(f.Partitions), next)
	}
}

func sameFetched(t *testing.T, version int16, p *FetchedPartition, topic *kmsg.FetchResponseTopic, k *kmsg.FetchResponseTopicPartition) {
	t.Helper()
	name, id, start, diverging := topic.Topic, TopicID(topic.TopicID), k.LogStartOffset, EpochEndOffset{-1, -1}
	if version <= 12 {
		id = TopicID{}
	} else {
		name = ""
	}
	if version < 5 {
		start = -1
	}
	if version >= 12 {
		diverging = EpochEndOffset{k.DivergingEpoch.Epoch, k.DivergingEpoch.EndOffset}
	}
	if p.Topic != name || p.TopicID != id || p.Partition != k.Partition || int16(p.ErrorCode) != k.ErrorCode || p.HighWatermark != k.HighWatermark ||
		p.LogStartOffset != start || p.DivergingEpoch != diverging || !bytes.Equal(p.Records, k.RecordBatches) || (p.Records == nil) != (k.RecordBatches == nil) {
		t.Fatalf("v%d: %+v\n%+v", version, p, k)
	}
}

func TestFetchResponseReadsLikeKmsg(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	var f FetchResponse // reused, as a follower does
	for v := int16(0); v <= 17; v++ {
		for range 50 {
			k, frame := fetchAnswer(rng, v)
			if err := f.Decode(v, 77, frame); err != nil {
				t.Fatal(err)
			}
			sameAnswer(t, &f, k)
			for cut := range frame[:min(len(frame), 100)] {
				if err := f.Decode(v, 77, frame[:cut]); err == nil || len(f.Partitions) != 0 {
					t.Fatalf("v%d: nothing is wrong with %d of %d bytes", v, cut, len(frame))
				}
			}
			if err := f.Decode(v, 78, frame); err == nil {
				t.Fatal("another correlation id is accepted")
			}
		}
	}
}

func FuzzFetchResponse(f *testing.F) {
	rng := rand.New(rand.NewPCG(23, 24))
	for v := int16(0); v <= 17; v++ {
		_, frame := fetchAnswer(rng, v)
		f.Add(v, frame)
	}
	f.Fuzz(func(t *testing.T, v int16, frame []byte) {
		if v < 0 || v > 17 {
			return
		}
		var r FetchResponse
		if err := r.Decode(v, 77, frame); err != nil {
			return
		}
		size := 0
		for _, p := range r.Partitions {
			size += len(p.Records)
		}
		if size > len(frame) || len(r.Partitions) > len(frame) {
			t.Fatalf("%d partitions and %d bytes of records in %d bytes", len(r.Partitions), size, len(frame))
		}
	})
}

func TestFetchResponseAllocatesNothing(t *testing.T) {
	_, frame := fetchAnswer(rand.New(rand.NewPCG(25, 27)), 17)
	var f FetchResponse
	if n := testing.AllocsPerRun(100, func() {
		if err := f.Decode(17, 77, frame); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
