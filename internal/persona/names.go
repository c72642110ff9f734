package persona

import (
	"crypto/tls"
	"net"

	utls "github.com/refraction-networking/utls"
)

var unknownSNI = Persona{
	ID:   "unknown-sni",
	Case: "unknown-sni",
	Does: "Asks for the host name unknown.invalid, which no server has",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = "unknown.invalid" // RFC 6761, Section 6.4
		return nil
	},
}

var noSNI = Persona{
	ID:   "no-sni",
	Case: "unknown-sni",
	Does: "Sends no server name",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = ""
		return nil
	},
}

// RFC 6066, Section 3 allows no final dot, so a server may reject it. crypto/tls does.
var sniTrailingDot = Persona{
	ID:   "sni-trailing-dot",
	Case: "unknown-sni",
	Does: "Asks for the host name with a final dot",
	shape: func(t Target) *utls.ClientHelloSpec {
		return withServerName(openSSLShape(t), t.ServerName+".")
	},
}

// RFC 6066, Section 3 allows no address, but senders that are configured with one send it
// all the same.
var sniAddress = Persona{
	ID:   "sni-address",
	Case: "unknown-sni",
	Does: "Sends an IP address as server name",
	shape: func(t Target) *utls.ClientHelloSpec {
		address := "192.0.2.1" // RFC 5737
		if host, _, err := net.SplitHostPort(t.Addr); err == nil && net.ParseIP(host) != nil {
			address = host
		}
		return withServerName(openSSLShape(t), address)
	},
}

// withServerName returns spec with a server_name extension (RFC 6066, Section 3) that has
// any text as name.
func withServerName(spec *utls.ClientHelloSpec, name string) *utls.ClientHelloSpec {
	entry := append([]byte{0, byte(len(name) >> 8), byte(len(name))}, name...)
	list := append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...)
	spec = without[*utls.SNIExtension](spec)
	spec.Extensions = append([]utls.TLSExtension{&utls.GenericExtension{Data: list}}, spec.Extensions...)
	return spec
}
