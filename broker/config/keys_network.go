package config

// networkKeys are the keys of listeners, sockets and request queues.
var networkKeys = []Key{
	k("advertised.listeners", String, null, PerBroker, nil, ""),
	k("connection.failed.authentication.delay.ms", Int, "100", Static, atLeast(0), ""),
	k("connections.max.idle.ms", Long, "600000", Static, nil, ""),
	k("control.plane.listener.name", String, null, Static, nil, ""),
	k("early.start.listeners", String, null, Static, nil, ""),
	k("inter.broker.listener.name", String, null, Static, nil, ""),
	k("inter.broker.protocol.version", String, "3.9-IV0", Static, releaseName, ""),
	k("listener.security.protocol.map", String, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", PerBroker, nil, ""),
	k("listeners", String, "PLAINTEXT://:9092", PerBroker, nil, ""),
	k("max.connection.creation.rate", Int, "2147483647", ClusterWide, atLeast(0), ""),
	k("max.connections", Int, "2147483647", ClusterWide, atLeast(0), ""),
	k("max.connections.per.ip", Int, "2147483647", ClusterWide, atLeast(0), ""),
	k("max.connections.per.ip.overrides", String, "", ClusterWide, nil, ""),
	k("num.io.threads", Int, "8", ClusterWide, atLeast(1), ""),
	k("num.network.threads", Int, "3", ClusterWide, atLeast(1), ""),
	k("queued.max.request.bytes", Long, "-1", Static, nil, ""),
	k("queued.max.requests", Int, "500", Static, atLeast(1), ""),
	k("request.timeout.ms", Int, "30000", Static, nil, ""),
	k("socket.connection.setup.timeout.max.ms", Long, "30000", Static, nil, ""),
	k("socket.connection.setup.timeout.ms", Long, "10000", Static, nil, ""),
	k("socket.listen.backlog.size", Int, "50", Static, atLeast(1), ""),
	k("socket.receive.buffer.bytes", Int, "102400", Static, nil, ""),
	k("socket.request.max.bytes", Int, "104857600", Static, atLeast(1), ""),
	k("socket.send.buffer.bytes", Int, "102400", Static, nil, ""),
}
