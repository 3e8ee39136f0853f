package protocol

import "fmt"

// FetchResponse is a Fetch response of versions 0 to 17 as a follower reads it: decoded without allocations, its slices reused by the next Decode. Names and
// records alias the frame.
type FetchResponse struct {
	ErrorCode  ErrorCode // v7+: of the session (KIP-227), and then there are no partitions
	SessionID  int32     // v7+; 0: the leader keeps no session
	Partitions []FetchedPartition
}

// FetchedPartition is what a leader answers for one partition.
type FetchedPartition struct {
	Topic          string  // v0-12
	TopicID        TopicID // v13+
	Partition      int32
	ErrorCode      ErrorCode
	HighWatermark  int64          // -1 with an error
	LogStartOffset int64          // v5+; -1 otherwise and with an error
	DivergingEpoch EpochEndOffset // v12+: the leader's log parts from ours at its end (KIP-595); Epoch and EndOffset -1 when it does not
	Records        []byte         // whole batches, perhaps followed by a part of one; nil when there are none
}

// Decode reads a response frame, without its size field, that answers a request of this version and correlation id. After an error the response is empty.
func (f *FetchResponse) Decode(version int16, correlationID int32, frame []byte) error {
	f.reset()
	r := reader{buf: frame}
	id := r.int32()
	r.flexible = responseHeaderFlexible(keyFetch, version)
	r.skipTags()
	if r.err == nil && id != correlationID {
		return fmt.Errorf("response with correlation id %d where %d is due", id, correlationID)
	}
	if version >= 1 {
		r.int32() // throttle time
	}
	if version >= 7 {
		f.ErrorCode = ErrorCode(r.int16())
		f.SessionID = r.int32()
	}
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		f.decodeTopic(&r, version)
	}
	r.skipTags()
	if r.err != nil {
		f.reset()
		return fmt.Errorf("fetch response of version %d: %w", version, r.err)
	}
	return nil
}

func (f *FetchResponse) decodeTopic(r *reader, version int16) {
	var p FetchedPartition
	if version <= 12 {
		p.Topic = r.string()
	} else {
		p.TopicID = r.uuid()
	}
	for n := r.arrayLen(); n > 0 && r.err == nil; n-- {
		p.decode(r, version)
		f.Partitions = append(f.Partitions, p)
	}
	r.skipTags()
}

// decode reads all but the topic.
func (p *FetchedPartition) decode(r *reader, version int16) {
	p.LogStartOffset = -1
	p.DivergingEpoch = EpochEndOffset{-1, -1}
	p.Partition = r.int32()
	p.ErrorCode = ErrorCode(r.int16())
	p.HighWatermark = r.int64()
	if version >= 4 {
		r.int64() // last stable offset
	}
	if version >= 5 {
		p.LogStartOffset = r.int64()
	}
	if version >= 4 {
		for n := r.nullableArrayLen(); n > 0 && r.err == nil; n-- { // aborted transactions: for consumers
			r.span(16)
			r.skipTags()
		}
	}
	if version >= 11 {
		r.int32() // preferred read replica
	}
	p.Records = r.nullableBytes()
	for n := r.tagCount(); n > 0 && r.err == nil; n-- {
		tag, size := r.uvarint(), int(int32(r.uvarint()))
		if tag != 0 {
			r.span(size)
			continue
		}
		p.DivergingEpoch.Epoch = r.int32()
		p.DivergingEpoch.EndOffset = r.int64()
		r.skipTags()
	}
}

// reset lets go of the frame the response aliased.
func (f *FetchResponse) reset() {
	clear(f.Partitions)
	*f = FetchResponse{Partitions: reuse(f.Partitions)}
}
