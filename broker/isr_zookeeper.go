package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"gregor/protocol"
	"gregor/replication"
	"gregor/zk"
)

// ISR changes below inter.broker.protocol.version 2.7-IV2: the leader writes the state znode itself, on condition that nobody else has, and tells the controller afterwards with a
// notification for all partitions that changed of late (kafka.server.ZkAlterPartitionManager).

// How often and how patiently notifications are sent.
const (
	isrNotificationCheck  = 2500 * time.Millisecond
	isrNotificationLinger = 5 * time.Second // after the last change, in case there are more
	isrNotificationDelay  = time.Minute     // since the last notification, however many changes there are
)

// isrChanges are the partitions that the controller has not been told of yet.
type isrChanges struct {
	mu         sync.Mutex
	tps        map[protocol.TopicPartition]struct{}
	changed    time.Time // the last change
	propagated time.Time // the last notification
}

func (c *isrChanges) add(tp protocol.TopicPartition, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tps == nil {
		c.tps = make(map[protocol.TopicPartition]struct{})
	}
	c.tps[tp], c.changed = struct{}{}, now
}

// due takes the partitions to tell of now, nil when it is not yet time.
func (c *isrChanges) due(now time.Time) []protocol.TopicPartition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tps) == 0 || now.Sub(c.changed) <= isrNotificationLinger && now.Sub(c.propagated) <= isrNotificationDelay {
		return nil
	}
	tps := slices.SortedFunc(maps.Keys(c.tps), func(a, b protocol.TopicPartition) int {
		if d := strings.Compare(a.Topic, b.Topic); d != 0 {
			return d
		}
		return int(a.Partition) - int(b.Partition)
	})
	c.tps, c.propagated = nil, now
	return tps
}

// propagateISRChanges notifies the controller until the broker stops.
func (b *Broker) propagateISRChanges(changes *isrChanges) {
	ticker := time.NewTicker(isrNotificationCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			return
		}
		tps := changes.due(time.Now())
		if tps == nil {
			continue
		}
		if err := b.zk.NotifyISRChanges(tps); err != nil {
			b.logging.Logger("kafka.server.ZkAlterPartitionManager").Error("Cannot tell the controller of changed ISRs: " + err.Error())
			for _, tp := range tps {
				changes.add(tp, time.Now())
			}
		}
	}
}

// writeISRs writes the proposed ISRs into ZooKeeper. What ZooKeeper did not answer is to be written again.
func (b *Broker) writeISRs(proposals []*replication.ISRProposal, changes *isrChanges) (again []*replication.ISRProposal, pause time.Duration) {
	for _, pr := range proposals {
		tp, isr := pr.Partition.TopicPartition(), pr.Brokers()
		version, err := b.zk.UpdateISR(tp, zk.PartitionState{
			Leader: b.id, LeaderEpoch: pr.LeaderEpoch, ISR: isr, ControllerEpoch: pr.ControllerEpoch, Version: pr.PartitionEpoch,
		})
		answer := replication.ISRAnswer{LeaderEpoch: pr.LeaderEpoch, PartitionEpoch: version, ISR: isr}
		switch {
		case err == nil:
			changes.add(tp, time.Now())
		case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNoNode):
			answer.Code = protocol.InvalidUpdateVersion
		default:
			b.logging.Logger("kafka.server.ZkAlterPartitionManager").Warn(fmt.Sprintf("Cannot write the ISR of %v: %v", tp, err))
			again = append(again, pr)
			continue
		}
		pr.Apply(answer)
	}
	return again, noControllerPause
}
