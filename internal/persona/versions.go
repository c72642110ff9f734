package persona

import "crypto/tls"

var tls12Only = Persona{
	ID:        "tls12-only",
	Does:      "Offers TLS 1.2 at most",
	configure: upTo(tls.VersionTLS12),
}

var tls10Only = Persona{
	ID:        "tls10-only",
	Case:      "tls10-only",
	Does:      "Offers TLS 1.0 only, and does not fall back to plaintext",
	configure: upTo(tls.VersionTLS10),
}

// Reports disagree about whether such senders fall back to plaintext: see tls10Only.
var fallsBackToPlaintext = Persona{
	ID:        "falls-back-to-plaintext",
	Case:      "tls10-only",
	Does:      "Offers TLS 1.0 only, and reconnects in plaintext when that fails",
	configure: upTo(tls.VersionTLS10),
	fallsBack: true,
}

// upTo sets the highest version offered.
func upTo(version uint16) func(*tls.Config, Target) error {
	return func(config *tls.Config, _ Target) error {
		config.MinVersion, config.MaxVersion = min(version, tls.VersionTLS12), version
		return nil
	}
}
