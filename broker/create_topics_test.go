package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// TestCreateManyTopics: a request for more topics than ZooKeeper requests may be in flight, with names among them that may not stand beside each other.
func TestCreateManyTopics(t *testing.T) {
	r := startBroker(t, nil)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, int32(patience.Milliseconds())
	want := map[string]protocol.ErrorCode{}
	add := func(name string, code protocol.ErrorCode) {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
		req.Topics = append(req.Topics, topic)
		want[name] = code
	}
	for i := range 30 {
		add(fmt.Sprintf("many-%d", i), protocol.None)
	}
	add("a.b", protocol.None)
	add("a_b", protocol.InvalidTopicException)
	add("a-b", protocol.None)
	add("twice", protocol.InvalidRequest)
	req.Topics = append(req.Topics, req.Topics[len(req.Topics)-1])
	dry := *req
	dry.ValidateOnly = true
	for _, got := range ask[*kmsg.CreateTopicsResponse](r.dial(), &dry).Topics {
		if alone := got.Topic != "twice"; alone != (got.ErrorCode == 0) {
			t.Errorf("%s validated: %v", got.Topic, protocol.ErrorCode(got.ErrorCode))
		}
	}
	for i, got := range ask[*kmsg.CreateTopicsResponse](r.dial(), req).Topics {
		switch {
		case got.Topic != req.Topics[i].Topic || protocol.ErrorCode(got.ErrorCode) != want[got.Topic]:
			t.Errorf("answer %d for %s: %v, want %v", i, got.Topic, protocol.ErrorCode(got.ErrorCode), want[got.Topic])
		case got.ErrorCode == 0 && (got.NumPartitions != 3 || r.metadata.TopicID(got.Topic) != protocol.TopicID(got.TopicID) || !r.metadata.AllLed(got.Topic, 3)):
			t.Errorf("%s is not there, or another one: %+v", got.Topic, got)
		case got.ErrorCode != 0 && r.metadata.HasTopic(got.Topic):
			t.Errorf("%s was refused and is there", got.Topic)
		}
	}
}
