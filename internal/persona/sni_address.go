package persona

import (
	"net"

	utls "github.com/refraction-networking/utls"
)

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
