package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// Envelope (58), version 0: the connection is closed, as Apache does while forwarding is off.
//
// Differences from Apache: none known.

func init() { handle(envelope) }

func envelope(*Broker, *request, *kmsg.EnvelopeRequest) (kmsg.Response, error) { return nil, errClose }
