package persona

import utls "github.com/refraction-networking/utls"

var helloRetry = Persona{
	ID:   "hello-retry",
	Case: "hello-retry-refused",
	Does: "Brings a key for a group that nobody has, so that the server must ask for another with a HelloRetryRequest, and answers that",
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := with(openSSLShape(t),
			groups(utls.GREASE_PLACEHOLDER, utls.X25519, utls.CurveP256, utls.CurveP521, utls.CurveP384), // RFC 8701
			&utls.KeyShareExtension{KeyShares: []utls.KeyShare{{Group: utls.GREASE_PLACEHOLDER, Data: []byte{0}}}})
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}
