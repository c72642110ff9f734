package persona

import (
	"crypto/tls"
)

var tls12Only = Persona{
	ID:        "tls12-only",
	Does:      "Offers TLS 1.2 at most",
	configure: upTo(tls.VersionTLS12),
}

var tls10Only = Persona{
	ID:        "tls10-only",
	Case:      "tls10-only",
	Does:      "Offers TLS 1.0 only, and does not come back in plaintext",
	configure: upTo(tls.VersionTLS10),
}
