package protocol

import (
	"encoding/binary"
	"math/bits"
)

// writer appends the primitive types of the Kafka protocol to out, in the encoding of one version of one message.
type writer struct {
	out      []byte
	version  int16
	flexible bool
}

func (w *writer) int16(v int16) { w.out = binary.BigEndian.AppendUint16(w.out, uint16(v)) }
func (w *writer) int32(v int32) { w.out = binary.BigEndian.AppendUint32(w.out, uint32(v)) }
func (w *writer) int64(v int64) { w.out = binary.BigEndian.AppendUint64(w.out, uint64(v)) }
func (w *writer) uvarint(v int) { w.out = binary.AppendUvarint(w.out, uint64(v)) }

func (w *writer) string(s string) { w.nullableString(s, true) }

// nullableString writes null when present is false.
func (w *writer) nullableString(s string, present bool) {
	n := len(s)
	if !present {
		s, n = "", -1
	}
	if w.flexible {
		w.uvarint(n + 1)
	} else {
		w.int16(int16(n))
	}
	w.out = append(w.out, s...)
}

// bytesLen writes the length in front of bytes or an array; -1 is null.
func (w *writer) bytesLen(n int) {
	if w.flexible {
		w.uvarint(n + 1)
	} else {
		w.int32(int32(n))
	}
}

func (w *writer) arrayLen(n int) { w.bytesLen(n) }

// noTags ends a struct that has no tags.
func (w *writer) noTags() {
	if w.flexible {
		w.out = append(w.out, 0)
	}
}

// leaderTag writes a tag that holds a LeaderIdAndEpoch.
func (w *writer) leaderTag(tag int, l *LeaderIDAndEpoch) {
	w.uvarint(tag)
	w.uvarint(9)
	w.int32(l.LeaderID)
	w.int32(l.LeaderEpoch)
	w.noTags()
}

// nodeEndpointsTag ends a response whose only tag, 0, holds the endpoints of brokers it names. An empty list is the default and is not
// written, nor is any list in versions that do not know the tag.
func (w *writer) nodeEndpointsTag(endpoints []NodeEndpoint, known bool) {
	if !known || len(endpoints) == 0 {
		w.noTags()
		return
	}
	size := uvarintLen(len(endpoints) + 1)
	for i := range endpoints {
		e := &endpoints[i]
		size += 4 + uvarintLen(len(e.Host)+1) + len(e.Host) + 4 + 1 + 1
		if e.Rack != "" {
			size += uvarintLen(len(e.Rack)+1) - 1 + len(e.Rack)
		}
	}
	w.uvarint(1)
	w.uvarint(0)
	w.uvarint(size)
	w.arrayLen(len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		w.int32(e.NodeID)
		w.string(e.Host)
		w.int32(e.Port)
		w.nullableString(e.Rack, e.Rack != "")
		w.noTags()
	}
}

// uvarintLen is the number of bytes that an unsigned varint takes.
func uvarintLen(v int) int { return (bits.Len64(uint64(v)|1) + 6) / 7 }
