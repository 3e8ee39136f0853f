package replication

import (
	"bytes"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// runs are {leader epoch, records}: what a log holds, in order.
type runs = [][2]int

// A follower's log becomes its leader's, whatever both went through, by diverging epochs in the fetch (12 and later) and by OffsetForLeaderEpoch before; and what they
// share is not cut.
func TestTruncationByLeaderEpoch(t *testing.T) {
	for _, c := range []struct {
		name             string
		leader, follower runs
		shared           int64 // records that both have alike
		asks             int   // OffsetForLeaderEpoch requests of a follower that truncates first
	}{
		{"nothing to cut", runs{{0, 3}, {1, 4}}, runs{{0, 3}, {1, 2}}, 5, 1},
		{"equal", runs{{0, 3}}, runs{{0, 3}}, 3, 1},
		{"uncommitted tail of the old leader (KIP-101, scenario 2)", runs{{0, 3}, {1, 2}}, runs{{0, 5}}, 3, 1},
		{"longer tail than the new leader's log", runs{{0, 2}, {1, 1}}, runs{{0, 9}}, 2, 1},
		{"the leader never had our last epoch", runs{{0, 3}, {2, 2}}, runs{{0, 3}, {1, 4}}, 3, 1},
		{"the leader has neither of our last two epochs", runs{{0, 3}, {4, 5}}, runs{{0, 3}, {1, 2}, {2, 2}}, 3, 1},
		{"the leader names an epoch that we never had (KIP-279)", runs{{0, 3}, {1, 1}, {5, 1}}, runs{{0, 3}, {2, 2}}, 3, 2},
		{"epochs on both sides that the other lacks", runs{{0, 2}, {2, 2}, {5, 3}}, runs{{0, 2}, {1, 1}, {3, 1}, {4, 2}}, 2, 2},
		{"our last epoch is empty", runs{{0, 3}, {3, 1}}, runs{{0, 3}, {2, 0}}, 3, 1},
		{"we know a later epoch than the leader", runs{{0, 4}}, runs{{0, 3}, {1, 2}}, 3, 1},
		{"we led and wrote nothing, the leader has nothing newer", runs{{0, 3}}, runs{{0, 3}, {1, 0}}, 3, 1},
	} {
		for _, version := range []int16{17, 12, 11} {
			t.Run(c.name, func(t *testing.T) {
				h := newChase(t, testFollowConfig(version))
				from := history(t, h.leader, 0, c.leader...)
				log := h.copyHistory(from, c.shared)
				missing := c.shared
				for _, run := range c.follower {
					already := int(min(missing, int64(run[1])))
					missing -= int64(already)
					if already < run[1] || run[1] == 0 {
						history(t, h.replica, 0, [2]int{run[0], run[1] - already})
					}
				}
				log.SetHighWatermark(1)
				before := log.LogEndOffset()
				h.follow(max(from.LatestEpoch(), log.LatestEpoch())+1, 0)
				from.SetHighWatermark(from.LogEndOffset())
				lowest := before
				h.answer = func(*protocol.FetchedPartition) { lowest = min(lowest, log.LogEndOffset()) }
				asked := h.settle()
				h.expectEqual(0)
				if lowest < c.shared {
					t.Errorf("cut to %d, although %d records are shared", lowest, c.shared)
				}
				asks := 0
				for _, a := range asked {
					if len(a) > 5 && a[:5] == "epoch" {
						asks++
					}
				}
				if version >= 12 && asks > 0 || version < 12 && asks != c.asks {
					t.Errorf("asked %q", asked)
				}
			})
		}
	}
}

// The watermark of an answer that says where the logs part belongs to another history: it is not taken over before the log is cut (KAFKA-14704).
func TestDivergingAnswerMovesNoWatermark(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	from := history(t, h.leader, 0, [2]int{0, 2}, [2]int{1, 8})
	log := h.copyHistory(from, 2)
	history(t, h.replica, 0, [2]int{0, 5})
	h.follow(2, 0)
	from.SetHighWatermark(9)
	h.serve(h.next(Fetch))
	if log.LogEndOffset() != 2 || log.HighWatermark() != 0 {
		t.Errorf("log end %d, high watermark %d after the diverging answer", log.LogEndOffset(), log.HighWatermark())
	}
	h.settle()
	h.expectEqual(0)
}

// A log that knows no leader epochs is cut to its high watermark, and only such a log.
func TestLogWithoutEpochsIsCutToWatermark(t *testing.T) {
	for _, version := range []int16{17, 11} {
		h := newChase(t, testFollowConfig(version))
		from := history(t, h.leader, 0, [2]int{0, 6})
		log := h.copyHistory(from, 4)
		log.SetHighWatermark(2)
		if err := log.AppendAsFollower(oldFormatMessage(4)); err != nil { // makes the log forget its epochs
			t.Fatal(err)
		}
		h.follow(1, 0)
		h.next(Fetch)
		if log.LogEndOffset() != 2 {
			t.Errorf("Fetch %d: the log ends at %d, want the high watermark", version, log.LogEndOffset())
		}
		from.SetHighWatermark(6)
		h.settle()
		if !bytes.Equal(logBytes(t, log), logBytes(t, from)) || log.HighWatermark() != 6 {
			t.Errorf("Fetch %d: other bytes than the leader's, high watermark %d", version, log.HighWatermark())
		}
	}
}

// A new leader epoch means a new comparison of the logs, also when the leader is the same broker as before: what it was before is not known (KAFKA-7164).
func TestSameLeaderNextEpoch(t *testing.T) {
	for _, version := range []int16{17, 11} {
		h := newChase(t, testFollowConfig(version))
		from := history(t, h.leader, 0, [2]int{0, 4})
		h.follow(0, 0)
		h.settle()
		// The leader lost its tail and wrote another one in an epoch that the follower did not hear of.
		if err := from.TruncateTail(2); err != nil {
			t.Fatal(err)
		}
		history(t, h.leader, 0, [2]int{1, 5})
		h.follow(2, 0)
		h.settle()
		h.expectEqual(0)
	}
}

// An answer to a question of an earlier leader epoch is dropped (KAFKA-7786).
func TestEpochAnswerOfAnEarlierEpoch(t *testing.T) {
	h := newChase(t, testFollowConfig(11))
	from := history(t, h.leader, 0, [2]int{0, 4})
	log := h.copyHistory(from, 4)
	h.follow(1, 0)
	step := h.next(AskEpochs)
	resp := h.epochs(step.Request.(*kmsg.OffsetForLeaderEpochRequest))
	resp.Topics[0].Partitions[0].EndOffset = 1 // what another leader would say
	h.follow(2, 0)
	h.fetcher().ApplyEpochs(h.now, resp)
	if log.LogEndOffset() != 4 {
		t.Fatalf("an answer of epoch 1 has cut the log in epoch 2 to %d", log.LogEndOffset())
	}
	h.settle()
	h.expectEqual(0)
}

// A leader that is asked for an offset it no longer has, or does not have yet, is asked what it has.
func TestOutOfRange(t *testing.T) {
	t.Run("the leader begins behind our end", func(t *testing.T) {
		h := newChase(t, testFollowConfig(17))
		from := history(t, h.leader, 0, [2]int{0, 4}, [2]int{1, 6})
		log := h.copyHistory(from, 3)
		log.SetHighWatermark(3)
		from.SetHighWatermark(10)
		if err := from.IncrementLogStartOffset(8); err != nil {
			t.Fatal(err)
		}
		h.follow(2, 0)
		asked := h.settle()
		if !slices.Contains(asked, "offset -2") {
			t.Errorf("asked %q", asked)
		}
		h.expectEqual(0) // start, end and watermark have moved together (KAFKA-9491)
		if len(log.ActiveProducers()) != 0 {
			t.Error("producers of records that are gone (KAFKA-12153)")
		}
	})
	t.Run("the leader ends before our end", func(t *testing.T) {
		h := newChase(t, testFollowConfig(11))
		from := history(t, h.leader, 0, [2]int{0, 3})
		log := h.copyHistory(from, 3)
		h.follow(1, 0)
		h.settle()
		if err := from.TruncateTail(2); err != nil {
			t.Fatal(err)
		}
		asked := h.settle()
		if log.LogEndOffset() != 2 || !slices.Contains(asked, "offset -1") || slices.Contains(asked, "offset -2") {
			t.Errorf("the log ends at %d; asked %q", log.LogEndOffset(), asked)
		}
	})
	t.Run("in between nothing is cut", func(t *testing.T) {
		h := newChase(t, testFollowConfig(17))
		from := history(t, h.leader, 0, [2]int{0, 5})
		log := h.copyHistory(from, 3)
		h.follow(1, 0)
		failing := true
		h.answer = func(p *protocol.FetchedPartition) {
			if failing {
				*p = protocol.FetchedPartition{ErrorCode: protocol.OffsetOutOfRange, HighWatermark: -1, LogStartOffset: -1, DivergingEpoch: protocol.EpochEndOffset{Epoch: -1, EndOffset: -1}}
				failing = false
			}
		}
		asked := h.settle()
		if !slices.Equal(asked[:3], []string{"full 1", "offset -1", "offset -2"}) || log.LogEndOffset() != 5 {
			t.Errorf("the log ends at %d; asked %q", log.LogEndOffset(), asked)
		}
		h.expectEqual(0)
	})
	t.Run("an answer of an earlier leader epoch", func(t *testing.T) {
		h := newChase(t, testFollowConfig(17))
		from := history(t, h.leader, 0, [2]int{0, 10})
		log := h.copyHistory(from, 3)
		from.SetHighWatermark(10)
		if err := from.IncrementLogStartOffset(8); err != nil {
			t.Fatal(err)
		}
		h.follow(1, 0)
		h.serve(h.next(Fetch))
		h.serve(h.next(AskOffsets))
		resp := h.offsets(h.next(AskOffsets).Request.(*kmsg.ListOffsetsRequest))
		h.tellFollower(2, 0)
		h.fetcher().ApplyOffsets(h.now, resp)
		if log.LogStartOffset() != 0 || log.LogEndOffset() != 3 {
			t.Errorf("the log became [%d, %d)", log.LogStartOffset(), log.LogEndOffset())
		}
	})
}
