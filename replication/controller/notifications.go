package controller

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// isrChanged: leaders below IBP 2.7 wrote partition states themselves and left a notification.
type isrChanged struct{}

func (isrChanged) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	tps, err := c.zk.TakeISRChanges(c.fence)
	if err != nil || len(tps) == 0 {
		return err
	}
	slices.SortFunc(tps, compareTP)
	tps = slices.DeleteFunc(slices.Compact(tps), func(tp protocol.TopicPartition) bool { return c.cluster.partition(tp) == nil })
	if err := c.readLeadership(tps); err != nil {
		return err
	}
	var ps []*partition
	for _, tp := range tps {
		ps = append(ps, c.cluster.partition(tp))
	}
	c.sendMetadata(c.cluster.liveOrShuttingDown(), ps...)
	for _, p := range ps {
		if err := c.isrMayComplete(p); err != nil {
			return err
		}
	}
	return nil
}

// logDirFailed: brokers lost a log directory (KIP-112). Which replicas were in it shows in their answers to LeaderAndIsr.
type logDirFailed struct{}

func (logDirFailed) process(c *Controller) error {
	if !c.elected {
		return nil
	}
	brokers, err := c.zk.TakeLogDirEvents(c.fence)
	if err != nil {
		return err
	}
	for _, id := range brokers {
		if _, known := c.cluster.brokers[id]; !known {
			continue
		}
		c.info("Log directory of broker %d failed", id)
		rs := slices.DeleteFunc(c.cluster.replicasOn(id), func(r replica) bool { return r.partition.replicas.of(r.broker) != onlineReplica })
		if err := c.moveReplicas(rs, onlineReplica); err != nil {
			return err
		}
	}
	return nil
}

// onAnswer takes a broker's answer from its sender. UpdateMetadata needs no further thought.
func (c *Controller) onAnswer(broker int32, request kmsg.Request, response kmsg.Response) {
	switch resp := response.(type) {
	case *kmsg.LeaderAndISRResponse:
		r := request.(*kmsg.LeaderAndISRRequest)
		c.events.push(leadershipAnswered{broker: broker, epoch: r.ControllerEpoch, response: resp})
	case *kmsg.StopReplicaResponse:
		r := request.(*kmsg.StopReplicaRequest)
		if slices.ContainsFunc(r.Topics, func(t kmsg.StopReplicaRequestTopic) bool {
			return slices.ContainsFunc(t.PartitionStates, func(s kmsg.StopReplicaRequestTopicPartitionState) bool { return s.Delete })
		}) {
			c.events.push(replicasStopped{broker: broker, epoch: r.ControllerEpoch, request: r, response: resp})
		}
	case *kmsg.UpdateMetadataResponse:
		if resp.ErrorCode != 0 {
			c.stateLog.Error(fmt.Sprintf("[Controller id=%d] Received error %v in UpdateMetadata response from broker %d", c.config.BrokerID, protocol.ErrorCode(resp.ErrorCode), broker))
		}
	}
}

// leadershipAnswered: a broker answered LeaderAndIsr.
type leadershipAnswered struct {
	broker   int32
	epoch    int32 // of the controller that asked
	response *kmsg.LeaderAndISRResponse
}

func (e leadershipAnswered) process(c *Controller) error {
	if !c.elected || e.epoch != c.fence.Epoch {
		return nil
	}
	if e.response.ErrorCode != 0 {
		c.stateLog.Error(fmt.Sprintf("[Controller id=%d epoch=%d] Received error in LeaderAndIsr response from broker %d: %v",
			c.config.BrokerID, c.fence.Epoch, e.broker, protocol.ErrorCode(e.response.ErrorCode)))
		return nil
	}
	offline := c.cluster.offlineDirs[e.broker]
	if offline == nil {
		offline = map[protocol.TopicPartition]bool{}
		c.cluster.offlineDirs[e.broker] = offline
	}
	var lost []replica
	note := func(p *partition, code protocol.ErrorCode) {
		switch {
		case p == nil:
		case code == protocol.KafkaStorageError && !offline[p.tp]:
			offline[p.tp] = true
			lost = append(lost, replica{p, e.broker})
		case code == protocol.None:
			delete(offline, p.tp)
		}
	}
	for _, rp := range e.response.Partitions { // before version 5
		note(c.cluster.partition(protocol.TopicPartition{Topic: rp.Topic, Partition: rp.Partition}), protocol.ErrorCode(rp.ErrorCode))
	}
	for _, t := range e.response.Topics {
		if known := c.cluster.topicsByID[t.TopicID]; known != nil {
			for _, rp := range t.Partitions {
				note(known.partitions[rp.Partition], protocol.ErrorCode(rp.ErrorCode))
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	c.info("Mark %d replicas on broker %d as offline: their log directory failed", len(lost), e.broker)
	return c.replicasWentOffline(lost)
}
