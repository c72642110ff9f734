package persona

import "crypto/tls"

// The reports disagree about what such senders do: see tls10Only.
var fallsBackToPlaintext = Persona{
	ID:        "falls-back-to-plaintext",
	Case:      "tls10-only",
	Does:      "Offers TLS 1.0 only, and comes back in plaintext when that fails",
	configure: upTo(tls.VersionTLS10),
	fallsBack: true,
}
