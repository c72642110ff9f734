package persona

import "crypto/tls"

var noSNI = Persona{
	ID:   "no-sni",
	Case: "unknown-sni",
	Does: "Asks for no host name",
	configure: func(config *tls.Config, _ Target) error {
		config.ServerName = ""
		return nil
	},
}
