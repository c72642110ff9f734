package persona

import "crypto/tls"

var unknownSNI = Persona{
	ID:   "unknown-sni",
	Case: "unknown-sni",
	Does: "Asks for a host name that no server has, unknown.invalid",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = "unknown.invalid" // RFC 6761, Section 6.4
		return nil
	},
}
