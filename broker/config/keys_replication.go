package config

// replicationKeys are the keys of replicas, fetching and leaders.
var replicationKeys = []Key{
	k("auto.leader.rebalance.enable", Boolean, "true", Static, nil, "Whether the controller regularly hands leadership back to preferred replicas."),
	k("controller.socket.timeout.ms", Int, "30000", Static, nil, "How long the controller waits for a broker's answer."),
	k("default.replication.factor", Int, "1", Static, nil, "Replicas of a topic that is created without a number, by a client or by itself."),
	k("delete.records.purgatory.purge.interval.requests", Int, "1", Static, nil, "How many finished requests may stay among those that wait in DeleteRecords. Nothing is kept here once it is answered."),
	k("fetch.max.bytes", Int, "57671680", Static, atLeast(1024), "Most bytes that one fetch answer holds, unless its first batch alone is larger."),
	k("fetch.purgatory.purge.interval.requests", Int, "1000", Static, nil, "How many finished requests may stay among those that wait in Fetch. Nothing is kept here once it is answered."),
	k("leader.imbalance.check.interval.seconds", Long, "300", Static, atLeast(1), "How often the controller looks for leaders that are not the preferred ones."),
	k("leader.imbalance.per.broker.percentage", Int, "10", Static, nil, "Share of a broker's partitions that may be led elsewhere before the controller moves leadership back."),
	k("max.incremental.fetch.session.cache.slots", Int, "1000", Static, atLeast(0), "Most incremental fetch sessions (KIP-227)."),
	k("num.replica.alter.log.dirs.threads", Int, null, Static, nil, "Threads that move partitions between log directories; not set: one per directory."),
	k("num.replica.fetchers", Int, "1", ClusterWide, nil, "Fetchers per leader broker."),
	k("producer.purgatory.purge.interval.requests", Int, "1000", Static, nil, "How many finished requests may stay among those that wait in Produce. Nothing is kept here once it is answered."),
	k("replica.fetch.backoff.ms", Int, "1000", Static, atLeast(0), "How long a follower waits after a fetch that failed."),
	k("replica.fetch.max.bytes", Int, "1048576", Static, atLeast(0), "Bytes that a follower asks for per partition."),
	k("replica.fetch.min.bytes", Int, "1", Static, nil, "Bytes that an answer to a follower should hold; with fewer it waits up to replica.fetch.wait.max.ms."),
	k("replica.fetch.response.max.bytes", Int, "10485760", Static, atLeast(0), "Bytes that a follower asks for per fetch."),
	k("replica.fetch.wait.max.ms", Int, "500", Static, nil, "How long a follower's fetch may wait for data. Less than replica.lag.time.max.ms, or the in-sync replicas of quiet topics change all the time."),
	k("replica.high.watermark.checkpoint.interval.ms", Long, "5000", Static, nil, "How often the high watermarks are written down."),
	k("replica.lag.time.max.ms", Long, "30000", Static, nil, "How long a follower may be behind its leader's log end before it is no longer in sync."),
	k("replica.selector.class", String, null, Static, nil, "Picks the replica that a consumer fetches from: org.apache.kafka.common.replica.RackAwareReplicaSelector sends it to an in-sync replica in its own rack; not set: the leader."),
	k("replica.socket.receive.buffer.bytes", Int, "65536", Static, nil, "Receive buffer of a follower's connection."),
	k("replica.socket.timeout.ms", Int, "30000", Static, nil, "How long a follower waits for its leader's answer. At least replica.fetch.wait.max.ms."),
	k("unclean.leader.election.enable", Boolean, "false", ClusterWide, nil, "Whether a replica that is not in sync may lead when no other can: availability for data."),
	internal("unclean.leader.election.interval.ms", Long, "300000", atLeast(1), "KRaft: how often partitions without a leader are looked at for an unclean election."),
}
