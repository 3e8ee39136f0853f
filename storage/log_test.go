package storage

import "testing"

func TestAppendReopenRead(t *testing.T) {
	r := newRig(t, 1, func(c *LogConfig) { c.SegmentBytes = 20000 })
	fill(t, r.log(), 100)
	expectOffsets(t, r.log(), 0, 100)
	expectOffsets(t, r.restart(), 0, 100)
	fill(t, r.log(), 50)
	expectOffsets(t, r.crash(), 0, 150)
	fill(t, r.log(), 10)
	expectOffsets(t, r.restart(), 0, 160)
}
