package controller

import "github.com/twmb/franz-go/pkg/kmsg"

// Protocol is what inter.broker.protocol.version settles about the controller: it does not negotiate versions with brokers, which may be
// older than itself in the middle of a rolling upgrade.
type Protocol struct {
	LeaderAndISR, UpdateMetadata, StopReplica int16 // versions of the requests
	Features                                  int32 // version of /feature: 1 from 2.7-IV0 on, 2 from 3.3-IV0 on, 0 before: features are disabled (KIP-584)
	TopicIDs                                  bool  // topics get ids (2.8-IV0, KIP-516)
	LeaderRecovery                            bool  // an unclean leader is marked as recovering (3.2-IV0, KIP-704)
}

// Current is the protocol of inter.broker.protocol.version 3.9.
var Current = Protocol{LeaderAndISR: 7, UpdateMetadata: 8, StopReplica: 4, Features: 2, TopicIDs: true, LeaderRecovery: true}

// The requests are built in their newest form. What follows also fills in the fields of older versions; kmsg sends those that the request's
// version has.

// inVersionLeaderAndISR names partitions one by one before version 2.
func inVersionLeaderAndISR(r *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRRequest {
	if r.Version >= 2 {
		return r
	}
	for _, t := range r.TopicStates {
		for _, s := range t.PartitionStates {
			s.Topic = t.Topic
			r.PartitionStates = append(r.PartitionStates, s)
		}
	}
	return r
}

// inVersionUpdateMetadata names partitions one by one before version 5.
func inVersionUpdateMetadata(r *kmsg.UpdateMetadataRequest) *kmsg.UpdateMetadataRequest {
	if r.Version >= 5 {
		return r
	}
	for _, t := range r.TopicStates {
		for _, s := range t.PartitionStates {
			s.Topic = t.Topic
			r.PartitionStates = append(r.PartitionStates, s)
		}
	}
	return r
}

// inVersionStopReplica makes two requests of one before version 3, where a request deletes all its replicas or none, those that are deleted
// last. The partition states stay: they say what the answer is about.
func inVersionStopReplica(r *kmsg.StopReplicaRequest) []*kmsg.StopReplicaRequest {
	if r.Version >= 3 {
		return []*kmsg.StopReplicaRequest{r}
	}
	var requests []*kmsg.StopReplicaRequest
	for _, del := range []bool{false, true} {
		part := *r
		part.DeletePartitions, part.Topics = del, nil
		for _, t := range r.Topics {
			part.Topics = append(part.Topics, olderStopReplicaTopics(r.Version, t, del)...)
		}
		if len(part.Topics) > 0 {
			requests = append(requests, &part)
		}
	}
	return requests
}

// olderStopReplicaTopics lists a topic's replicas that are deleted, or those that are not: version 0 has one partition per entry.
func olderStopReplicaTopics(version int16, t kmsg.StopReplicaRequestTopic, del bool) (topics []kmsg.StopReplicaRequestTopic) {
	all := kmsg.NewStopReplicaRequestTopic()
	all.Topic = t.Topic
	for _, s := range t.PartitionStates {
		if s.Delete != del {
			continue
		}
		one := kmsg.NewStopReplicaRequestTopic()
		one.Topic, one.Partition, one.PartitionStates = t.Topic, s.Partition, []kmsg.StopReplicaRequestTopicPartitionState{s}
		topics = append(topics, one)
		all.Partitions = append(all.Partitions, s.Partition)
		all.PartitionStates = append(all.PartitionStates, s)
	}
	if version == 0 || len(topics) == 0 {
		return topics
	}
	return []kmsg.StopReplicaRequestTopic{all}
}
