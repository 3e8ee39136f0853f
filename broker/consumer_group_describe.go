package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ConsumerGroupDescribe (69), version 0: the groups of KIP-848 do not exist on ZooKeeper.
//
// Differences from Apache: none known.

func init() { handle(consumerGroupDescribe) }

func consumerGroupDescribe(_ *Broker, _ *request, r *kmsg.ConsumerGroupDescribeRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.ConsumerGroupDescribeResponse](r)
	for _, group := range r.Groups {
		answer := kmsg.NewConsumerGroupDescribeResponseGroup()
		answer.Group, answer.ErrorCode = group, int16(protocol.UnsupportedVersion)
		resp.Groups = append(resp.Groups, answer)
	}
	return resp, nil
}
