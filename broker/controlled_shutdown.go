package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ControlledShutdown (7), versions 0-3: the active controller takes the leaderships off a broker that is about to stop.
//
// Differences from Apache: none known.

func init() { handle(controlledShutdown) }

func controlledShutdown(b *Broker, rq *request, r *kmsg.ControlledShutdownRequest) (kmsg.Response, error) {
	return b.controller.ControlledShutdown(rq.ctx, r), nil
}
