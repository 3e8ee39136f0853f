package replication

import (
	"errors"
	"fmt"
	"time"

	"gregor/protocol"
	"gregor/storage"
)

// ApplyFetch takes a leader's answer to the logs. Records are copied from the answer's frame.
func (f *Fetcher) ApplyFetch(now time.Time, resp *protocol.FetchResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.accept(now, resp) {
		return
	}
	// The leader does not repeat a watermark within a session: when one was not taken over, a new session tells it.
	again := false
	for i := range resp.Partitions {
		got := &resp.Partitions[i]
		ask := f.mu.session.find(got)
		e := f.mu.entries[ask.tp]
		if e == nil {
			continue
		}
		// A partition that has moved on or changed its leader epoch since it was asked for takes no answer to the old question.
		if e.phase != fetching || !e.retryAt.IsZero() || e.offset != ask.offset || e.leaderEpoch != ask.leaderEpoch {
			again = true
			continue
		}
		again = f.applyPartition(now, e, got) || again
	}
	f.mu.session.continued(resp.SessionID)
	if again {
		f.mu.session.restart()
	}
}

// accept checks the answer as a whole: the session, and that it names what was asked for and nothing else.
func (f *Fetcher) accept(now time.Time, resp *protocol.FetchResponse) bool {
	s := &f.mu.session
	switch code := resp.ErrorCode; code {
	case protocol.None:
	case protocol.FetchSessionIDNotFound:
		f.log.Info(f.prefix() + fmt.Sprintf("Node %d was unable to process the fetch request with (sessionId=%d, epoch=%d): %v", f.leader, s.id, s.epoch, code))
		s.forgotten()
		return false
	default:
		f.log.Info(f.prefix() + fmt.Sprintf("Node %d was unable to process the fetch request with (sessionId=%d, epoch=%d): %v", f.leader, s.id, s.epoch, code))
		s.restart()
		if code != protocol.InvalidFetchSessionEpoch {
			f.failed(now)
		}
		return false
	}
	known := 0
	for i := range resp.Partitions {
		if s.find(&resp.Partitions[i]) != nil {
			known++
		}
	}
	if known != len(resp.Partitions) || s.epoch == 0 && known < s.size {
		f.log.Info(f.prefix() + fmt.Sprintf("Node %d sent an invalid fetch response: %d partitions of %d, %d of them asked for", f.leader, len(resp.Partitions), s.size, known))
		f.failed(now)
		return false
	}
	return true
}

// applyPartition takes one partition's answer, and reports whether the leader's watermark in it was left.
func (f *Fetcher) applyPartition(now time.Time, e *following, got *protocol.FetchedPartition) (left bool) {
	switch code := got.ErrorCode; code {
	case protocol.None:
		if got.DivergingEpoch.Epoch >= 0 && f.truncatesOnFetch() {
			// The watermark of this answer is that of another history: nothing but the truncation is taken from it (KAFKA-14704).
			f.truncateDiverging(now, e, got.DivergingEpoch)
			return true
		}
		f.appendRecords(now, e, got)
	case protocol.OffsetOutOfRange:
		f.enter(e, outOfRange)
	case protocol.FencedLeaderEpoch:
		f.fenced(e)
	case protocol.UnknownLeaderEpoch, protocol.NotLeaderOrFollower:
		f.log.Debug(f.prefix() + fmt.Sprintf("Remote broker does not lead partition %v in leader epoch %d: %v", e.tp, e.leaderEpoch, code))
		f.delay(e, now)
	case protocol.UnknownTopicOrPartition, protocol.UnknownTopicID, protocol.InconsistentTopicID:
		f.log.Warn(f.prefix() + fmt.Sprintf("Received %v from the leader for partition %v. This error may be returned transiently when the partition is being "+
			"created or deleted, but it is not expected to persist.", code, e.tp))
		f.delay(e, now)
	default:
		f.log.Error(f.prefix() + fmt.Sprintf("Error for partition %v at offset %d: %v", e.tp, e.offset, code))
		f.delay(e, now)
	}
	return false
}

// appendRecords writes what came and goes on behind it.
func (f *Fetcher) appendRecords(now time.Time, e *following, got *protocol.FetchedPartition) {
	end, lastEpoch, err := e.p.replicate(e.leaderEpoch, e.offset, got)
	switch {
	case err == nil:
		e.failures = 0
		e.offset, e.lastEpoch = end, lastEpoch
		f.touch(e)
		f.throttle(e, got, now)
	case errors.Is(err, errNotFollowing):
		f.drop(e)
	case errors.Is(err, protocol.CorruptMessage):
		// Perhaps the leader's log was just being cut, or a bit fell over on the way: the next answer will tell.
		f.log.Error(f.prefix() + fmt.Sprintf("Found invalid messages during fetch for partition %v offset %d: %v", e.tp, e.offset, err))
		f.delay(e, now)
	case errors.Is(err, storage.ErrStorage):
		f.log.Error(f.prefix() + fmt.Sprintf("Error while processing data for partition %v at offset %d: %v", e.tp, e.offset, err))
		f.fail(e, err.Error())
	default:
		f.log.Error(f.prefix() + fmt.Sprintf("Unexpected error occurred while processing data for partition %v at offset %d: %v", e.tp, e.offset, err))
		f.fail(e, err.Error())
	}
}

// throttle has a partition wait for the quota of throttled replicas, unless it has all that is committed: one that is in sync must not fall behind for it (KAFKA-4313).
func (f *Fetcher) throttle(e *following, got *protocol.FetchedPartition, now time.Time) {
	if f.cfg.Throttle == nil || len(got.Records) == 0 {
		return
	}
	if wait := f.cfg.Throttle(e.tp, len(got.Records), now); wait > 0 && e.offset < got.HighWatermark {
		e.retryAt = now.Add(wait)
		f.mu.delayed = append(f.mu.delayed, e)
	}
}

// fenced handles a leader that is in a later epoch than the controller told us: the next LeaderAndIsr will bring it.
func (f *Fetcher) fenced(e *following) {
	f.log.Info(f.prefix() + fmt.Sprintf("Partition %v has an older epoch (%d) than the current leader. Will await the new LeaderAndIsr state before resuming fetching.", e.tp, e.leaderEpoch))
	f.fail(e, "its leader epoch is fenced")
}
