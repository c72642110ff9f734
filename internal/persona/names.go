package persona

import (
	"crypto/tls"
	"net"

	utls "github.com/refraction-networking/utls"
)

var unknownSNI = Persona{
	ID:   "unknown-sni",
	Case: "unknown-sni",
	Does: "Asks for a host name that no server has, unknown.invalid",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = "unknown.invalid" // RFC 6761, Section 6.4
		return nil
	},
}

var noSNI = Persona{
	ID:   "no-sni",
	Case: "unknown-sni",
	Does: "Asks for no host name",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = ""
		return nil
	},
}

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

// RFC 6066, Section 3 allows no address, and senders that were told to go to one put it
// there all the same.
var sniAddress = Persona{
	ID:   "sni-address",
	Case: "unknown-sni",
	Does: "Asks for an IP address where the host name should be",
	shape: func(t Target) *utls.ClientHelloSpec {
		address := "192.0.2.1" // RFC 5737
		if host, _, err := net.SplitHostPort(t.Addr); err == nil && net.ParseIP(host) != nil {
			address = host
		}
		spec := without[*utls.SNIExtension](openSSLShape(t))
		spec.Extensions = append([]utls.TLSExtension{serverName(address)}, spec.Extensions...)
		return spec
	},
}
