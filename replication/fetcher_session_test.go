package replication

import (
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// Within a session a request names what has changed, and nothing else.
func TestSessionNamesWhatChanged(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	for p := range int32(4) {
		history(t, h.leader, p, [2]int{0, 1})
	}
	step := func(want ...string) {
		t.Helper()
		h.asked = nil
		if h.serve(h.next(Fetch)); !slices.Equal(h.asked, want) {
			t.Errorf("asked %q, want %q", h.asked, want)
		}
	}
	h.follow(1, 0, 1, 2)
	step("full 3")
	step("incremental 3") // all have moved
	step("incremental 0")
	history(t, h.leader, 1, [2]int{1, 1})
	step("incremental 0")
	step("incremental 1")
	h.follow(1, 3)
	step("incremental 1")
	step("incremental 1")
	h.follow(2, 0) // the same offset in another leader epoch
	step("incremental 1")
	h.StopReplica(stopRequest(1, -1, 5, false)) // partition 0
	step("incremental 0", "forget 1")
	step("incremental 0")
	// Left and back between two requests: not forgotten, because a leader drops what a request both names and forgets.
	h.follow(3, 0)
	step("incremental 1")
	step("incremental 0")
	h.tellLeader(5, 0)
	h.StopReplica(stopRequest(1, -1, 4, false))
	h.tellFollower(5, 0)
	step("incremental 1")
	step("incremental 0")
}

// A session that the leader does not know, or that went wrong, is begun anew, and the old one closed.
func TestSessionBeginsAnew(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(h *chase, f *Fetcher, req *kmsg.FetchRequest)
		id     int32 // in the next request, where 1 is the session there was
		waits  bool
	}{
		{"unknown to the leader", func(h *chase, f *Fetcher, _ *kmsg.FetchRequest) {
			f.ApplyFetch(h.now, &protocol.FetchResponse{ErrorCode: protocol.FetchSessionIDNotFound})
		}, 0, false},
		{"another epoch", func(h *chase, f *Fetcher, _ *kmsg.FetchRequest) {
			f.ApplyFetch(h.now, &protocol.FetchResponse{ErrorCode: protocol.InvalidFetchSessionEpoch})
		}, 1, false},
		{"ids that do not fit", func(h *chase, f *Fetcher, _ *kmsg.FetchRequest) {
			f.ApplyFetch(h.now, &protocol.FetchResponse{ErrorCode: protocol.FetchSessionTopicIDError})
		}, 1, true},
		{"no answer", func(h *chase, f *Fetcher, _ *kmsg.FetchRequest) { f.Failed(h.now) }, 1, true},
		{"a partition nobody asked for", func(h *chase, f *Fetcher, _ *kmsg.FetchRequest) {
			f.ApplyFetch(h.now, &protocol.FetchResponse{SessionID: 1, Partitions: []protocol.FetchedPartition{{TopicID: idA, Partition: 9}}})
		}, 1, true},
		{"closed by the leader", func(h *chase, f *Fetcher, req *kmsg.FetchRequest) {
			resp := h.fetch(req)
			resp.SessionID = 0
			f.ApplyFetch(h.now, resp)
		}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newChase(t, testFollowConfig(17))
			history(t, h.leader, 0, [2]int{0, 1})
			h.follow(1, 0)
			h.serve(h.next(Fetch))
			f := h.fetcher()
			c.answer(h, f, h.next(Fetch).Request.(*kmsg.FetchRequest))
			if c.waits {
				h.now = h.next(Idle).Until
			}
			req := h.next(Fetch).Request.(*kmsg.FetchRequest)
			if req.SessionEpoch != 0 || req.SessionID != c.id || len(req.Topics) != 1 {
				t.Errorf("session %d epoch %d with %d topics", req.SessionID, req.SessionEpoch, len(req.Topics))
			}
			h.settle()
			h.expectEqual(0)
		})
	}
}

