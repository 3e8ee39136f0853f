package config

// serverKeys are the keys of the broker as a whole: its id, its threads, its shutdown, its plugins.
var serverKeys = []Key{
	k("alter.config.policy.class.name", Class, null, Static, nil, ""),
	k("auto.create.topics.enable", Boolean, "true", Static, nil, ""),
	k("background.threads", Int, "10", ClusterWide, atLeast(1), ""),
	k("broker.id", Int, "-1", Static, nil, ""),
	k("broker.id.generation.enable", Boolean, "true", Static, nil, ""),
	k("broker.rack", String, null, Static, nil, ""),
	k("controlled.shutdown.enable", Boolean, "true", Static, nil, ""),
	k("controlled.shutdown.max.retries", Int, "3", Static, nil, ""),
	k("controlled.shutdown.retry.backoff.ms", Long, "5000", Static, nil, ""),
	k("create.topic.policy.class.name", Class, null, Static, nil, ""),
	k("delete.topic.enable", Boolean, "true", Static, nil, ""),
	k("max.request.partition.size.limit", Int, "2000", Static, atLeast(1), ""),
	k("reserved.broker.max.id", Int, "1000", Static, atLeast(0), ""),
}
