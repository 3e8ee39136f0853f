package config

// metricsKeys are the keys of quotas and metrics.
var metricsKeys = []Key{
	k("alter.log.dirs.replication.quota.window.num", Int, "11", Static, atLeast(1), "Number of windows over which copying between log directories is measured."),
	k("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", Static, atLeast(1), "Length in seconds of one such window for copying between log directories."),
	k("auto.include.jmx.reporter", Boolean, "true", Static, nil, "Whether a JVM broker adds its JMX reporter. There is no JMX here."),
	k("client.quota.callback.class", Class, null, Static, nil, "Java class that computes client quotas. gregor refuses to start with one."),
	k("controller.quota.window.num", Int, "11", Static, atLeast(1), "Number of windows over which changes of topics are measured."),
	k("controller.quota.window.size.seconds", Int, "1", Static, atLeast(1), "Length in seconds of one window for changes of topics."),
	k("kafka.metrics.polling.interval.secs", Int, "10", Static, atLeast(1), "How often a JVM broker's Yammer reporters are asked. No Java class is loaded here."),
	k("kafka.metrics.reporters", List, "", Static, nil, "Java classes that report Yammer metrics. No Java class is loaded here."),
	k("metric.reporters", List, "", ClusterWide, nil, "Java classes that report metrics. No Java class is loaded here."),
	k("metrics.num.samples", Int, "2", Static, atLeast(1), "Number of samples that a rate is computed from."),
	k("metrics.recording.level", String, "INFO", Static, nil, "Least level at which sensors record: INFO, DEBUG or TRACE."),
	k("metrics.sample.window.ms", Long, "30000", Static, atLeast(1), "Length of one sample that a rate is computed from."),
	k("quota.window.num", Int, "11", Static, atLeast(1), "Number of windows over which client traffic is measured."),
	k("quota.window.size.seconds", Int, "1", Static, atLeast(1), "Length in seconds of one window of client traffic."),
	k("replication.quota.window.num", Int, "11", Static, atLeast(1), "Number of windows over which throttled replication is measured."),
	k("replication.quota.window.size.seconds", Int, "1", Static, atLeast(1), "Length in seconds of one window of throttled replication."),
	k("telemetry.max.bytes", Int, "1048576", Static, atLeast(1), "Largest metrics push of a client (KRaft only)."),
	k("leader.replication.throttled.rate", Long, "9223372036854775807", DynamicOnly, atLeast(0), "Bytes per second that this broker sends to throttled replicas."),
	k("follower.replication.throttled.rate", Long, "9223372036854775807", DynamicOnly, atLeast(0), "Bytes per second that this broker's throttled replicas fetch."),
	k("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", DynamicOnly, atLeast(0), "Bytes per second that move between the log directories of this broker."),
}
