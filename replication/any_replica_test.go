package replication

import (
	"testing"

	"gregor/protocol"
)

// A follower serves consumers up to its own watermark (KIP-392), fenced like a leader; between watermark and log end there is nothing to read yet, and no error.
func TestReadOfFollower(t *testing.T) {
	r := newReplica(t, 1, 1)
	p := r.lead(0, 1)
	mustAppend(t, p, 5, 1)
	r.lead(1, 1, 2)
	mustAppend(t, p, 5, 1) // above the watermark of 5
	r.set(partitionState{leader: 2, epoch: 2, isr: []int32{1, 2}, replicas: []int32{1, 2, 3}})
	for _, tc := range []struct {
		name      string
		ask       Ask
		want      protocol.ErrorCode
		something bool
	}{
		{"below the watermark", Ask{Offset: 2, Isolation: HighWatermark, AnyReplica: true}, noCode, true},
		{"at the watermark", Ask{Offset: 5, Isolation: HighWatermark, AnyReplica: true}, noCode, false},
		{"above the watermark", Ask{Offset: 7, Isolation: HighWatermark, AnyReplica: true}, noCode, false},
		{"at the log end", Ask{Offset: 10, Isolation: HighWatermark, AnyReplica: true}, noCode, false},
		{"beyond the log end", Ask{Offset: 11, Isolation: HighWatermark, AnyReplica: true}, protocol.OffsetOutOfRange, false},
		{"a debugging consumer above the watermark", Ask{Offset: 7, Isolation: LogEnd, AnyReplica: true}, noCode, true},
		{"leaders only", Ask{Offset: 2, Isolation: HighWatermark}, protocol.NotLeaderOrFollower, false},
		{"an old leader epoch", Ask{Offset: 2, CurrentLeaderEpoch: -1, Isolation: HighWatermark, AnyReplica: true}, protocol.FencedLeaderEpoch, false},
		{"a newer leader epoch", Ask{Offset: 2, CurrentLeaderEpoch: 1, Isolation: HighWatermark, AnyReplica: true}, protocol.UnknownLeaderEpoch, false},
	} {
		tc.ask.CurrentLeaderEpoch += 2 // relative to the current one
		tc.ask.LastFetchedEpoch, tc.ask.MaxBytes, tc.ask.MinOneBatch = -1, 1<<20, true
		var rd Read
		err := p.Read(tc.ask, &rd)
		if got := codeOf(t, err); got != tc.want || (rd.Result.Slice.Size > 0) != tc.something {
			t.Errorf("%s: %v, %d bytes; want %v, %v", tc.name, got, rd.Result.Slice.Size, tc.want, tc.something)
		}
		if err == nil && rd.HighWatermark != 5 {
			t.Errorf("%s: watermark %d", tc.name, rd.HighWatermark)
		}
		rd.Result.Slice.Release()
	}
	var rd Read
	if code := p.Offsets(2, &rd); code != noCode || rd.HighWatermark != 5 || rd.LogStartOffset != 0 {
		t.Errorf("offsets alone: %v, %+v", code, rd)
	}
	if code := p.Offsets(1, &rd); code != protocol.FencedLeaderEpoch {
		t.Errorf("offsets in an old epoch: %v", code)
	}
}
