package persona

import "crypto/tls"

var tls12Only = Persona{
	ID:        "tls12-only",
	Does:      "Offers TLS 1.2 at most",
	configure: upTo(tls.VersionTLS12),
}
