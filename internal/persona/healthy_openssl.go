package persona

import utls "github.com/refraction-networking/utls"

var healthyOpenSSL = Persona{
	ID:      "healthy-openssl",
	Does:    "Sends a ClientHello of the shape of OpenSSL 3.0, as Postfix and Exim do, and takes tickets and any certificate",
	Healthy: true,
	shape:   openSSLShape,
}

// openSSLShape is after interop/testdata/transcripts/healthy.openssl.txt.
func openSSLShape(Target) *utls.ClientHelloSpec {
	return hello([]uint16{
		utls.TLS_AES_256_GCM_SHA384, utls.TLS_CHACHA20_POLY1305_SHA256, utls.TLS_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		utls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		utls.TLS_RSA_WITH_AES_256_GCM_SHA384, utls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_RSA_WITH_AES_128_CBC_SHA256, utls.TLS_RSA_WITH_AES_256_CBC_SHA, utls.TLS_RSA_WITH_AES_128_CBC_SHA,
		utls.FAKE_TLS_EMPTY_RENEGOTIATION_INFO_SCSV,
	},
		&utls.SNIExtension{},
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0, 1, 2}},
		groups(utls.X25519, utls.CurveP256, utls.CurveP521, utls.CurveP384),
		&utls.SessionTicketExtension{},
		&utls.ExtendedMasterSecretExtension{},
		signatures(utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithP521AndSHA512, utls.Ed25519,
			utls.PSSWithSHA256, utls.PSSWithSHA384, utls.PSSWithSHA512,
			utls.PKCS1WithSHA256, utls.PKCS1WithSHA384, utls.PKCS1WithSHA512),
		versions(utls.VersionTLS13, utls.VersionTLS12, utls.VersionTLS11, utls.VersionTLS10),
		&utls.PSKKeyExchangeModesExtension{Modes: []uint8{utls.PskModeDHE}},
		keyShares(utls.X25519),
		&utls.UtlsPreSharedKeyExtension{},
	)
}
