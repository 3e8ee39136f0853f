package group

import "unicode/utf16"

// partitionOf is the partition of __consumer_offsets that holds a group: Java's String.hashCode, made positive as
// org.apache.kafka.common.utils.Utils.abs does, modulo the number of partitions.
func partitionOf(group string, partitions int32) int32 {
	var h int32
	for _, c := range group {
		if hi, lo := utf16.EncodeRune(c); hi != '\uFFFD' {
			h = 31*(31*h+hi) + lo
		} else {
			h = 31*h + c
		}
	}
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return h % max(partitions, 1)
}
