package persona

import utls "github.com/refraction-networking/utls"

var sha1SignaturesOnly = Persona{
	ID:   "sha1-signatures-only",
	Case: "sha1-signatures-only",
	Does: "Offers TLS 1.2 with signatures over SHA-1 only",
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := with(openSSLShape(t),
			versions(utls.VersionTLS12),
			signatures(utls.PKCS1WithSHA1, utls.ECDSAWithSHA1))
		spec = without[*utls.KeyShareExtension](spec)
		spec = without[*utls.PSKKeyExchangeModesExtension](spec)
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}
