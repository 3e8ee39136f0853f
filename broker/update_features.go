package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// UpdateFeatures (57), versions 0-1: the active controller refuses, because a cluster on ZooKeeper has no features to finalise (KIP-584).
//
// Differences from Apache: error messages are worded differently.

func init() { handle(updateFeatures) }

func updateFeatures(b *Broker, rq *request, r *kmsg.UpdateFeaturesRequest) (kmsg.Response, error) {
	return b.controller.UpdateFeatures(rq.ctx, r), nil
}
