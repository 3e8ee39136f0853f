package config

// securityKeys are the keys of who may connect and what they may do.
var securityKeys = []Key{
	k("authorizer.class.name", String, "", Static, nil, "Java class that decides who may do what. gregor has no authorizer yet and refuses to start with one."),
	k("connections.max.reauth.ms", Long, "0", Static, nil, "SASL: how long a session lasts before the client has to authenticate again; 0 is forever."),
	k("delegation.token.expiry.check.interval.ms", Long, "3600000", Static, atLeast(1), "How often expired delegation tokens are removed."),
	k("delegation.token.expiry.time.ms", Long, "86400000", Static, atLeast(1), "How long a delegation token lasts unless it is renewed."),
	k("delegation.token.master.key", Password, null, Static, nil, "Older name of delegation.token.secret.key."),
	k("delegation.token.max.lifetime.ms", Long, "604800000", Static, atLeast(1), "How long a delegation token lasts however often it is renewed."),
	k("delegation.token.secret.key", Password, null, Static, nil, "Secret that signs delegation tokens, the same on all brokers. gregor refuses to start with one."),
	k("principal.builder.class", Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", PerBroker, nil, "Java class that makes a principal of a connection. gregor has the default one only."),
	k("security.inter.broker.protocol", String, "PLAINTEXT", Static, oneOf("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), "Security protocol that brokers use among themselves, where inter.broker.listener.name is not set."),
	k("security.providers", String, null, Static, nil, "Java classes of security providers. No Java class is loaded here."),
}
