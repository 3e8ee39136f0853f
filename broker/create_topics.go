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
	var planned []zk.NewTopic
	var at []int // the answers to planned
	for i := range r.Topics {
		asked := &r.Topics[i]
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic = asked.Topic
		err := refusedTopic(asked.Topic, active, occurrences[asked.Topic])
		var topic zk.NewTopic
		if err == nil {
			topic, err = b.newTopic(asked, &answer, planned)
		}
		failTopic(&answer, err)
		if !active {
			answer.ErrorMessage = new(string) // empty, not null, as Kafka has it here
		}
		if err == nil && !r.ValidateOnly {
			planned, at = append(planned, topic), append(at, i)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	failures := b.zk.CreateTopics(planned)
	for n, topic := range planned {
		failTopic(&resp.Topics[at[n]], created(&topic, failures[n], &resp.Topics[at[n]]))
	}
	for n, topic := range planned {
		if failures[n] == nil && !b.awaitLeaders(rq.ctx, topic.Name, int32(len(topic.Partitions)), r.TimeoutMillis) {
			failTopic(&resp.Topics[at[n]], protocol.RequestTimedOut)
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

// newTopic checks one topic and describes it in answer. planned are those that the same request makes before it.
func (b *Broker) newTopic(asked *kmsg.CreateTopicsRequestTopic, answer *kmsg.CreateTopicsResponseTopic, planned []zk.NewTopic) (zk.NewTopic, error) {
	plan, err := b.planTopic(asked, planned)
	if err != nil {
		return zk.NewTopic{}, err
	}
	if plan.partitions[0] == nil {
		return zk.NewTopic{}, protocol.UnknownServerError // partition -1 alone passes all checks, in Kafka too, which then fails with this code
	}
	answer.NumPartitions, answer.ReplicationFactor = int32(len(plan.partitions)), int16(len(plan.partitions[0]))
	for _, e := range b.config.DescribeTopic(plan.configs) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Source, e.Sensitive
		answer.Configs = append(answer.Configs, c)
	}
	topic := zk.NewTopic{Name: asked.Topic, Partitions: plan.partitions, Config: plan.configs}
	if b.config.ProtocolAtLeast("2.8-IV0") {
		topic.ID = zk.NewTopicID()
	}
	return topic, nil
}

// created notes in answer that a topic was written, or says why not.
func created(topic *zk.NewTopic, err error, answer *kmsg.CreateTopicsResponseTopic) error {
	if errors.Is(err, protocol.TopicAlreadyExists) {
		return topicExists(topic.Name) // another request was faster
	}
	if err == nil {
		answer.TopicID = topic.ID
	}
	return err
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
