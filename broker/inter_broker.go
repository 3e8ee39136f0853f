package broker

// API keys of the requests whose versions inter.broker.protocol.version settles.
const (
	keyListOffsets          = 2
	keyLeaderAndISR         = 4
	keyStopReplica          = 5
	keyUpdateMetadata       = 6
	keyControlledShutdown   = 7
	keyOffsetForLeaderEpoch = 23
)
