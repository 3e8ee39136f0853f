package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/protocol/record"
)

// A new leader whose watermark has not reached the start of its leader epoch does not know yet what is committed: it tells consumers no end, which could be less than what they were
// told before (KIP-207), and nothing that it might find above the watermark.
func TestListOffsetsOfNewLeader(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 1)
	c := r.dial()
	produce := func(at time.Time) {
		w := record.NewBuilder(record.None)
		w.Add(at.UnixMilli(), nil, []byte("value"))
		if p := ask[*kmsg.ProduceResponse](c, produceTo("t", 0, 1, w.Build())).Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatal(protocol.ErrorCode(p.ErrorCode))
		}
	}
	now := time.Now()
	produce(now.Add(-time.Minute))
	setISR(t, r, id, 0, 1)
	produce(now)           // not committed
	setISR(t, r, id, 0, 1) // the epoch begins at 2, with a watermark of 1
	for _, tc := range []struct {
		name      string
		version   int16
		replica   int32
		timestamp int64
		want      protocol.ErrorCode
		offset    int64
	}{
		{"latest", 5, consumerReplicaID, latestTimestamp, protocol.OffsetNotAvailable, -1},
		{"latest, before the code was known", 4, consumerReplicaID, latestTimestamp, protocol.LeaderNotAvailable, -1},
		{"earliest", 5, consumerReplicaID, earliestTimestamp, protocol.None, 0},
		{"a time that a committed record has", 5, consumerReplicaID, 1, protocol.None, 0},
		{"a time after all records", 5, consumerReplicaID, 1 << 60, protocol.OffsetNotAvailable, -1},
		{"the maximum timestamp, above the watermark", 7, consumerReplicaID, maxTimestamp, protocol.OffsetNotAvailable, -1},
		{"a follower's question", 5, 1, latestTimestamp, protocol.None, 2},
		{"a debugging consumer's", 5, debuggingReplicaID, latestTimestamp, protocol.None, 2},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = tc.version, tc.replica
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Timestamp = tc.timestamp
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{q}}}
		p := ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
		if got := protocol.ErrorCode(p.ErrorCode); got != tc.want || p.Offset != tc.offset {
			t.Errorf("%s: %v, offset %d; want %v, %d", tc.name, got, p.Offset, tc.want, tc.offset)
		}
	}
}
