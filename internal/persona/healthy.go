package persona

import (
	utls "github.com/refraction-networking/utls"
)

var healthyGo = Persona{
	ID:      "healthy-go",
	Does:    "Offers the defaults of crypto/tls, and accepts tickets and any certificate",
	Healthy: true,
}

var healthyOpenSSL = Persona{
	ID:      "healthy-openssl",
	Does:    "Sends a ClientHello in the shape of OpenSSL 3.0, as Postfix and Exim do, and accepts tickets and any certificate",
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

var healthyGnuTLS = Persona{
	ID:      "healthy-gnutls",
	Does:    "Sends a ClientHello in the shape of GnuTLS 3.7, with a key share for P-256, and accepts tickets and any certificate",
	Healthy: true,
	shape:   gnuTLSShape,
}

// gnuTLSShape is after interop/testdata/transcripts/healthy.gnutls.txt. GnuTLS itself sends
// a second key share, for X25519.
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

var healthySchannel = Persona{
	ID:      "healthy-schannel",
	Does:    "Sends a ClientHello with the suites of Windows Server 2022, and accepts tickets and any certificate",
	Healthy: true,
	shape:   schannelShape,
}

// schannelShape has the suites in the order of
// https://learn.microsoft.com/en-us/windows/win32/secauthn/tls-cipher-suites-in-windows-server-2022.
// The order of the extensions is a guess: no ClientHello of Schannel was recorded.
func schannelShape(Target) *utls.ClientHelloSpec {
	return hello([]uint16{
		utls.TLS_AES_256_GCM_SHA384, utls.TLS_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		utls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		utls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, utls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		utls.TLS_RSA_WITH_AES_256_GCM_SHA384, utls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		utls.TLS_RSA_WITH_AES_128_CBC_SHA256, utls.TLS_RSA_WITH_AES_256_CBC_SHA, utls.TLS_RSA_WITH_AES_128_CBC_SHA,
	},
		&utls.SNIExtension{},
		&utls.StatusRequestExtension{},
		groups(utls.X25519, utls.CurveP256, utls.CurveP384),
		&utls.SupportedPointsExtension{SupportedPoints: []byte{0}},
		signatures(utls.PSSWithSHA256, utls.PSSWithSHA384, utls.PSSWithSHA512,
			utls.PKCS1WithSHA256, utls.PKCS1WithSHA384, utls.PKCS1WithSHA1,
			utls.ECDSAWithP256AndSHA256, utls.ECDSAWithP384AndSHA384, utls.ECDSAWithSHA1,
			utls.PKCS1WithSHA512, utls.ECDSAWithP521AndSHA512),
		&utls.SessionTicketExtension{},
		&utls.ExtendedMasterSecretExtension{},
		&utls.RenegotiationInfoExtension{},
		keyShares(utls.X25519),
		versions(utls.VersionTLS13, utls.VersionTLS12),
		&utls.PSKKeyExchangeModesExtension{Modes: []uint8{utls.PskModeDHE}},
		&utls.UtlsPreSharedKeyExtension{},
	)
}
