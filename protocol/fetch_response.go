package protocol

// A Fetch response is written in pieces, because its record sets go from file to socket without passing here:
//
//	AppendFetchResponseHeader
//	for each topic      AppendFetchTopic
//	  for each partition  AppendFetchPartition   recordsLen bytes of records   AppendFetchPartitionEnd
//	                    AppendFetchTopicEnd
//	AppendFetchResponseEnd
//
// The caller may let all pieces go into one buffer, remember the positions where records belong, and splice them in while sending.
// At the end PatchFetchFrameSize writes the size of the frame.

// FetchPartitionResponse is the answer for one partition, but for its records. On an error the offsets are -1.
type FetchPartitionResponse struct {
	Partition            int32
	ErrorCode            ErrorCode
	HighWatermark        int64
	LastStableOffset     int64                // v4+
	LogStartOffset       int64                // v5+
	AbortedTransactions  []AbortedTransaction // v4+; nil is null, as for read_uncommitted
	PreferredReadReplica int32                // v11+; -1: this broker
	DivergingEpoch       *EpochEndOffset      // v12+; nil: the logs do not diverge
	CurrentLeader        *LeaderIDAndEpoch    // v12+; nil: not told
}

// AbortedTransaction tells a read_committed consumer to skip the records of a producer from FirstOffset to the abort marker.
type AbortedTransaction struct {
	ProducerID, FirstOffset int64
}

// EpochEndOffset is where the leader's log of an epoch ends.
type EpochEndOffset struct {
	Epoch     int32
	EndOffset int64
}

func fetchWriter(dst []byte, version int16) writer {
	return writer{out: dst, version: version, flexible: responseHeaderFlexible(keyFetch, version)}
}

// AppendFetchResponseHeader appends the size (to be patched), the response header and the fields before the topics. code and sessionID
// are on the wire from version 7 on. The topics follow.
func AppendFetchResponseHeader(dst []byte, h RequestHeader, throttleTimeMs int32, code ErrorCode, sessionID int32, topics int) []byte {
	w := fetchWriter(dst, h.Version)
	w.out = appendFrameHeader(dst, h.CorrelationID, w.flexible)
	if h.Version >= 1 {
		w.int32(throttleTimeMs)
	}
	if h.Version >= 7 {
		w.int16(int16(code))
		w.int32(sessionID)
	}
	w.arrayLen(topics)
	return w.out
}

// AppendFetchTopic begins a topic: its name up to version 12, its id from version 13 on. Its partitions follow.
func AppendFetchTopic(dst []byte, version int16, name string, id TopicID, partitions int) []byte {
	w := fetchWriter(dst, version)
	if version <= 12 {
		w.string(name)
	} else {
		w.out = append(w.out, id[:]...)
	}
	w.arrayLen(partitions)
	return w.out
}

// AppendFetchPartition begins a partition, up to and with the length of its records; -1 is null. recordsLen bytes of records follow,
// then AppendFetchPartitionEnd.
func AppendFetchPartition(dst []byte, version int16, p *FetchPartitionResponse, recordsLen int) []byte {
	w := fetchWriter(dst, version)
	w.int32(p.Partition)
	w.int16(int16(p.ErrorCode))
	w.int64(p.HighWatermark)
	if version >= 4 {
		w.int64(p.LastStableOffset)
	}
	if version >= 5 {
		w.int64(p.LogStartOffset)
	}
	if version >= 4 {
		n := len(p.AbortedTransactions)
		if p.AbortedTransactions == nil {
			n = -1
		}
		w.arrayLen(n)
		for _, a := range p.AbortedTransactions {
			w.int64(a.ProducerID)
			w.int64(a.FirstOffset)
			w.noTags()
		}
	}
	if version >= 11 {
		w.int32(p.PreferredReadReplica)
	}
	w.bytesLen(recordsLen)
	return w.out
}

// AppendFetchPartitionEnd ends the partition that AppendFetchPartition began, after its records.
func AppendFetchPartitionEnd(dst []byte, version int16, p *FetchPartitionResponse) []byte {
	w := fetchWriter(dst, version)
	if !w.flexible {
		return w.out
	}
	tags := 0
	if p.DivergingEpoch != nil {
		tags++
	}
	if p.CurrentLeader != nil {
		tags++
	}
	w.uvarint(tags)
	if e := p.DivergingEpoch; e != nil {
		w.uvarint(0)
		w.uvarint(13)
		w.int32(e.Epoch)
		w.int64(e.EndOffset)
		w.noTags()
	}
	if p.CurrentLeader != nil {
		w.leaderTag(1, p.CurrentLeader)
	}
	return w.out
}

// AppendFetchTopicEnd ends the topic that AppendFetchTopic began, after its last partition.
func AppendFetchTopicEnd(dst []byte, version int16) []byte {
	w := fetchWriter(dst, version)
	w.noTags()
	return w.out
}

// AppendFetchResponseEnd ends the response after its last topic. endpoints are on the wire from version 16 on: the brokers that some
// partition's CurrentLeader names.
func AppendFetchResponseEnd(dst []byte, version int16, endpoints []NodeEndpoint) []byte {
	w := fetchWriter(dst, version)
	w.nodeEndpointsTag(endpoints, version >= 16)
	return w.out
}

// PatchFetchFrameSize writes the size of a finished response. frame is what the Append functions wrote, from its first byte on; recordsBytes
// is the number of record bytes that are sent with it but are not in frame.
func PatchFetchFrameSize(frame []byte, recordsBytes int) { patchFrameSize(frame, recordsBytes) }
