package persona

import utls "github.com/refraction-networking/utls"

var healthyGnuTLS = Persona{
	ID:      "healthy-gnutls",
	Does:    "Sends a ClientHello of the shape of GnuTLS 3.7, with a key for P-256, and takes tickets and any certificate",
	Healthy: true,
	shape:   gnuTLSShape,
}

// gnuTLSShape is after interop/testdata/transcripts/healthy.gnutls.txt. GnuTLS brings a
// second key, for X25519.
func gnuTLSShape(Target) *utls.ClientHelloSpec {
	return hello([]uint16{
		utls.TLS_AES_256_GCM_SHA384, utls.TLS_CHACHA20_POLY1305_SHA256, utls.TLS_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		utls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		utls.TLS_RSA_WITH_AES_256_GCM_SHA384, utls.TLS_RSA_WITH_AES_256_CBC_SHA,
		utls.TLS_RSA_WITH_AES_128_GCM_SHA256, utls.TLS_RSA_WITH_AES_128_CBC_SHA,
	},
		&utls.StatusRequestExtension{},
		groups(utls.CurveP256, utls.CurveP384, utls.CurveP521, utls.X25519),
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0}},
		signatures(utls.PKCS1WithSHA256, utls.PSSWithSHA256, utls.ECDSAWithP256AndSHA256, utls.Ed25519,
			utls.PKCS1WithSHA384, utls.PSSWithSHA384, utls.ECDSAWithP384AndSHA384,
			utls.PKCS1WithSHA512, utls.PSSWithSHA512, utls.ECDSAWithP521AndSHA512,
			utls.PKCS1WithSHA1, utls.ECDSAWithSHA1),
		&utls.ExtendedMasterSecretExtension{},
		&utls.SessionTicketExtension{},
		keyShares(utls.CurveP256),
		versions(utls.VersionTLS13, utls.VersionTLS12, utls.VersionTLS11, utls.VersionTLS10),
		&utls.RenegotiationInfoExtension{},
		&utls.SNIExtension{},
		&utls.PSKKeyExchangeModesExtension{Modes: []uint8{utls.PskModeDHE, utls.PskModePlain}},
		&utls.UtlsPreSharedKeyExtension{},
	)
}
