package broker

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
	"gregor/zk"
)

// CreateTopics (19), versions 0-7: the active controller makes topics and answers when every partition has a leader.
//
// Differences from Apache: more than 250,000 partitions of one topic are refused with INVALID_PARTITIONS, where Apache exhausts its memory or loses its
// ZooKeeper session. Error messages are worded differently.

func init() { handle(createTopics) }

func createTopics(b *Broker, rq *request, r *kmsg.CreateTopicsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.CreateTopicsResponse](r)
	occurrences := make(map[string]int, len(r.Topics))
	for i := range r.Topics {
		occurrences[r.Topics[i].Topic]++
	}
	active := b.controller.Active()
	created := make(map[string]int) // index of the answer, by topic
	for i := range r.Topics {
		asked := &r.Topics[i]
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic = asked.Topic
		err := refusedTopic(asked.Topic, active, occurrences[asked.Topic])
		if err == nil {
			err = b.createTopic(asked, r.ValidateOnly, &answer)
		}
		failTopic(&answer, err)
		if !active {
			answer.ErrorMessage = new(string) // empty, not null, as Kafka has it here
		}
		if err == nil && !r.ValidateOnly {
			created[asked.Topic] = len(resp.Topics)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	for topic, i := range created {
		partitions := resp.Topics[i].NumPartitions
		if !b.awaitLeaders(rq.ctx, topic, partitions, r.TimeoutMillis) {
			failTopic(&resp.Topics[i], protocol.RequestTimedOut)
		}
	}
	return resp, nil
}

// refusedTopic says what keeps an entry from being looked at.
func refusedTopic(topic string, active bool, occurrences int) error {
	switch {
	case !active:
		return protocol.NotController
	case occurrences > 1:
		return newAPIError(protocol.InvalidRequest, "The request names this topic more than once.")
	case topic == clusterMetadataTopic:
		return newAPIError(protocol.InvalidRequest, "Topic %s is reserved for the metadata of a cluster without ZooKeeper.", topic)
	}
	return nil
}

// failTopic puts an error into an answer, which then no longer describes a topic (its id stays, when the topic was made).
func failTopic(answer *kmsg.CreateTopicsResponseTopic, err error) {
	if err == nil {
		return
	}
	answer.ErrorCode, answer.ErrorMessage = codeAndMessage(err)
	answer.NumPartitions, answer.ReplicationFactor, answer.Configs = -1, -1, nil
}

// createTopic checks one topic, writes it unless it is only to be validated, and describes it in answer.
func (b *Broker) createTopic(asked *kmsg.CreateTopicsRequestTopic, validateOnly bool, answer *kmsg.CreateTopicsResponseTopic) error {
	topic, err := b.planTopic(asked)
	if err != nil {
		return err
	}
	if topic.partitions[0] == nil {
		return protocol.UnknownServerError // partition -1 alone passes all checks, in Kafka too, which then fails with this code
	}
	answer.NumPartitions, answer.ReplicationFactor = int32(len(topic.partitions)), int16(len(topic.partitions[0]))
	for _, e := range b.config.DescribeTopic(topic.configs) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Source, e.Sensitive
		answer.Configs = append(answer.Configs, c)
	}
	if validateOnly {
		return nil
	}
	var id protocol.TopicID
	if b.config.ProtocolAtLeast("2.8-IV0") {
		id = zk.NewTopicID()
	}
	err = b.zk.CreateTopicWithID(asked.Topic, id, topic.partitions, topic.configs)
	if errors.Is(err, protocol.TopicAlreadyExists) {
		return topicExists(asked.Topic) // another request was faster
	}
	if err != nil {
		return err
	}
	answer.TopicID = id
	return nil
}

// awaitLeaders waits until the first n partitions of a topic have leaders in this broker's image. A timeout of 0 or less never waits and says false: the work
// is done, the answer is REQUEST_TIMED_OUT (ZkAdminManager).
func (b *Broker) awaitLeaders(ctx context.Context, topic string, n, timeoutMs int32) bool {
	if timeoutMs <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(timeoutMs)*time.Millisecond)
	defer cancel()
	return b.metadata.Await(ctx, func() bool { return b.metadata.AllLed(topic, n) })
}
