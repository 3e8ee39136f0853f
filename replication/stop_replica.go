package replication

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Leader epochs of a StopReplica that are not compared: the topic is being deleted, or the sender knows no epoch (KIP-570).
const (
	epochDuringDelete int32 = -2
	noEpoch           int32 = -1
)

// StopReplica applies a controller's StopReplica request: each partition leaves this broker, its log with it when asked.
func (m *Manager) StopReplica(r *kmsg.StopReplicaRequest) *kmsg.StopReplicaResponse {
	m.change.Lock()
	defer m.change.Unlock()
	resp := r.ResponseKind().(*kmsg.StopReplicaResponse)
	if code := m.fence(r.ControllerEpoch, r.BrokerEpoch); code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp
	}
	each := func(topic string, partition, leaderEpoch int32, del bool) {
		e := kmsg.NewStopReplicaResponsePartition()
		e.Topic, e.Partition = topic, partition
		e.ErrorCode = int16(m.stop(protocol.TopicPartition{Topic: topic, Partition: partition}, leaderEpoch, del))
		resp.Partitions = append(resp.Partitions, e)
	}
	for _, t := range r.Topics {
		switch {
		case r.Version == 0:
			each(t.Topic, t.Partition, noEpoch, r.DeletePartitions)
		case r.Version < 3:
			for _, p := range t.Partitions {
				each(t.Topic, p, noEpoch, r.DeletePartitions)
			}
		default:
			for _, s := range t.PartitionStates {
				each(t.Topic, s.Partition, s.LeaderEpoch, s.Delete)
			}
		}
	}
	m.fetchers.stopIdle()
	return resp
}

func (m *Manager) stop(tp protocol.TopicPartition, leaderEpoch int32, del bool) protocol.ErrorCode {
	p, code := m.Partition(tp)
	if code == protocol.KafkaStorageError {
		return code
	}
	if p != nil {
		s := p.snapshot()
		if leaderEpoch != epochDuringDelete && leaderEpoch != noEpoch && leaderEpoch < s.leaderEpoch {
			m.sc.Warn(fmt.Sprintf("Ignoring StopReplica for partition %v: leader epoch %d is behind %d", tp, leaderEpoch, s.leaderEpoch))
			return protocol.FencedLeaderEpoch
		}
		m.mu.Lock()
		delete(m.mu.partitions, tp)
		m.mu.Unlock()
		led := p.IsLeader()
		m.fetchers.remove(tp)
		p.leave(protocol.NotLeaderOrFollower)
		if led {
			epoch := s.leaderEpoch
			if del {
				epoch = noEpoch // a partition made anew counts its epochs from 0 again
			}
			m.cfg.OnFollower(tp, epoch)
		}
	}
	if del {
		if err := m.cfg.Logs.Delete(tp); err != nil {
			m.sc.Error(fmt.Sprintf("Cannot delete the log of partition %v: %v", tp, err))
			return protocol.KafkaStorageError
		}
	}
	return protocol.None
}
