package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// ConsumerGroupHeartbeat (68), version 0: the groups of KIP-848 do not exist on ZooKeeper.
//
// Differences from Apache: none known.

func init() { handle(consumerGroupHeartbeat) }

func consumerGroupHeartbeat(_ *Broker, _ *request, r *kmsg.ConsumerGroupHeartbeatRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.ConsumerGroupHeartbeatResponse](r)
	resp.ErrorCode = int16(protocol.UnsupportedVersion)
	return resp, nil
}
