package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication"
	"gregor/storage"
)

// ListOffsets 1–9: earliest, latest, by timestamp, max timestamp (KIP-734), earliest local and latest tiered (KIP-405; there is no tiered
// storage, so these are the log start and nothing). Version 0, which lists segment offsets, is refused with UNSUPPORTED_VERSION.

// Timestamps with a meaning of their own.
const (
	latestTimestamp        = -1
	earliestTimestamp      = -2
	maxTimestamp           = -3 // since version 7
	earliestLocalTimestamp = -4 // since version 8
	latestTieredTimestamp  = -5 // since version 9
)

func init() { handle(listOffsets) }

func listOffsets(b *Broker, _ *request, r *kmsg.ListOffsetsRequest) (kmsg.Response, error) {
	resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
	duplicates := duplicatePartitions(r)
	for _, t := range r.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for i := range t.Partitions {
			p := &t.Partitions[i]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition = p.Partition
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			switch {
			case r.Version == 0:
				rp.ErrorCode = int16(protocol.UnsupportedVersion)
			case r.IsolationLevel != readUncommitted && r.IsolationLevel != readCommitted:
				rp.ErrorCode = int16(protocol.UnknownServerError) // as Apache Kafka, which fails on it
			case duplicates[tp]:
				rp.ErrorCode = int16(protocol.InvalidRequest)
			case unsupportedTimestamp(r.Version, p.Timestamp):
				rp.ErrorCode = int16(protocol.UnsupportedVersion)
			default:
				b.listOffset(r, tp, p, &rp)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func duplicatePartitions(r *kmsg.ListOffsetsRequest) map[protocol.TopicPartition]bool {
	seen := make(map[protocol.TopicPartition]bool) // true once a partition was named twice
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			tp := protocol.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			_, twice := seen[tp]
			seen[tp] = twice
		}
	}
	return seen
}

func unsupportedTimestamp(version int16, ts int64) bool {
	switch {
	case ts >= earliestTimestamp:
		return false
	case ts == maxTimestamp:
		return version < 7
	case ts == earliestLocalTimestamp:
		return version < 8
	case ts == latestTieredTimestamp:
		return version < 9
	}
	return true
}

// listOffset answers one partition. Only debugging consumers (replica id -2) may ask a follower.
func (b *Broker) listOffset(r *kmsg.ListOffsetsRequest, tp protocol.TopicPartition, q *kmsg.ListOffsetsRequestTopicPartition, rp *kmsg.ListOffsetsResponseTopicPartition) {
	p, code := b.partition(tp)
	switch {
	case code != protocol.None:
	case r.ReplicaID == debuggingReplicaID:
		code = p.CheckReplica(q.CurrentLeaderEpoch)
	default:
		code = p.CheckLeader(q.CurrentLeaderEpoch)
	}
	if code != protocol.None {
		rp.ErrorCode = int16(code)
		return
	}
	log := p.Log()
	mark := log.HighWatermark()
	maxOffset := mark
	switch {
	case r.ReplicaID != consumerReplicaID:
		maxOffset = log.LogEndOffset()
	case r.IsolationLevel == readCommitted:
		maxOffset = min(maxOffset, log.LastStableOffset())
	}
	found, err := lookUpOffset(p, q.Timestamp, maxOffset)
	if err != nil {
		rp.ErrorCode = int16(errorCode(err))
		return
	}
	// A new leader does not know yet that everything it began with is committed: what it would answer may be less than what clients were told before
	// (KIP-207). Only offsets that do not depend on the watermark are certain.
	uncertain := q.Timestamp == latestTimestamp || found.Offset == -1 && q.Timestamp != latestTieredTimestamp
	if uncertain && r.ReplicaID == consumerReplicaID && p.LeaderEpochStart() > mark {
		rp.ErrorCode = int16(protocol.OffsetNotAvailable)
		if r.Version < 5 {
			rp.ErrorCode = int16(protocol.LeaderNotAvailable)
		}
		return
	}
	rp.Timestamp, rp.Offset, rp.LeaderEpoch = found.Timestamp, found.Offset, found.LeaderEpoch
}

// lookUpOffset finds the offset that a timestamp stands for, below maxOffset where that depends on the timestamps of records.
func lookUpOffset(p *replication.Partition, timestamp, maxOffset int64) (found storage.TimestampOffset, err error) {
	log := p.Log()
	found = storage.TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
	switch timestamp {
	case latestTimestamp:
		found.Offset, found.LeaderEpoch = maxOffset, p.LeaderEpoch()
	case earliestTimestamp, earliestLocalTimestamp:
		found.Offset = log.LogStartOffset()
		found.LeaderEpoch = log.EpochForOffset(found.Offset)
	case latestTieredTimestamp:
	case maxTimestamp:
		if found, err = log.OffsetOfMaxTimestamp(); found.Offset >= maxOffset {
			found = storage.TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1} // no consumer can see it yet
		}
	default:
		found, err = log.OffsetForTimestamp(timestamp, maxOffset)
	}
	return found, err
}
