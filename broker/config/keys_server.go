package config

// serverKeys are the keys of the broker as a whole: its id, its threads, its shutdown, its plugins.
var serverKeys = []Key{
	k("alter.config.policy.class.name", Class, null, Static, nil, "Java class that judges changes of configurations. gregor refuses to start with one."),
	k("auto.create.topics.enable", Boolean, "true", Static, nil, "Whether asking for the metadata of a topic that does not exist creates it."),
	k("background.threads", Int, "10", ClusterWide, atLeast(1), "Size of the pool for background work. Work runs in goroutines; the value only limits how far a dynamic change may go."),
	k("broker.id", Int, "-1", Static, nil, "The id of this broker in its cluster. -1 lets the cluster make one up, greater than reserved.broker.max.id."),
	k("broker.id.generation.enable", Boolean, "true", Static, nil, "Whether a broker without an id may have one made up."),
	k("broker.rack", String, null, Static, nil, "Where this broker stands. Replicas of a partition are spread over racks."),
	k("controlled.shutdown.enable", Boolean, "true", Static, nil, "Whether leadership moves away before this broker stops."),
	k("controlled.shutdown.max.retries", Int, "3", Static, nil, "How often a refused controlled shutdown is asked for again."),
	k("controlled.shutdown.retry.backoff.ms", Long, "5000", Static, nil, "Wait between two such attempts."),
	k("create.topic.policy.class.name", Class, null, Static, nil, "Java class that judges new topics. gregor refuses to start with one."),
	k("delete.topic.enable", Boolean, "true", Static, nil, "Whether topics can be deleted."),
	k("max.request.partition.size.limit", Int, "2000", Static, atLeast(1), "Most partitions that one answer of DescribeTopicPartitions lists."),
	k("reserved.broker.max.id", Int, "1000", Static, atLeast(0), "Highest id that may be configured; made-up ids are greater."),
}
