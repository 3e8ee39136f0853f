package broker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DeleteTopics (20), versions 0-6: the active controller marks topics for deletion and answers when this broker's image no longer has them.

func init() { handle(deleteTopics) }

func deleteTopics(b *Broker, rq *request, r *kmsg.DeleteTopicsRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DeleteTopicsResponse](r)
	for _, name := range r.TopicNames {
		answer := kmsg.NewDeleteTopicsResponseTopic()
		answer.Topic = &name
		resp.Topics = append(resp.Topics, answer)
	}
	for _, t := range r.Topics {
		answer := kmsg.NewDeleteTopicsResponseTopic()
		answer.Topic, answer.TopicID = t.Topic, t.TopicID
		resp.Topics = append(resp.Topics, answer)
	}
	if code := b.refuseDeletion(resp, r.Version); code != protocol.None {
		for i := range resp.Topics {
			resp.Topics[i].ErrorCode = int16(code)
		}
		return resp, nil
	}
	var deleted []*kmsg.DeleteTopicsResponseTopic
	for i := range resp.Topics {
		answer := &resp.Topics[i]
		if err := b.deleteTopic(answer); err != nil {
			answer.ErrorCode = int16(errorCode(err))
			continue
		}
		deleted = append(deleted, answer)
	}
	b.awaitDeletion(rq.ctx, deleted, r.TimeoutMillis)
	return resp, nil
}

// refuseDeletion is the code that all topics of a request get, or None.
func (b *Broker) refuseDeletion(resp *kmsg.DeleteTopicsResponse, version int16) protocol.ErrorCode {
	switch {
	case !b.controller.Active():
		return protocol.NotController
	case !b.config.Bool("delete.topic.enable") && version < 3:
		return protocol.InvalidRequest
	case !b.config.Bool("delete.topic.enable"):
		return protocol.TopicDeletionDisabled
	}
	for _, t := range resp.Topics {
		if t.Topic != nil && t.TopicID != [16]byte{} {
			return protocol.InvalidRequest
		}
	}
	return protocol.None
}

// deleteTopic finds the topic by name or id, completing the answer with its name, and asks for its deletion. Neither name nor id is
// TOPIC_AUTHORIZATION_FAILED: a topic without a name is one nobody may delete.
func (b *Broker) deleteTopic(answer *kmsg.DeleteTopicsResponseTopic) error {
	if answer.Topic == nil {
		if answer.TopicID == [16]byte{} {
			return protocol.TopicAuthorizationFailed
		}
		name, known := b.metadata.TopicName(answer.TopicID)
		if !known {
			return protocol.UnknownTopicID
		}
		answer.Topic = &name
	}
	if !b.metadata.HasTopic(*answer.Topic) {
		return protocol.UnknownTopicOrPartition
	}
	return b.zk.RequestTopicDeletion(*answer.Topic)
}

// awaitDeletion waits until the topics are gone from the image and answers REQUEST_TIMED_OUT for those that are not.
func (b *Broker) awaitDeletion(ctx context.Context, deleted []*kmsg.DeleteTopicsResponseTopic, timeoutMs int32) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(timeoutMs, 0))*time.Millisecond)
	defer cancel()
	for _, answer := range deleted {
		if timeoutMs <= 0 || !b.metadata.Await(ctx, func() bool { return !b.metadata.HasTopic(*answer.Topic) }) {
			answer.ErrorCode = int16(protocol.RequestTimedOut)
		}
	}
}
