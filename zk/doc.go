// Package zk is the ZooKeeper session of a broker and every znode of Kafka's tree as path + encode + decode.
//
// Three layers, lowest first:
//
//   - client.go, session.go, ops.go, watch.go: one session that renews itself after expiry, single operations that are
//     repeated after a lost connection, and watches that re-arm before they are handled.
//   - *_znode.go: the bytes of each znode, pure functions. Encoders write what Kafka 3.9 writes; decoders take every
//     version Kafka ever wrote, ignore unknown fields, and refuse what is not JSON of the right shape.
//   - brokers.go, topics.go, configs.go, ...: what a broker or the controller does with those znodes.
//
// Every path handed in or out is relative to the chroot of zookeeper.connect.
package zk
