package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// UpdateMetadata (6), versions 0-8: the controller replaces this broker's image of the cluster.
//
// Differences from Apache: a request of a KRaft controller (migration, isKRaftController of v8) is taken like one of a ZooKeeper controller.

func init() { handle(updateMetadata) }

func updateMetadata(b *Broker, _ *request, r *kmsg.UpdateMetadataRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.UpdateMetadataResponse](r)
	if code := b.replicas.FenceController(r.ControllerEpoch, r.BrokerEpoch); code != protocol.None {
		resp.ErrorCode = int16(code)
		return resp, nil
	}
	b.partitionsDeleted(b.metadata.Update(r))
	b.replicas.BrokersChanged()
	return resp, nil
}
