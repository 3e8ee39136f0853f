package replication

import (
	"testing"
	"time"

	"gregor/protocol"
)

// at is a moment, in seconds after an arbitrary one.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

// When a follower was last caught up, by where it fetches from and where the leader's log ended then and at the fetch before.
func TestLastCaughtUp(t *testing.T) {
	r := newProgress(2)
	for _, tc := range []struct {
		name           string
		second         int
		offset, end    int64
		lastCaughtUp   time.Time
		endMoved       bool
		caughtUpIn10At int // the latest second in which it counts as caught up with a limit of 10 s, were the log to grow after the fetch
	}{
		{"the first fetch, behind", 0, 5, 10, time.Time{}, true, -1},
		{"up to the end of the fetch before", 1, 10, 20, at(0), true, 10},
		{"not up to the end of the fetch before", 2, 15, 30, at(0), true, 10},
		{"the same place again", 3, 15, 30, at(0), false, 10},
		{"up to the end of the fetch before again", 4, 30, 40, at(3), true, 13},
		{"at the end", 5, 40, 40, at(5), true, 15},
		{"truncated", 6, 20, 40, at(5), true, 15},
		{"beyond the end of the fetch before", 7, 45, 50, at(6), true, 16},
	} {
		moved, _, code := r.record(&FollowerFetch{ID: 2, BrokerEpoch: -1, LogStartOffset: -1}, tc.offset, tc.end, at(tc.second))
		s := r.snapshot()
		if code != noCode || moved != tc.endMoved || s.LogEndOffset != tc.offset || !s.LastCaughtUp.Equal(tc.lastCaughtUp) {
			t.Errorf("%s: %v, moved %v, %+v; want caught up at %v", tc.name, code, moved, s, tc.lastCaughtUp)
		}
		for second, want := range map[int]bool{tc.caughtUpIn10At: tc.caughtUpIn10At >= 0, tc.caughtUpIn10At + 1: false} {
			if got := s.caughtUp(1000, at(second), 10*time.Second); got != want {
				t.Errorf("%s: caught up %v at second %d", tc.name, got, second)
			}
		}
		if !s.caughtUp(tc.offset, at(1000), 10*time.Second) {
			t.Errorf("%s: at the leader's end, and yet behind (KAFKA-7152)", tc.name)
		}
	}
}

// A fetch of an earlier life of the follower's broker says nothing (KAFKA-14617); one that tells no epoch is believed.
func TestFetchOfEarlierLife(t *testing.T) {
	r := newProgress(2)
	for _, tc := range []struct {
		epoch, offset int64
		want          protocol.ErrorCode
		end           int64
	}{{7, 10, noCode, 10}, {6, 20, protocol.NotLeaderOrFollower, 10}, {8, 5, noCode, 5}, {7, 10, protocol.NotLeaderOrFollower, 5}, {-1, 6, noCode, 6}} {
		_, _, code := r.record(&FollowerFetch{ID: 2, BrokerEpoch: tc.epoch}, tc.offset, 20, at(0))
		if s := r.snapshot(); code != tc.want || s.LogEndOffset != tc.end {
			t.Errorf("epoch %d: %v, log end %d; want %v, %d", tc.epoch, code, s.LogEndOffset, tc.want, tc.end)
		}
	}
}

// What a new leader epoch leaves of what is known.
func TestProgressInNewLeaderEpoch(t *testing.T) {
	for _, tc := range []struct {
		name         string
		same, inSync bool
		end          int64
		caughtUp     time.Time
	}{
		{"another leader before, in sync", false, true, unknownOffset, at(9)},
		{"another leader before, not in sync", false, false, unknownOffset, time.Time{}},
		{"the same leader, in sync", true, true, 10, at(9)},
		{"the same leader, not in sync", true, false, 10, time.Time{}},
	} {
		r := newProgress(2)
		r.record(&FollowerFetch{ID: 2, BrokerEpoch: 3, LogStartOffset: 4}, 10, 10, at(5))
		r.leaderEpochBegins(tc.same, tc.inSync, 12, at(9))
		if s := r.snapshot(); s.LogEndOffset != tc.end || !s.LastCaughtUp.Equal(tc.caughtUp) {
			t.Errorf("%s: %+v", tc.name, s)
		}
		// A fetch from where the log ended before the epoch says nothing about the time since.
		r.record(&FollowerFetch{ID: 2, BrokerEpoch: 3, LogStartOffset: 4}, 10, 20, at(11))
		if s := r.snapshot(); s.LastCaughtUp.After(later(tc.caughtUp, at(5))) && tc.same {
			t.Errorf("%s: caught up at %v by a fetch from behind the epoch's start", tc.name, s.LastCaughtUp)
		}
	}
}
