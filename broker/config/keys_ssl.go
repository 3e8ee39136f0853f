package config

// sslKeys are the keys of TLS.
var sslKeys = []Key{
	k("ssl.allow.dn.changes", Boolean, "false", Static, nil, "TLS: whether a new key store may have another distinguished name."),
	k("ssl.allow.san.changes", Boolean, "false", Static, nil, "TLS: whether a new key store may lack subject alternative names of the old one."),
	k("ssl.cipher.suites", List, "", PerBroker, nil, "TLS: cipher suites that may be used; empty: all that are on by default."),
	k("ssl.client.auth", String, "none", PerBroker, oneOf("required", "requested", "none"), "TLS: whether clients must, may or need not show a certificate."),
	k("ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3", PerBroker, nil, "TLS: versions that may be used."),
	k("ssl.endpoint.identification.algorithm", String, "https", PerBroker, nil, "TLS: how a server's name is checked against its certificate; empty: not at all."),
	k("ssl.engine.factory.class", Class, null, PerBroker, nil, "TLS: Java class that makes TLS engines."),
	k("ssl.key.password", Password, null, PerBroker, nil, "TLS: password of the private key."),
	k("ssl.keymanager.algorithm", String, "SunX509", PerBroker, nil, "TLS: algorithm of the Java key manager."),
	k("ssl.keystore.certificate.chain", Password, null, PerBroker, nil, "TLS: certificate chain in PEM, instead of a key store file."),
	k("ssl.keystore.key", Password, null, PerBroker, nil, "TLS: private key in PEM, instead of a key store file."),
	k("ssl.keystore.location", String, null, PerBroker, nil, "TLS: key store file."),
	k("ssl.keystore.password", Password, null, PerBroker, nil, "TLS: password of the key store file."),
	k("ssl.keystore.type", String, "JKS", PerBroker, nil, "TLS: format of the key store file."),
	k("ssl.principal.mapping.rules", String, "DEFAULT", Static, nil, "TLS: rules that make short names of distinguished names."),
	k("ssl.protocol", String, "TLSv1.3", PerBroker, nil, "TLS: version of the Java TLS context."),
	k("ssl.provider", String, null, PerBroker, nil, "TLS: Java security provider."),
	k("ssl.secure.random.implementation", String, null, PerBroker, nil, "TLS: Java source of random numbers."),
	k("ssl.trustmanager.algorithm", String, "PKIX", PerBroker, nil, "TLS: algorithm of the Java trust manager."),
	k("ssl.truststore.certificates", Password, null, PerBroker, nil, "TLS: trusted certificates in PEM, instead of a trust store file."),
	k("ssl.truststore.location", String, null, PerBroker, nil, "TLS: trust store file."),
	k("ssl.truststore.password", Password, null, PerBroker, nil, "TLS: password of the trust store file."),
	k("ssl.truststore.type", String, "JKS", PerBroker, nil, "TLS: format of the trust store file."),
}
