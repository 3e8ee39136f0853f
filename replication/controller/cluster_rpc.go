package controller

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gregor/protocol"
)

// AllocateProducerIDs answers AllocateProducerIds (67): the next block of producer ids for a broker (KIP-730).
func (c *Controller) AllocateProducerIDs(ctx context.Context, r *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse {
	resp := r.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	code, ok := call(ctx, c, func() (protocol.ErrorCode, error) {
		if !c.elected {
			return protocol.NotController, nil
		}
		b, known := c.cluster.brokers[r.BrokerID]
		switch {
		case !known:
			return protocol.BrokerIDNotRegistered, nil
		case r.BrokerEpoch != b.Epoch:
			return protocol.StaleBrokerEpoch, nil
		}
		start, length, err := c.zk.AllocateProducerIDBlock(r.BrokerID)
		if err != nil {
			if transient(err) != nil {
				return 0, err
			}
			c.log.Error(c.prefix()+"Could not allocate a block of producer ids", "error", err)
			return protocol.UnknownServerError, nil
		}
		resp.ProducerIDStart, resp.ProducerIDLen = start, length
		return protocol.None, nil
	})
	if !ok {
		// The event may still run later: its answer goes nowhere, and a block that nobody uses is no harm.
		resp = r.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
		code = protocol.NotController
	}
	resp.ErrorCode = int16(code)
	return resp
}

// UpdateFeatures answers UpdateFeatures (57). A ZooKeeper broker supports no feature, so every update is refused;
// no update at all is a success.
func (c *Controller) UpdateFeatures(ctx context.Context, r *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := r.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	if !c.Active() {
		resp.ErrorCode = int16(protocol.NotController)
		resp.ErrorMessage = kmsg.StringPtr(notController)
		return resp
	}
	for _, u := range r.FeatureUpdates {
		res := kmsg.NewUpdateFeaturesResponseResult()
		res.Feature, res.ErrorCode = u.Feature, int16(protocol.InvalidRequest)
		res.ErrorMessage = kmsg.StringPtr("Could not apply finalized feature update because the provided feature is not supported.")
		resp.Results = append(resp.Results, res)
	}
	return resp
}
