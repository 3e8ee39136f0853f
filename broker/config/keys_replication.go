package config

// replicationKeys are the keys of replicas, fetching and leaders.
var replicationKeys = []Key{
	k("auto.leader.rebalance.enable", Boolean, "true", Static, nil, ""),
	k("controller.socket.timeout.ms", Int, "30000", Static, nil, ""),
	k("default.replication.factor", Int, "1", Static, nil, ""),
	k("delete.records.purgatory.purge.interval.requests", Int, "1", Static, nil, ""),
	k("fetch.max.bytes", Int, "57671680", Static, atLeast(1024), ""),
	k("fetch.purgatory.purge.interval.requests", Int, "1000", Static, nil, ""),
	k("leader.imbalance.check.interval.seconds", Long, "300", Static, atLeast(1), ""),
	k("leader.imbalance.per.broker.percentage", Int, "10", Static, nil, ""),
	k("max.incremental.fetch.session.cache.slots", Int, "1000", Static, atLeast(0), ""),
	k("num.replica.alter.log.dirs.threads", Int, null, Static, nil, ""),
	k("num.replica.fetchers", Int, "1", ClusterWide, nil, ""),
	k("producer.purgatory.purge.interval.requests", Int, "1000", Static, nil, ""),
	k("replica.fetch.backoff.ms", Int, "1000", Static, atLeast(0), ""),
	k("replica.fetch.max.bytes", Int, "1048576", Static, atLeast(0), ""),
	k("replica.fetch.min.bytes", Int, "1", Static, nil, ""),
	k("replica.fetch.response.max.bytes", Int, "10485760", Static, atLeast(0), ""),
	k("replica.fetch.wait.max.ms", Int, "500", Static, nil, ""),
	k("replica.high.watermark.checkpoint.interval.ms", Long, "5000", Static, nil, ""),
	k("replica.lag.time.max.ms", Long, "30000", Static, nil, ""),
	k("replica.selector.class", String, null, Static, nil, ""),
	k("replica.socket.receive.buffer.bytes", Int, "65536", Static, nil, ""),
	k("replica.socket.timeout.ms", Int, "30000", Static, nil, ""),
	k("unclean.leader.election.enable", Boolean, "false", ClusterWide, nil, ""),
	internal("unclean.leader.election.interval.ms", Long, "300000", atLeast(1), ""),
}
