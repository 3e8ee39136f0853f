package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// sessionClient keeps a fetch session.
type sessionClient struct {
	*client
	id, epoch int32
	offsets   map[int32]int64
}

// incremental sends the next fetch of the session, with changes, and returns the partitions of the answer as "index=records".
func (s *sessionClient) incremental(changed []int32, forgotten []int32) string {
	s.t.Helper()
	resp := s.tryIncremental(changed, forgotten)
	if resp.ErrorCode != 0 || resp.SessionID != s.id {
		s.t.Fatalf("answered %v, session %d instead of %d", protocol.ErrorCode(resp.ErrorCode), resp.SessionID, s.id)
	}
	s.epoch++
	return describe(s.t, resp)
}

func (s *sessionClient) tryIncremental(changed []int32, forgotten []int32) *kmsg.FetchResponse {
	s.t.Helper()
	req := fetchPartitions("t", 0)
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	req.Topics = nil
	if len(changed) > 0 {
		req.Topics = fetchPartitions("t", 0).Topics
		for _, i := range changed {
			p := fetchPartitions("t", 1).Topics[0].Partitions[0]
			p.Partition, p.FetchOffset = i, s.offsets[i]
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
	}
	if len(forgotten) > 0 {
		req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: forgotten}}
	}
	return ask[*kmsg.FetchResponse](s.client, req)
}

func describe(t testing.TB, resp *kmsg.FetchResponse) string {
	t.Helper()
	var list []string
	for _, rt := range resp.Topics {
		for _, p := range rt.Partitions {
			s := fmt.Sprintf("%d=%s", p.Partition, strings.Join(recordValues(t, p.RecordBatches), "+"))
			if p.ErrorCode != 0 {
				s += protocol.ErrorCode(p.ErrorCode).String()
			}
			list = append(list, s)
		}
	}
	return strings.Join(list, " ")
}

// newSession starts a session on partitions 0 to n-1 of topic t.
func newSession(c *client, n int32) (*sessionClient, string) {
	c.t.Helper()
	req := fetchPartitions("t", n)
	req.SessionEpoch = 0
	resp := ask[*kmsg.FetchResponse](c, req)
	if resp.ErrorCode != 0 {
		c.t.Fatal(protocol.ErrorCode(resp.ErrorCode))
	}
	return &sessionClient{client: c, id: resp.SessionID, epoch: 1, offsets: map[int32]int64{}}, describe(c.t, resp)
}

// A session's life: everything at first, then only news, in turns, and what the client changes and forgets.
func TestFetchSession(t *testing.T) {
	r := startBroker(t, nil)
	r.createTopic("t", 4)
	producer := r.dial()
	s, all := newSession(r.dial(), 3)
	if s.id == 0 || all != "0= 1= 2=" {
		t.Fatalf("session %d, %q", s.id, all)
	}
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("no news", s.incremental(nil, nil), "")
	producer.produced("t", 1, "a")
	expect("one has records", s.incremental(nil, nil), "1=0:a")
	s.offsets[1] = 1
	expect("its offset moves on", s.incremental([]int32{1}, nil), "")
	producer.produced("t", 0, "b")
	producer.produced("t", 1, "c")
	producer.produced("t", 2, "d")
	expect("the one that had records comes last", s.incremental(nil, nil), "0=0:b 2=0:d 1=1:c")
	s.offsets[0], s.offsets[1] = 1, 2
	expect("what is not acknowledged comes again", s.incremental([]int32{0, 1}, nil), "2=0:d")
	expect("a partition is added", s.incremental([]int32{3}, []int32{2}), "3=")
	producer.produced("t", 2, "e")
	producer.produced("t", 3, "f")
	expect("a forgotten one is silent", s.incremental(nil, nil), "3=0:f")
	s.offsets[3], s.offsets[0] = 1, 77
	expect("an error is told", s.incremental([]int32{0, 3}, nil), "0=OFFSET_OUT_OF_RANGE")
	expect("and told again", s.incremental(nil, nil), "0=OFFSET_OUT_OF_RANGE")
	s.offsets[0] = 1
	expect("and so is its end", s.incremental([]int32{0}, nil), "0=")
	expect("once", s.incremental(nil, nil), "")
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.TimeoutMillis = 1000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 1}}}}
	ask[*kmsg.DeleteRecordsResponse](producer, del)
	expect("the log start moved", s.incremental(nil, nil), "0=")
}

