package replication

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/storage"
)

// fence checks a controller request's epochs (KIP-380): a request for an earlier life of this broker, or of an earlier
// controller, is refused as a whole; a newer controller epoch is remembered.
func (m *Manager) fence(controllerEpoch int32, brokerEpoch int64) protocol.ErrorCode {
	if brokerEpoch != -1 && brokerEpoch < m.cfg.BrokerEpoch() {
		return protocol.StaleBrokerEpoch
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if controllerEpoch < m.mu.controllerEpoch {
		return protocol.StaleControllerEpoch
	}
	m.mu.controllerEpoch = controllerEpoch
	return protocol.None
}

// FenceController is the same check for UpdateMetadata, which the broker handles itself.
func (m *Manager) FenceController(controllerEpoch int32, brokerEpoch int64) protocol.ErrorCode {
	return m.fence(controllerEpoch, brokerEpoch)
}

// LeaderAndISR applies a controller's LeaderAndIsr request: each partition becomes leader or follower here, its log made when there is none.
func (m *Manager) LeaderAndISR(r *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRResponse {
	m.change.Lock()
	defer m.change.Unlock()
	resp := r.ResponseKind().(*kmsg.LeaderAndISRResponse)
	if code := m.fence(r.ControllerEpoch, r.BrokerEpoch); code != protocol.None {
		m.sc.Warn(fmt.Sprintf("Ignoring LeaderAndIsr request from controller %d with epoch %d: %v", r.ControllerID, r.ControllerEpoch, code))
		resp.ErrorCode = int16(code)
		answerEach(r, resp, func(string, protocol.TopicID, *kmsg.LeaderAndISRRequestTopicPartition) protocol.ErrorCode {
			return code
		})
		return resp
	}
	answerEach(r, resp, m.apply)
	m.fetchers.stopIdle()
	return resp
}

// answerEach fills in the answer of every partition, in the form of the request's version.
func answerEach(r *kmsg.LeaderAndISRRequest, resp *kmsg.LeaderAndISRResponse, apply func(topic string, id protocol.TopicID, s *kmsg.LeaderAndISRRequestTopicPartition) protocol.ErrorCode) {
	for i := range r.PartitionStates {
		s := &r.PartitionStates[i]
		e := kmsg.NewLeaderAndISRResponseTopicPartition()
		e.Topic, e.Partition = s.Topic, s.Partition
		e.ErrorCode = int16(apply(s.Topic, protocol.TopicID{}, s))
		resp.Partitions = append(resp.Partitions, e)
	}
	for i := range r.TopicStates {
		t := &r.TopicStates[i]
		answers := make([]kmsg.LeaderAndISRResponseTopicPartition, 0, len(t.PartitionStates))
		for j := range t.PartitionStates {
			s := &t.PartitionStates[j]
			e := kmsg.NewLeaderAndISRResponseTopicPartition()
			e.Topic, e.Partition = t.Topic, s.Partition
			e.ErrorCode = int16(apply(t.Topic, t.TopicID, s))
			answers = append(answers, e)
		}
		if r.Version < 5 {
			resp.Partitions = append(resp.Partitions, answers...)
			continue
		}
		rt := kmsg.NewLeaderAndISRResponseTopic()
		rt.TopicID, rt.Partitions = t.TopicID, answers
		resp.Topics = append(resp.Topics, rt)
	}
}

// apply is one partition of a LeaderAndIsr request.
func (m *Manager) apply(topic string, id protocol.TopicID, s *kmsg.LeaderAndISRRequestTopicPartition) protocol.ErrorCode {
	tp := protocol.TopicPartition{Topic: topic, Partition: s.Partition}
	p, code := m.Partition(tp)
	if code == protocol.KafkaStorageError {
		return code
	}
	if p != nil {
		if known := p.TopicID(); !id.IsZero() && !known.IsZero() && known != id {
			m.sc.Error(fmt.Sprintf("Topic id %v of partition %v in LeaderAndIsr differs from %v in its log", id, tp, known))
			return protocol.InconsistentTopicID
		}
		if current := p.snapshot().leaderEpoch; s.LeaderEpoch <= current {
			return m.sameOrOlderEpoch(p, id, s, current)
		}
	}
	if !slices.Contains(s.Replicas, m.cfg.BrokerID) {
		m.sc.Warn(fmt.Sprintf("Ignoring LeaderAndIsr for partition %v: broker is not in replicas %v", tp, s.Replicas))
		return protocol.UnknownTopicOrPartition
	}
	isNew := p == nil
	if isNew {
		log, err := m.cfg.Logs.GetOrCreate(tp, storage.CreateOptions{TopicID: id, IsNew: s.IsNew})
		if err != nil {
			m.sc.Error(fmt.Sprintf("Cannot make the log of partition %v: %v", tp, err))
			m.mu.Lock()
			m.mu.offline[tp] = struct{}{}
			m.mu.Unlock()
			return protocol.KafkaStorageError
		}
		if known := log.TopicID(); !id.IsZero() && !known.IsZero() && known != id {
			m.sc.Error(fmt.Sprintf("Topic id %v of partition %v in LeaderAndIsr differs from %v in its log", id, tp, known))
			return protocol.InconsistentTopicID
		}
		p = m.newPartition(tp, log)
	}
	code = m.become(p, id, s)
	if isNew && code == protocol.None {
		m.resumeMove(p)
	}
	return code
}

// sameOrOlderEpoch answers a LeaderAndIsr that brings no newer leader epoch: only a missing topic id is taken from it. A controller that knows no ids may
// repeat to a follower what it knows (a downgrade of the cluster).
func (m *Manager) sameOrOlderEpoch(p *Partition, id protocol.TopicID, s *kmsg.LeaderAndISRRequestTopicPartition, current int32) protocol.ErrorCode {
	known := p.TopicID()
	switch {
	case s.LeaderEpoch != current:
		return protocol.StaleControllerEpoch
	case !id.IsZero() && known.IsZero():
		if err := p.Log().SetTopicID(id); err != nil {
			return protocol.KafkaStorageError
		}
		if s := p.snapshot(); s.leader >= 0 && s.leader != m.cfg.BrokerID {
			m.fetchers.remove(p.tp)
			m.fetchers.add(p, s.leader, s.leaderEpoch) // by its id from now on
		}
		return protocol.None
	case id.IsZero() && !known.IsZero() && s.Leader != m.cfg.BrokerID:
		return protocol.None
	}
	return protocol.StaleControllerEpoch
}

func (m *Manager) become(p *Partition, id protocol.TopicID, s *kmsg.LeaderAndISRRequestTopicPartition) protocol.ErrorCode {
	if !id.IsZero() && p.TopicID().IsZero() {
		if err := p.Log().SetTopicID(id); err != nil {
			return protocol.KafkaStorageError
		}
	}
	// Whatever leader was followed, nothing of it may reach the log once the role has changed.
	m.fetchers.remove(p.tp)
	led := p.IsLeader()
	err := p.become(state{
		controllerEpoch: s.ControllerEpoch, leader: s.Leader, leaderEpoch: s.LeaderEpoch, partitionEpoch: s.ZKVersion,
		isr: s.ISR, replicas: s.Replicas, adding: s.AddingReplicas, removing: s.RemovingReplicas,
	})
	if err != nil {
		m.sc.Error(fmt.Sprintf("Partition %v cannot take over leader epoch %d: %v", p.tp, s.LeaderEpoch, err))
		return protocol.KafkaStorageError
	}
	m.mu.Lock()
	m.mu.partitions[p.tp] = p
	m.mu.Unlock()
	if s.Leader == m.cfg.BrokerID {
		m.sc.Info(fmt.Sprintf("[Broker id=%d] Leader %v starts at leader epoch %d from offset %d with ISR %v", m.cfg.BrokerID, p.tp, s.LeaderEpoch, p.Log().LogEndOffset(), s.ISR))
		m.cfg.OnLeader(p.tp, s.LeaderEpoch)
		return protocol.None
	}
	m.sc.Info(fmt.Sprintf("[Broker id=%d] Follower %v starts at leader epoch %d from offset %d with high watermark %d. Current leader is %d.",
		m.cfg.BrokerID, p.tp, s.LeaderEpoch, p.Log().LogEndOffset(), p.Log().HighWatermark(), s.Leader))
	if led {
		m.cfg.OnFollower(p.tp, s.LeaderEpoch)
	}
	if s.Leader >= 0 {
		m.fetchers.add(p, s.Leader, s.LeaderEpoch)
	}
	return protocol.None
}
