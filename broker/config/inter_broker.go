package config

import "strings"

// sinceRelease is a request version and the first inter.broker.protocol.version that uses it.
type sinceRelease struct {
	release string
	version int16
}

// interBrokerVersions are the versions of the requests that brokers send each other without negotiation, newest first: a cluster in the
// middle of a rolling upgrade agrees on them through inter.broker.protocol.version (MetadataVersion). A release below the last row has
// version 0; one below 0.11.0 cannot be set, because message formats 0 and 1 are not written.
var interBrokerVersions = map[int16][]sinceRelease{
	1: { // Fetch of a follower
		{"3.9-IV0", 17}, {"3.7-IV4", 16}, {"3.5-IV1", 15}, {"3.5-IV0", 14}, {"3.1-IV0", 13}, {"2.7-IV1", 12}, {"2.3-IV1", 11}, {"2.1-IV2", 10},
		{"2.0-IV1", 8}, {"1.1-IV0", 7}, {"0.11.0-IV1", 5}, {"0.11.0-IV0", 4},
	},
	2: { // ListOffsets of a follower
		{"3.9-IV0", 9}, {"3.5-IV0", 8}, {"3.0-IV1", 7}, {"2.8-IV0", 6}, {"2.2-IV1", 5}, {"2.1-IV1", 4}, {"2.0-IV1", 3}, {"0.11.0-IV0", 2},
	},
	4: { // LeaderAndIsr
		{"3.4-IV0", 7}, {"3.2-IV0", 6}, {"2.8-IV1", 5}, {"2.4-IV1", 4}, {"2.4-IV0", 3}, {"2.2-IV0", 2}, {"1.0-IV0", 1},
	},
	5: { // StopReplica
		{"3.4-IV0", 4}, {"2.6-IV0", 3}, {"2.4-IV1", 2}, {"2.2-IV0", 1},
	},
	6: { // UpdateMetadata
		{"3.4-IV0", 8}, {"2.8-IV1", 7}, {"2.4-IV1", 6}, {"2.2-IV0", 5}, {"1.0-IV0", 4}, {"0.11.0-IV0", 3},
	},
	7: { // ControlledShutdown
		{"2.4-IV1", 3}, {"2.2-IV0", 2}, {"0.11.0-IV0", 1},
	},
	23: { // OffsetForLeaderEpoch
		{"2.8-IV0", 4}, {"2.3-IV1", 3}, {"2.1-IV1", 2}, {"2.0-IV0", 1},
	},
	56: { // AlterPartition, from 2.7-IV2 on; Apache Kafka negotiates it
		{"3.5-IV1", 3}, {"3.3-IV0", 2}, {"3.2-IV0", 1},
	},
}

// InterBrokerVersion is the version in which a request with this API key goes to another broker, fixed by inter.broker.protocol.version.
func (s *Store) InterBrokerVersion(key int16) int16 {
	for _, step := range interBrokerVersions[key] {
		if s.ProtocolAtLeast(step.release) {
			return step.version
		}
	}
	return 0
}

// ProtocolAtLeast reports whether inter.broker.protocol.version is this release ("2.8-IV0") or a newer one, so that all brokers of the
// cluster may be expected to know what came with it.
func (s *Store) ProtocolAtLeast(release string) bool {
	return atLeastRelease(s.String("inter.broker.protocol.version"), release)
}

// ControlPlaneListener is the listener on which the controller reaches brokers: that of control.plane.listener.name (KIP-291), or the one
// that brokers use for everything else.
func (s *Store) ControlPlaneListener() string {
	if name := s.String("control.plane.listener.name"); name != "" {
		return strings.ToUpper(name)
	}
	return s.InterBrokerListener()
}
