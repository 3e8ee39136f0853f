package replication

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// Versions of AlterPartition that are told apart here.
const (
	alterPartitionByName  int16 = 1 // the last one with topic names
	alterPartitionByEpoch int16 = 3 // the first one with broker epochs (KIP-903)
)

// AlterPartitionRequest asks the controller for the proposed ISRs. version is the highest one that every possible controller knows; topics without an id are
// named, which versions up to 1 do. A leader is always RECOVERED (0): what an unclean election leaves to recover is done when the leader epoch begins.
func AlterPartitionRequest(version int16, brokerID int32, brokerEpoch int64, proposals []*ISRProposal) *kmsg.AlterPartitionRequest {
	r := kmsg.NewPtrAlterPartitionRequest()
	r.Version, r.BrokerID, r.BrokerEpoch = version, brokerID, brokerEpoch
	for _, pr := range proposals {
		if pr.Partition.TopicID().IsZero() {
			r.Version = min(r.Version, alterPartitionByName)
		}
	}
	at := make(map[string]int)
	for _, pr := range proposals {
		name := pr.Partition.tp.Topic
		i, ok := at[name]
		if !ok {
			i = len(r.Topics)
			at[name] = i
			topic := kmsg.NewAlterPartitionRequestTopic()
			topic.Topic, topic.TopicID = name, pr.Partition.TopicID()
			r.Topics = append(r.Topics, topic)
		}
		r.Topics[i].Partitions = append(r.Topics[i].Partitions, requestedISR(r.Version, pr))
	}
	return r
}

func requestedISR(version int16, pr *ISRProposal) kmsg.AlterPartitionRequestTopicPartition {
	out := kmsg.NewAlterPartitionRequestTopicPartition()
	out.Partition, out.LeaderEpoch, out.PartitionEpoch = pr.Partition.tp.Partition, pr.LeaderEpoch, pr.PartitionEpoch
	if version < alterPartitionByEpoch {
		out.NewISR = pr.Brokers()
		return out
	}
	for _, member := range pr.ISR {
		e := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		e.BrokerID, e.BrokerEpoch = member.Broker, member.BrokerEpoch
		out.NewEpochISR = append(out.NewEpochISR, e)
	}
	return out
}

// ApplyAlterPartition applies the controller's answer to the proposals of one request. It returns the proposals that have to be sent again: all of them after an error
// of the whole request, otherwise those that were not answered, or in a way that calls for another try.
func (m *Manager) ApplyAlterPartition(proposals []*ISRProposal, resp *kmsg.AlterPartitionResponse) (again []*ISRProposal) {
	switch code := protocol.ErrorCode(resp.ErrorCode); code {
	case protocol.None:
	case protocol.StaleBrokerEpoch:
		m.isrLog.Warn(fmt.Sprintf("Broker had a stale broker epoch (%d), retrying.", m.cfg.BrokerEpoch()))
		return proposals
	default:
		m.isrLog.Warn(fmt.Sprintf("Controller returned an unexpected top-level error when handling AlterPartition request: %v", code))
		return proposals
	}
	answers := make(map[protocol.TopicPartition]ISRAnswer)
	names := make(map[protocol.TopicID]string)
	for _, pr := range proposals {
		names[pr.Partition.TopicID()] = pr.Partition.tp.Topic
	}
	for _, t := range resp.Topics {
		name := t.Topic
		if resp.Version > alterPartitionByName {
			name = names[t.TopidID]
		}
		for _, a := range t.Partitions {
			answers[protocol.TopicPartition{Topic: name, Partition: a.Partition}] = ISRAnswer{
				Code: protocol.ErrorCode(a.ErrorCode), LeaderEpoch: a.LeaderEpoch, PartitionEpoch: a.PartitionEpoch, ISR: a.ISR,
			}
		}
	}
	for _, pr := range proposals {
		answer, ok := answers[pr.Partition.tp]
		if !ok {
			m.isrLog.Warn(fmt.Sprintf("Partition %v was sent but not included in the response", pr.Partition.tp))
		}
		if !ok || pr.Apply(answer) {
			again = append(again, pr)
		}
	}
	return again
}