// Requests that do not fit their session.
func TestFetchSessionErrors(t *testing.T) {
	r := startBroker(t, nil)
	id := r.createTopic("t", 2)
	c := r.dial()
	s, _ := newSession(c, 2)
	for _, tc := range []struct {
		name      string
		id, epoch int32
		version   int16
		want      protocol.ErrorCode
	}{
		{"no such session", s.id ^ 1, 1, 12, protocol.FetchSessionIDNotFound},
		{"session 0", 0, 1, 12, protocol.FetchSessionIDNotFound},
		{"an epoch to come", s.id, 2, 12, protocol.InvalidFetchSessionEpoch},
		{"a negative epoch", s.id, -7, 12, protocol.InvalidFetchSessionEpoch},
		{"by id, while it is by name", s.id, 1, 13, protocol.FetchSessionTopicIDError},
	} {
		req := fetchPartitions("t", 1)
		req.Version, req.SessionID, req.SessionEpoch, req.Topics[0].TopicID = tc.version, tc.id, tc.epoch, id
		resp := ask[*kmsg.FetchResponse](c, req)
		if got := protocol.ErrorCode(resp.ErrorCode); got != tc.want || resp.SessionID != 0 || len(resp.Topics) != 0 {
			t.Errorf("%s: %v, session %d, %d topics; want %v", tc.name, got, resp.SessionID, len(resp.Topics), tc.want)
		}
	}
	if got := s.incremental(nil, nil); got != "" {
		t.Errorf("the session afterwards: %q", got)
	}
	s.epoch--
	if got := protocol.ErrorCode(s.tryIncremental(nil, nil).ErrorCode); got != protocol.InvalidFetchSessionEpoch {
		t.Errorf("the same epoch again: %v", got)
	}

	end := fetchPartitions("t", 2)
	end.SessionID, end.SessionEpoch = s.id, -1
	if resp := ask[*kmsg.FetchResponse](c, end); resp.ErrorCode != 0 || resp.SessionID != 0 || describe(t, resp) != "0= 1=" {
		t.Errorf("the end of a session: %+v", resp)
	}
	s.epoch++
	if got := protocol.ErrorCode(s.tryIncremental(nil, nil).ErrorCode); got != protocol.FetchSessionIDNotFound {
		t.Errorf("after its end: %v", got)
	}

	again, _ := newSession(c, 2)
	req := fetchPartitions("t", 1)
	req.SessionID, req.SessionEpoch = again.id, 0
	if resp := ask[*kmsg.FetchResponse](c, req); resp.SessionID == 0 || resp.SessionID == again.id {
		t.Errorf("a new session instead of %d is %d", again.id, resp.SessionID)
	}
	if got := protocol.ErrorCode(again.tryIncremental(nil, nil).ErrorCode); got != protocol.FetchSessionIDNotFound {
		t.Errorf("the session that was replaced: %v", got)
	}
	last, _ := newSession(c, 2)
	if resp := last.tryIncremental(nil, []int32{0, 1}); resp.ErrorCode != 0 || resp.SessionID != 0 {
		t.Errorf("everything forgotten: %v, session %d", resp.ErrorCode, resp.SessionID)
	}
}

// Without slots there are no sessions, and fetches work all the same.
func TestNoFetchSessionSlots(t *testing.T) {
	r := startBroker(t, map[string]string{"max.incremental.fetch.session.cache.slots": "0"})
	r.createTopic("t", 2)
	if s, all := newSession(r.dial(), 2); s.id != 0 || all != "0= 1=" {
		t.Errorf("session %d, %q", s.id, all)
	}
}

// Who loses the slot (KIP-227): the session unused longest, if for more than two minutes; else the smallest consumer session that has lived that
// long and is smaller than the new one; a follower's session displaces a consumer's at once.
func TestFetchSessionEviction(t *testing.T) {
	request := func(replica int32, partitions int) *protocol.FetchRequest {
		req := &protocol.FetchRequest{ReplicaID: replica, Topics: []protocol.FetchTopic{{Name: "t"}}}
		for i := range partitions {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, protocol.FetchPartition{Partition: int32(i)})
		}
		return req
	}
	for _, tc := range []struct {
		name    string
		present []int // sizes of consumers' sessions; negative: followers'
		age     time.Duration
		used    int // index of the session that is used before the new one comes; -1: none
		next    int // as in present
		evicted int // index; -1: the new one gets no slot
	}{
		{"all young", []int{1, 2}, time.Minute, -1, 9, -1},
		{"unused long", []int{5, 2}, 3 * time.Minute, 1, 1, 0},
		{"a follower comes", []int{5, 2}, time.Second, -1, -1, 1},
		{"a follower displaces no young follower", []int{-5, -2}, time.Second, -1, -9, -1},
		{"a consumer displaces no follower", []int{-5, -2}, time.Minute, -1, 9, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFetchSessions(len(tc.present))
				create := func(n int) *fetchSession {
					if n < 0 {
						return f.create(request(2, -n), false)
					}
					return f.create(request(-1, n), false)
				}
				var present []*fetchSession
				for _, n := range tc.present {
					present = append(present, create(n))
					time.Sleep(time.Millisecond)
				}
				time.Sleep(tc.age)
				if tc.used >= 0 {
					s := present[tc.used]
					op := &fetchOp{header: protocol.RequestHeader{Key: keyFetch, Version: 12}}
					if code, id := f.begin(op, &protocol.FetchRequest{SessionID: s.id, SessionEpoch: 1}); code != protocol.None || id != s.id {
						t.Fatal(code, id)
					}
				}
				next := create(tc.next)
				if (next != nil) != (tc.evicted >= 0) {
					t.Errorf("the new session has a slot: %v", next != nil)
				}
				got := slices.IndexFunc(present, func(s *fetchSession) bool { return f.get(s.id) == nil })
				if got != tc.evicted {
					t.Errorf("session %d lost its slot, want %d", got, tc.evicted)
				}
				if len(f.mu.byID) > len(tc.present) {
					t.Errorf("%d sessions in %d slots", len(f.mu.byID), len(tc.present))
				}
			})
		})
	}
}

// Session epochs wrap to 1: 0 and -1 mean something else.
func TestSessionEpochWraps(t *testing.T) {
	for epoch, want := range map[int32]int32{0: 1, 1: 2, 1<<31 - 2: 1<<31 - 1, 1<<31 - 1: 1} {
		if got := nextSessionEpoch(epoch); got != want {
			t.Errorf("after %d comes %d, want %d", epoch, got, want)
		}
	}
}
