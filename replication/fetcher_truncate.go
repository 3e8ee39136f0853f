package replication

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Timestamps that ListOffsets knows by meaning.
const (
	latestOffset   int64 = -1
	earliestOffset int64 = -2
)

// maxAsked bounds the partitions of one request for epochs or offsets.
const maxAsked = 10_000

// truncationPoint says where a follower cuts a log, after its leader has said that epoch foundEpoch, the largest it knows that is not above the one asked for, ends
// at leaderEnd (KIP-101, KIP-279). done is false when the leader is to be asked again, with the epoch that is then the log's last. unknown is where to
// cut when the leader does not know any such epoch.
func truncationPoint(log Log, foundEpoch int32, leaderEnd, unknown int64) (offset int64, done bool) {
	if leaderEnd < 0 {
		return unknown, true
	}
	end := log.LogEndOffset()
	if foundEpoch < 0 {
		return min(leaderEnd, end), true // a leader from before KIP-279
	}
	ourEpoch, ourEnd := log.EndOffsetForEpoch(foundEpoch)
	switch {
	case ourEnd < 0:
		return min(leaderEnd, end), true // our log was written before there were epochs
	case ourEpoch != foundEpoch:
		return min(ourEnd, end), false // an epoch that our log does not have: go back to the one before it
	}
	return min(ourEnd, leaderEnd, end), true
}

// truncateDiverging cuts the log where the leader's parts from it, as a fetch of version 12 or later has told. Should that not be far enough, the next fetch says so.
func (f *Fetcher) truncateDiverging(now time.Time, e *following, at protocol.EpochEndOffset) {
	offset, _ := truncationPoint(e.p.Log(), at.Epoch, at.EndOffset, e.offset)
	f.truncateTo(now, e, offset, fetching)
}

// truncateTo cuts the log and goes on from its end.
func (f *Fetcher) truncateTo(now time.Time, e *following, offset int64, next phase) {
	hw, end := e.p.Log().HighWatermark(), e.p.Log().LogEndOffset()
	if offset < end {
		f.log.Info(f.prefix() + fmt.Sprintf("Truncating partition %v to offset %d, its log ends at %d", e.tp, offset, end))
	}
	if offset < hw {
		f.log.Warn(f.prefix() + fmt.Sprintf("Truncating %v to offset %d below high watermark %d", e.tp, offset, hw))
	}
	if err := e.p.truncateAsFollower(e.leaderEpoch, offset); err != nil {
		f.truncateFailed(e, err)
		return
	}
	f.resume(e, next)
}

// resume lets an entry go on from the log's end.
func (f *Fetcher) resume(e *following, next phase) {
	e.offset, e.lastEpoch = e.p.Log().LogEndOffset(), e.p.Log().LatestEpoch()
	f.enter(e, next)
}

func (f *Fetcher) truncateFailed(e *following, err error) {
	if errors.Is(err, errNotFollowing) {
		f.drop(e)
		return
	}
	f.log.Error(f.prefix() + fmt.Sprintf("Cannot truncate partition %v: %v", e.tp, err))
	f.fail(e, err.Error())
}

// askEpochs asks where the leader's log has the last epochs of ours. Logs that know no epochs are cut to the high watermark here and now. It returns nil
// when there is nothing to ask.
func (f *Fetcher) askEpochs(now time.Time) kmsg.Request {
	var req *kmsg.OffsetForLeaderEpochRequest
	asked := 0
	for _, e := range f.mu.unready {
		if e.phase != truncating || !e.retryAt.IsZero() || asked == maxAsked {
			continue
		}
		epoch := e.p.Log().LatestEpoch()
		if epoch < 0 {
			f.truncateTo(now, e, e.offset, fetching)
			continue
		}
		if req == nil {
			req = kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.Version, req.ReplicaID = f.cfg.EpochVersion, f.me
			f.mu.serial++
		}
		asked++
		e.asked, e.askedFor = f.mu.serial, epoch
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != e.tp.Topic {
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = e.tp.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = e.tp.Partition, e.leaderEpoch, epoch
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	if req == nil {
		return nil
	}
	return req
}

// ApplyEpochs takes the answer to AskEpochs.
func (f *Fetcher) ApplyEpochs(now time.Time, resp *kmsg.OffsetForLeaderEpochResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			// A partition that was given up or began another leader epoch meanwhile is another entry, which has asked nothing yet (KAFKA-7786).
			if e := f.answered(resp.Topics[i].Topic, p.Partition, truncating); e != nil {
				f.applyEpoch(now, e, p)
			}
		}
	}
	f.unanswered(now)
}