// A full answer has to name all that was asked for.
func TestFullAnswerLacksPartition(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 3})
	history(t, h.leader, 1, [2]int{0, 3})
	h.follow(1, 0, 1)
	resp := h.fetch(h.next(Fetch).Request.(*kmsg.FetchRequest))
	resp.Partitions = resp.Partitions[:1]
	h.fetcher().ApplyFetch(h.now, resp)
	if got := h.disk.Get(tp0).LogEndOffset(); got != 0 {
		t.Errorf("the log ends at %d", got)
	}
	h.settle()
	h.expectEqual(0)
	h.expectEqual(1)
}

func TestSessionEpochWraps(t *testing.T) {
	s := session{id: 5, epoch: math.MaxInt32}
	if s.continued(5); s.epoch != 1 || s.id != 5 {
		t.Errorf("session %d, epoch %d", s.id, s.epoch)
	}
}

// Without a topic id a follower speaks in names, which Fetch 12 is the last to do (KIP-516).
func TestFetchByName(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 1})
	h.follow(1, 0)
	h.settle()
	for p, id := range map[int32]protocol.TopicID{0: idA, 1: noID} {
		if _, err := h.disk.GetOrCreate(protocol.TopicPartition{Topic: map[int32]string{0: "t", 1: "nameless"}[p], Partition: 0}, storage.CreateOptions{TopicID: id, IsNew: true}); err != nil {
			t.Fatal(err)
		}
	}
	req := leaderAndISRRequest(1, -1, noID, partitionState{leader: leaderID, epoch: 1, isr: []int32{leaderID}, replicas: []int32{me, leaderID}})
	req.TopicStates[0].Topic = "nameless"
	h.LeaderAndISR(req)
	got := h.next(Fetch).Request.(*kmsg.FetchRequest)
	if got.Version != 12 || got.SessionEpoch != 0 || len(got.Topics) != 2 || got.Topics[0].Topic != "t" || got.Topics[1].Topic != "nameless" {
		t.Errorf("version %d, session epoch %d, topics %v", got.Version, got.SessionEpoch, got.Topics)
	}
	// The id arrives later, in the same leader epoch.
	req.TopicStates[0].TopicID = idB
	h.LeaderAndISR(req)
	got = h.next(Fetch).Request.(*kmsg.FetchRequest)
	if got.Version != 17 || got.SessionEpoch != 0 || len(got.Topics) != 2 || got.Topics[1].TopicID != idB {
		t.Errorf("version %d, session epoch %d, topics %v", got.Version, got.SessionEpoch, got.Topics)
	}
}

// A topic made anew under its name is another topic: the old one's partition is forgotten, while others of it may still be followed.
func TestTopicMadeAnewInSession(t *testing.T) {
	h := newChase(t, testFollowConfig(17))
	history(t, h.leader, 0, [2]int{0, 1})
	history(t, h.leader, 1, [2]int{0, 1})
	h.follow(1, 0, 1)
	h.settle()
	stop := stopRequest(1, -1, -2, true)
	h.StopReplica(stop)
	if code, codes := h.leaderAndISR(1, -1, idB, partitionState{leader: leaderID, epoch: 0, isr: []int32{leaderID}, replicas: []int32{me, leaderID}, isNew: true}); code != noCode || codes[0] != noCode {
		t.Fatal(code, codes)
	}
	step := h.next(Fetch)
	req := step.Request.(*kmsg.FetchRequest)
	if len(req.ForgottenTopics) != 1 || req.ForgottenTopics[0].TopicID != idA || !slices.Equal(req.ForgottenTopics[0].Partitions, []int32{0}) {
		t.Errorf("forgets %v", req.ForgottenTopics)
	}
	if len(req.Topics) != 1 || req.Topics[0].TopicID != idB || req.Topics[0].Partitions[0].Partition != 0 {
		t.Errorf("asks for %v", req.Topics)
	}
	_, ofOld := h.fetcher().mu.session.topics[topicKey{id: idA}]
	if !ofOld {
		t.Error("the other partition is not followed any more")
	}
}
