package config

// metricsKeys are the keys of quotas and metrics.
var metricsKeys = []Key{
	k("alter.log.dirs.replication.quota.window.num", Int, "11", Static, atLeast(1), ""),
	k("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", Static, atLeast(1), ""),
	k("auto.include.jmx.reporter", Boolean, "true", Static, nil, ""),
	k("client.quota.callback.class", Class, null, Static, nil, ""),
	k("controller.quota.window.num", Int, "11", Static, atLeast(1), ""),
	k("controller.quota.window.size.seconds", Int, "1", Static, atLeast(1), ""),
	k("kafka.metrics.polling.interval.secs", Int, "10", Static, atLeast(1), ""),
	k("kafka.metrics.reporters", List, "", Static, nil, ""),
	k("metric.reporters", List, "", ClusterWide, nil, ""),
	k("metrics.num.samples", Int, "2", Static, atLeast(1), ""),
	k("metrics.recording.level", String, "INFO", Static, nil, ""),
	k("metrics.sample.window.ms", Long, "30000", Static, atLeast(1), ""),
	k("quota.window.num", Int, "11", Static, atLeast(1), ""),
	k("quota.window.size.seconds", Int, "1", Static, atLeast(1), ""),
	k("replication.quota.window.num", Int, "11", Static, atLeast(1), ""),
	k("replication.quota.window.size.seconds", Int, "1", Static, atLeast(1), ""),
	k("telemetry.max.bytes", Int, "1048576", Static, atLeast(1), ""),
	k("leader.replication.throttled.rate", Long, "9223372036854775807", DynamicOnly, atLeast(0), ""),
	k("follower.replication.throttled.rate", Long, "9223372036854775807", DynamicOnly, atLeast(0), ""),
	k("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", DynamicOnly, atLeast(0), ""),
}
