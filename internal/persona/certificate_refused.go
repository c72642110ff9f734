package persona

import "crypto/tls"

var certificateRefused = Persona{
	ID:   "certificate-refused",
	Case: "certificate-refused",
	Does: "Verifies the certificate and its name, as senders with a policy do",
	configure: func(config *tls.Config, t Target) error {
		config.InsecureSkipVerify = false
		config.RootCAs = t.RootCAs
		return nil
	},
}
