package persona

import utls "github.com/refraction-networking/utls"

var healthySchannel = Persona{
	ID:      "healthy-schannel",
	Does:    "Sends a ClientHello with the suites of Windows Server 2022, and takes tickets and any certificate",
	Healthy: true,
	shape:   schannelShape,
}

// schannelShape has the suites in the order of
// https://learn.microsoft.com/en-us/windows/win32/secauthn/tls-cipher-suites-in-windows-server-2022.
// No hello of Schannel was recorded for it, so the order of the extensions is no claim.
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
