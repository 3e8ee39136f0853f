package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// FindCoordinator (10), versions 0-6: which broker coordinates a group; makes __consumer_offsets at the first question.
//
// Differences from Apache: there are no transactions yet, so the coordinator of a transactional id is UNSUPPORTED_VERSION, which producers take for final.

func init() { handle(findCoordinator) }

// Kinds of coordinators.
const (
	coordinatorGroup       int8 = 0
	coordinatorTransaction int8 = 1
	coordinatorShare       int8 = 2
)

func findCoordinator(b *Broker, rq *request, r *kmsg.FindCoordinatorRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.FindCoordinatorResponse](r)
	if r.Version < 4 {
		found := b.findCoordinator(rq, r, r.CoordinatorKey)
		resp.ErrorCode, resp.NodeID, resp.Host, resp.Port = int16(found.code), found.node, found.host, found.port
		message := found.code.Message()
		if found.code == protocol.None {
			message = protocol.None.String()
		}
		resp.ErrorMessage = &message
		return resp, nil
	}
	for _, key := range r.CoordinatorKeys {
		found := b.findCoordinator(rq, r, key)
		answer := kmsg.NewFindCoordinatorResponseCoordinator()
		answer.Key, answer.ErrorCode, answer.NodeID, answer.Host, answer.Port = key, int16(found.code), found.node, found.host, found.port
		answer.ErrorMessage = new(string)
		if unknownCoordinator(r.CoordinatorType) {
			message := found.code.Message()
			answer.ErrorMessage = &message
		}
		resp.Coordinators = append(resp.Coordinators, answer)
	}
	return resp, nil
}

// coordinator is where a coordinator is, or why there is none.
type coordinator struct {
	code protocol.ErrorCode
	node int32
	host string
	port int32
}

func noCoordinator(code protocol.ErrorCode) coordinator {
	return coordinator{code: code, node: -1, port: -1}
}

func (b *Broker) findCoordinator(rq *request, r *kmsg.FindCoordinatorRequest, key string) coordinator {
	switch r.CoordinatorType {
	case coordinatorGroup:
		return b.findGroupCoordinator(rq.listener, key)
	case coordinatorTransaction:
		return noCoordinator(protocol.UnsupportedVersion)
	case coordinatorShare:
		if r.Version < 6 {
			return noCoordinator(protocol.InvalidRequest)
		}
		return noCoordinator(protocol.CoordinatorNotAvailable)
	}
	return noCoordinator(protocol.InvalidRequest)
}

// unknownCoordinator reports a kind that Kafka does not know: it fails the whole request, and only then has a message for every key.
func unknownCoordinator(kind int8) bool { return kind < coordinatorGroup || kind > coordinatorShare }

// findGroupCoordinator is the leader of the group's partition of __consumer_offsets, when it can be reached through the client's listener. The topic is made
// when it does not exist; until it has a leader, the coordinator is not available.
func (b *Broker) findGroupCoordinator(listener, group string) coordinator {
	if !b.metadata.HasTopic(groupMetadataTopic) {
		b.autoCreateTopic(groupMetadataTopic)
		return noCoordinator(protocol.CoordinatorNotAvailable)
	}
	leader, _, ok := b.metadata.Leader(protocol.TopicPartition{Topic: groupMetadataTopic, Partition: b.groups.PartitionFor(group)})
	if !ok {
		return noCoordinator(protocol.CoordinatorNotAvailable)
	}
	host, port, ok := b.metadata.Endpoint(leader, listener)
	if !ok {
		return noCoordinator(protocol.CoordinatorNotAvailable)
	}
	return coordinator{node: leader, host: host, port: port}
}