func (f *Fetcher) applyEpoch(now time.Time, e *following, p *kmsg.OffsetForLeaderEpochResponseTopicPartition) {
	switch code := protocol.ErrorCode(p.ErrorCode); code {
	case protocol.None:
		e.failures = 0
		offset, done := truncationPoint(e.p.Log(), p.LeaderEpoch, p.EndOffset, e.offset)
		next := fetching
		if !done && !f.truncatesOnFetch() {
			next = truncating // ask again, with an earlier epoch: the truncation forgets the one that was asked for
		}
		f.truncateTo(now, e, offset, next)
	case protocol.FencedLeaderEpoch:
		f.fenced(e)
	default:
		f.log.Info(f.prefix() + fmt.Sprintf("Retrying leaderEpoch request for partition %v as the leader reported an error: %v", e.tp, code))
		f.delay(e, now)
	}
}

// answered returns the entry that an answer is for: one that is in the phase that it was asked in, by the last request.
func (f *Fetcher) answered(topic string, partition int32, in ...phase) *following {
	e := f.mu.entries[protocol.TopicPartition{Topic: topic, Partition: partition}]
	if e == nil || e.asked != f.mu.serial {
		return nil
	}
	e.asked = 0
	for _, ph := range in {
		if e.phase == ph {
			return e
		}
	}
	return nil
}

// unanswered has the partitions wait that a leader left out of its answer.
func (f *Fetcher) unanswered(now time.Time) {
	for _, e := range f.mu.unready {
		if e.asked == f.mu.serial && e.phase != unfollowable {
			e.asked = 0
			f.delay(e, now)
		}
	}
}

// askOffsets asks for the leader's log end, and for its log start where that is the question. It returns nil when there is nothing to ask.
func (f *Fetcher) askOffsets() kmsg.Request {
	for _, q := range []struct {
		phase     phase
		timestamp int64
	}{{outOfRange, latestOffset}, {belowLeader, earliestOffset}} {
		if req := f.askOffset(q.phase, q.timestamp); req != nil {
			return req
		}
	}
	return nil
}

func (f *Fetcher) askOffset(in phase, timestamp int64) *kmsg.ListOffsetsRequest {
	var req *kmsg.ListOffsetsRequest
	asked := 0
	for _, e := range f.mu.unready {
		if e.phase != in || !e.retryAt.IsZero() || asked == maxAsked {
			continue
		}
		if req == nil {
			req = kmsg.NewPtrListOffsetsRequest()
			req.Version, req.ReplicaID = f.cfg.ListOffsetsVersion, f.me
			f.mu.serial++
		}
		asked++
		e.asked = f.mu.serial
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != e.tp.Topic {
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = e.tp.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.Timestamp, p.MaxNumOffsets = e.tp.Partition, e.leaderEpoch, timestamp, 1
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return req
}

// ApplyOffsets takes the answer to AskOffsets.
func (f *Fetcher) ApplyOffsets(now time.Time, resp *kmsg.ListOffsetsResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			e := f.answered(resp.Topics[i].Topic, p.Partition, outOfRange, belowLeader)
			if e == nil {
				continue
			}
			switch code := protocol.ErrorCode(p.ErrorCode); code {
			case protocol.None:
				offset := p.Offset
				if resp.Version == 0 && len(p.OldStyleOffsets) > 0 {
					offset = p.OldStyleOffsets[0]
				}
				f.applyOffset(now, e, offset)
			case protocol.FencedLeaderEpoch:
				f.fenced(e)
			default:
				f.log.Info(f.prefix() + fmt.Sprintf("Could not fetch offset for %v due to error: %v", e.tp, code))
				f.delay(e, now)
			}
		}
	}
	f.unanswered(now)
}

// applyOffset brings a log back into the leader's range. A log that ends behind the leader's comes from another history (unclean election) and is cut to the leader's end; one
// that ends before the leader's begins has nothing that the leader still has, and begins anew (KAFKA-9491); in between the next fetch tries again.
func (f *Fetcher) applyOffset(now time.Time, e *following, offset int64) {
	if offset < 0 {
		f.delay(e, now)
		return
	}
	e.failures = 0
	end := e.p.Log().LogEndOffset()
	if e.phase == outOfRange {
		if offset < end {
			f.log.Warn(f.prefix() + fmt.Sprintf("Reset fetch offset for partition %v from %d to current leader's latest offset %d", e.tp, end, offset))
			f.truncateTo(now, e, offset, fetching)
			return
		}
		e.leaderEnd = offset
		f.enter(e, belowLeader)
		return
	}
	f.log.Warn(f.prefix() + fmt.Sprintf("Reset fetch offset for partition %v from %d to current leader's start offset %d", e.tp, end, offset))
	if offset > end {
		if err := e.p.startAsFollowerAt(e.leaderEpoch, offset); err != nil {
			f.truncateFailed(e, err)
			return
		}
	}
	f.resume(e, fetching)
	if offset <= end {
		// Nothing has changed; without a pause the leader could be asked the same as fast as it answers.
		f.delay(e, now)
	}
}
