package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// DescribeCluster (60), versions 0-1: the live brokers with their endpoints on the client's listener, and the controller.
//
// Differences from Apache: error messages are worded differently. A broker that no controller has told anything yet names itself, as in Metadata.

func init() { handle(describeCluster) }

// Endpoint types of KIP-919.
const (
	endpointTypeBroker     int8 = 1
	endpointTypeController int8 = 2
)

func describeCluster(b *Broker, rq *request, r *kmsg.DescribeClusterRequest) (kmsg.Response, error) {
	resp := responseTo[*kmsg.DescribeClusterResponse](r)
	if r.Version >= 1 && r.EndpointType != endpointTypeBroker {
		err := newAPIError(protocol.UnsupportedEndpointType, "Endpoint type %d is not known.", r.EndpointType)
		if r.EndpointType == endpointTypeController {
			err = newAPIError(protocol.MismatchedEndpointType, "This is the endpoint of a broker, not of a controller.")
		}
		resp.ErrorCode, resp.ErrorMessage = codeAndMessage(err)
		return resp, nil
	}
	image := b.metadata.image.Load()
	resp.ClusterID, resp.ControllerID = b.clusterID, image.controllerID
	if r.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	m := metadataAnswer{image: image, listener: rq.listener}
	for _, alive := range b.aliveFor(&m) {
		answer := kmsg.NewDescribeClusterResponseBroker()
		answer.NodeID, answer.Host, answer.Port, answer.Rack = alive.NodeID, alive.Host, alive.Port, alive.Rack
		resp.Brokers = append(resp.Brokers, answer)
	}
	return resp, nil
}
