package broker

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"gregor/replication"
)

// followConfig is how this broker's replicas follow leaders, from the replica.* keys and inter.broker.protocol.version.
func (b *Broker) followConfig() replication.FollowConfig {
	c := b.config
	ms := func(key string) time.Duration { return time.Duration(c.Int(key)) * time.Millisecond }
	return replication.FollowConfig{
		Fetchers:           c.Int("num.replica.fetchers"),
		FetchVersion:       c.InterBrokerVersion(keyFetch),
		ListOffsetsVersion: c.InterBrokerVersion(keyListOffsets),
		EpochVersion:       c.InterBrokerVersion(keyOffsetForLeaderEpoch),
		MaxWait:            ms("replica.fetch.wait.max.ms"),
		MinBytes:           int32(c.Int("replica.fetch.min.bytes")),
		MaxBytes:           int32(c.Int("replica.fetch.max.bytes")),
		ResponseMaxBytes:   int32(c.Int("replica.fetch.response.max.bytes")),
		Backoff:            ms("replica.fetch.backoff.ms"),
		Throttle:           b.newReplicationQuota("follower").pause,
	}
}

// fetchOverNetwork are the connections to leaders.
func (b *Broker) fetchOverNetwork() *replication.Network {
	n := &replication.Network{
		BrokerID: b.id, Addr: b.interBrokerAddr, News: b.vigil.touch, Logger: b.logging.Logger,
		SocketTimeout: time.Duration(b.config.Int("replica.socket.timeout.ms")) * time.Millisecond,
	}
	if bytes, set := b.socketSize("replica.socket.receive.buffer.bytes"); set {
		n.ReceiveBuffer = bytes
	}
	return n
}

// interBrokerAddr is where another broker is reached; an error while it is not alive.
func (b *Broker) interBrokerAddr(broker int32) (string, error) {
	listener := b.config.InterBrokerListener()
	host, port, ok := b.metadata.Endpoint(broker, listener)
	if !ok {
		return "", fmt.Errorf("broker %d is not alive, or has no listener %s", broker, listener)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}
