package record

import (
	"encoding/binary"
	"math/bits"
)

// appendVarint appends a zigzag varint; varint and varlong of Kafka have the same form for the values both can hold.
func appendVarint(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// varintLen is the size of a zigzag varint.
func varintLen(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}
