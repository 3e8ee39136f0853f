package config

// sslKeys are the keys of TLS.
var sslKeys = []Key{
	k("ssl.allow.dn.changes", Boolean, "false", Static, nil, ""),
	k("ssl.allow.san.changes", Boolean, "false", Static, nil, ""),
	k("ssl.cipher.suites", List, "", PerBroker, nil, ""),
	k("ssl.client.auth", String, "none", PerBroker, oneOf("required", "requested", "none"), ""),
	k("ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3", PerBroker, nil, ""),
	k("ssl.endpoint.identification.algorithm", String, "https", PerBroker, nil, ""),
	k("ssl.engine.factory.class", Class, null, PerBroker, nil, ""),
	k("ssl.key.password", Password, null, PerBroker, nil, ""),
	k("ssl.keymanager.algorithm", String, "SunX509", PerBroker, nil, ""),
	k("ssl.keystore.certificate.chain", Password, null, PerBroker, nil, ""),
	k("ssl.keystore.key", Password, null, PerBroker, nil, ""),
	k("ssl.keystore.location", String, null, PerBroker, nil, ""),
	k("ssl.keystore.password", Password, null, PerBroker, nil, ""),
	k("ssl.keystore.type", String, "JKS", PerBroker, nil, ""),
	k("ssl.principal.mapping.rules", String, "DEFAULT", Static, nil, ""),
	k("ssl.protocol", String, "TLSv1.3", PerBroker, nil, ""),
	k("ssl.provider", String, null, PerBroker, nil, ""),
	k("ssl.secure.random.implementation", String, null, PerBroker, nil, ""),
	k("ssl.trustmanager.algorithm", String, "PKIX", PerBroker, nil, ""),
	k("ssl.truststore.certificates", Password, null, PerBroker, nil, ""),
	k("ssl.truststore.location", String, null, PerBroker, nil, ""),
	k("ssl.truststore.password", Password, null, PerBroker, nil, ""),
	k("ssl.truststore.type", String, "JKS", PerBroker, nil, ""),
}
