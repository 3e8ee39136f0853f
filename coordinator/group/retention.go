package group

import (
	"fmt"
	"time"

	"gregor/protocol"
)

// runExpiry drops expired offsets and forgotten groups every offsets.retention.check.interval.ms, until the coordinator
// stops.
func (c *Coordinator) runExpiry() {
	ticker := time.NewTicker(max(time.Duration(c.config.OffsetsRetentionCheckIntervalMs)*time.Millisecond, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.cleanup("expired", func(g *group, now int64, out *effects) int { return g.removeExpired(now, out) })
		case <-c.ctx.Done():
			return
		}
	}
}

// TopicsDeleted drops the offsets of deleted partitions (with tombstones), as the broker learns of them by UpdateMetadata. It
// returns when the tombstones are written.
func (c *Coordinator) TopicsDeleted(tps []protocol.TopicPartition) {
	c.cleanup("deleted", func(g *group, _ int64, out *effects) int { return g.removeOffsets(tps, out) })
}

// cleanup lets every group drop offsets.
func (c *Coordinator) cleanup(why string, drop func(g *group, now int64, out *effects) int) {
	if !c.active.Load() {
		return
	}
	started, removed := c.now(), 0
	shards, _ := c.allShards()
	for _, sh := range shards {
		for _, s := range sh.all() {
			s.do(c, func(g *group, now int64, out *effects) {
				if !g.is(Dead) {
					removed += drop(g, now, out)
				}
			})
		}
	}
	c.storeLog.Info(c.storeIdent + fmt.Sprintf("Removed %d %s offsets in %d milliseconds.", removed, why, c.now()-started))
}
