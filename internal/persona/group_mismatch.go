package persona

import "crypto/tls"

var groupMismatch = Persona{
	ID:   "group-mismatch",
	Case: "group-mismatch",
	Does: "Offers P-521 and no other group for the key exchange",
	configure: func(config *tls.Config, _ Target) error {
		config.CurvePreferences = []tls.CurveID{tls.CurveP521}
		return nil
	},
}
