package persona

import "crypto/tls"

var rsaOnlyClient = Persona{
	ID:   "rsa-only-client",
	Case: "rsa-only-client",
	Does: "Offers TLS 1.2 with suites for RSA certificates only",
	configure: func(config *tls.Config, _ Target) error {
		config.MaxVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		}
		return nil
	},
}
