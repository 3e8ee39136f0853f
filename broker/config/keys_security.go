package config

// securityKeys are the keys of who may connect and what they may do.
var securityKeys = []Key{
	k("authorizer.class.name", String, "", Static, nil, ""),
	k("connections.max.reauth.ms", Long, "0", Static, nil, ""),
	k("delegation.token.expiry.check.interval.ms", Long, "3600000", Static, atLeast(1), ""),
	k("delegation.token.expiry.time.ms", Long, "86400000", Static, atLeast(1), ""),
	k("delegation.token.master.key", Password, null, Static, nil, ""),
	k("delegation.token.max.lifetime.ms", Long, "604800000", Static, atLeast(1), ""),
	k("delegation.token.secret.key", Password, null, Static, nil, ""),
	k("principal.builder.class", Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", PerBroker, nil, ""),
	k("security.inter.broker.protocol", String, "PLAINTEXT", Static, oneOf("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), ""),
	k("security.providers", String, null, Static, nil, ""),
}
