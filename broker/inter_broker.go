package broker

// API keys of the requests whose versions inter.broker.protocol.version settles.
const (
	keyLeaderAndISR       = 4
	keyStopReplica        = 5
	keyUpdateMetadata     = 6
	keyControlledShutdown = 7
)
