package persona

import utls "github.com/refraction-networking/utls"

// RFC 6066, Section 3 allows no final dot, so a server may refuse it. Crypto/tls does.
var sniTrailingDot = Persona{
	ID:   "sni-trailing-dot",
	Case: "unknown-sni",
	Does: "Asks for the host name with a final dot",
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := without[*utls.SNIExtension](openSSLShape(t))
		spec.Extensions = append([]utls.TLSExtension{serverName(t.ServerName + ".")}, spec.Extensions...)
		return spec
	},
}
