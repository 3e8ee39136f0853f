package config

// networkKeys are the keys of listeners, sockets and request queues.
var networkKeys = []Key{
	k("advertised.listeners", String, null, PerBroker, nil, "What clients and brokers are told to connect to, name://host:port separated by commas. Not set: what listeners says. The names must be among those of listeners; 0.0.0.0 cannot be advertised."),
	k("connection.failed.authentication.delay.ms", Int, "100", Static, atLeast(0), "How long a connection that failed to authenticate stays open, to slow down the next attempt."),
	k("connections.max.idle.ms", Long, "600000", Static, nil, "How long a connection without traffic is kept. Negative: forever."),
	k("control.plane.listener.name", String, null, Static, nil, "Name of the listener that the controller uses to reach this broker, apart from all others."),
	k("early.start.listeners", String, null, Static, nil, "Listeners that accept before the broker is ready."),
	k("inter.broker.listener.name", String, null, Static, nil, "Listener that brokers use among themselves. Not set: the one named like security.inter.broker.protocol."),
	k("inter.broker.protocol.version", String, "3.9-IV0", Static, releaseName, "Release whose requests brokers use among themselves. Raise it once all brokers of the cluster are new enough."),
	k("listener.security.protocol.map", String, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", PerBroker, nil, "Security protocol of each listener name, name:protocol separated by commas."),
	k("listeners", String, "PLAINTEXT://:9092", PerBroker, nil, "What the broker binds, name://host:port separated by commas. An empty host or 0.0.0.0 is all interfaces. Names must differ, and ports too, but for a pair of one IPv4 and one IPv6 address."),
	k("max.connection.creation.rate", Int, "2147483647", ClusterWide, atLeast(0), "Most new connections per second."),
	k("max.connections", Int, "2147483647", ClusterWide, atLeast(0), "Most connections. When they are used up, one that is idle makes room on the inter-broker listener; others wait."),
	k("max.connections.per.ip", Int, "2147483647", ClusterWide, atLeast(0), "Most connections from one address. 0 refuses all that max.connections.per.ip.overrides does not name."),
	k("max.connections.per.ip.overrides", String, "", ClusterWide, nil, "Other limits for single hosts or addresses, host:count separated by commas."),
	k("num.io.threads", Int, "8", ClusterWide, atLeast(1), "Size of the pool that answers requests. Requests run in goroutines; the value only limits how far a dynamic change may go."),
	k("num.network.threads", Int, "3", ClusterWide, atLeast(1), "Size of a listener's pool of network threads. Connections have goroutines; the value only limits how far a dynamic change may go."),
	k("queued.max.request.bytes", Long, "-1", Static, nil, "Bytes of requests that may wait; beyond that nothing more is read. -1 is no limit."),
	k("queued.max.requests", Int, "500", Static, atLeast(1), "Requests that may wait; beyond that nothing more is read."),
	k("request.timeout.ms", Int, "30000", Static, nil, "How long this broker waits for an answer when it asks another."),
	k("socket.connection.setup.timeout.max.ms", Long, "30000", Static, nil, "Longest time that setting up a connection may take, after several failures."),
	k("socket.connection.setup.timeout.ms", Long, "10000", Static, nil, "How long setting up a connection may take at first."),
	k("socket.listen.backlog.size", Int, "50", Static, atLeast(1), "Connections that may wait to be accepted, as far as the operating system allows."),
	k("socket.receive.buffer.bytes", Int, "102400", Static, nil, "Receive buffer of accepted connections; -1 leaves it to the operating system."),
	k("socket.request.max.bytes", Int, "104857600", Static, atLeast(1), "Largest request that is read; a connection that announces a larger one is closed."),
	k("socket.send.buffer.bytes", Int, "102400", Static, nil, "Send buffer of accepted connections; -1 leaves it to the operating system."),
}
