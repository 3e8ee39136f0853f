package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ElectLeaders (43), versions 0-2: the active controller elects preferred leaders (KIP-183) or, on demand, unclean ones (KIP-460).
//
// Differences from Apache: error messages are worded differently.

func init() { handle(electLeaders) }

func electLeaders(b *Broker, rq *request, r *kmsg.ElectLeadersRequest) (kmsg.Response, error) {
	return b.controller.ElectLeaders(rq.ctx, r), nil
}
