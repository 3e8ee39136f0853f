package broker

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/replication/controller"
	"gregor/zk"
)

// CreatePartitions (37), versions 0-3: the active controller adds partitions to topics and answers when they have leaders.
//
// Differences from Apache: a total of more than 250,000 partitions is refused with INVALID_PARTITIONS. Error messages are worded differently.

func init() { handle(createPartitions) }

func createPartitions(b *Broker, rq *request, r *kmsg.CreatePartitionsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.CreatePartitionsResponse](r)
	occurrences := make(map[string]int, len(r.Topics))
	for i := range r.Topics {
		occurrences[r.Topics[i].Topic]++
	}
	active, answered := b.controller.Active(), make(map[string]bool)
	misplaced := b.checkRacks(b.brokerPlaces()) // fails the request as a whole, whatever it asks for
	var added []int                             // indexes into r.Topics
	answers := make(map[int]int)
	for i := range r.Topics {
		asked := &r.Topics[i]
		if answered[asked.Topic] {
			continue
		}
		answered[asked.Topic] = true
		answer := kmsg.NewCreatePartitionsResponseTopic()
		answer.Topic = asked.Topic
		var err error
		switch {
		case !active:
			err = protocol.NotController
		case misplaced != nil:
			err = misplaced
		case occurrences[asked.Topic] > 1:
			err = newAPIError(protocol.InvalidRequest, "The request names this topic more than once.")
		default:
			err = b.addPartitions(asked, r.ValidateOnly)
		}
		answer.ErrorCode, answer.ErrorMessage = codeAndMessage(err)
		if err == nil && !r.ValidateOnly {
			added, answers[i] = append(added, i), len(resp.Topics)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	for _, i := range added {
		if !b.awaitLeaders(rq.ctx, r.Topics[i].Topic, r.Topics[i].Count, r.TimeoutMillis) {
			resp.Topics[answers[i]].ErrorCode = int16(protocol.RequestTimedOut)
		}
	}
	return resp, nil
}

// addPartitions checks one topic in the order of ZkAdminManager.createPartitions and writes the new assignment.
func (b *Broker) addPartitions(asked *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	deleting, err := b.zk.TopicsToBeDeleted()
	if err != nil {
		return err
	}
	if slices.Contains(deleting, asked.Topic) {
		return newAPIError(protocol.InvalidTopicException, "The topic is queued for deletion.")
	}
	topic, err := b.zk.Topic(asked.Topic)
	if err != nil {
		return err
	}
	added, err := b.planPartitions(asked, topic)
	if err != nil || validateOnly {
		return err
	}
	return b.zk.AddPartitions(asked.Topic, added)
}

// planPartitions assigns the partitions to be added. topic is nil when there is none.
func (b *Broker) planPartitions(asked *kmsg.CreatePartitionsRequestTopic, topic *zk.Topic) (map[int32][]int32, error) {
	if topic == nil {
		return nil, newAPIError(protocol.UnknownTopicOrPartition, "The topic '%s' does not exist.", asked.Topic)
	}
	if len(topic.Adding) > 0 || len(topic.Removing) > 0 {
		return nil, newAPIError(protocol.ReassignmentInProgress, "Partitions of the topic '%s' are being reassigned.", asked.Topic)
	}
	has := int32(len(topic.Partitions))
	switch {
	case asked.Count < has:
		return nil, newAPIError(protocol.InvalidPartitions, "The topic has %d partitions, which is more than the %d asked for.", has, asked.Count)
	case asked.Count == has:
		return nil, newAPIError(protocol.InvalidPartitions, "The topic has %d partitions already.", has)
	case asked.Count > maxPartitionsPerTopic:
		return nil, newAPIError(protocol.InvalidPartitions, "A topic may have at most %d partitions, %d were asked for.", maxPartitionsPerTopic, asked.Count)
	}
	if asked.Assignment != nil {
		if err := b.checkAddedAssignment(asked, int(asked.Count-has), len(topic.Partitions[0])); err != nil {
			return nil, err
		}
		added := make(map[int32][]int32, len(asked.Assignment))
		for i, a := range asked.Assignment {
			added[has+int32(i)] = a.Replicas
		}
		return added, nil
	}
	first, ok := topic.Partitions[0]
	if !ok || len(first) == 0 {
		return nil, fmt.Errorf("the assignment of topic %s lacks replicas of partition 0", asked.Topic)
	}
	places := b.brokerPlaces()
	start := max(0, slices.IndexFunc(places, func(p controller.BrokerPlace) bool { return p.ID >= first[0] }))
	return placeReplicas(places, int(asked.Count-has), len(first), start, int(has))
}

// checkAddedAssignment wants one list per added partition, each of as many distinct live brokers as partition 0 has replicas.
func (b *Broker) checkAddedAssignment(asked *kmsg.CreatePartitionsRequestTopic, increment, factor int) error {
	alive := b.metadata.AliveBrokers()
	for _, a := range asked.Assignment {
		for _, id := range a.Replicas {
			if !slices.Contains(alive, id) {
				return newAPIError(protocol.InvalidReplicaAssignment, "The assignment names broker %d, which is not there.", id)
			}
		}
	}
	if len(asked.Assignment) != increment {
		return newAPIError(protocol.InvalidReplicaAssignment, "%d partitions are to be added, but %d assignments are given.", increment, len(asked.Assignment))
	}
	for _, a := range asked.Assignment {
		switch {
		case len(a.Replicas) == 0:
			return newAPIError(protocol.InvalidReplicaAssignment, "A partition must have at least one replica.")
		case hasDuplicates(a.Replicas):
			return newAPIError(protocol.InvalidReplicaAssignment, "A partition has a replica twice on one broker: %v.", a.Replicas)
		case len(a.Replicas) != factor:
			return newAPIError(protocol.InvalidReplicaAssignment, "A partition is assigned to %d brokers, the topic's others to %d.", len(a.Replicas), factor)
		}
	}
	return nil
}
