package interop

import "postern/handshake"

var groupMismatch = Case{
	ID:      "group-mismatch",
	Title:   "Offers no key exchange group that the server has",
	Clients: "clients restricted to one curve; a mail client on OpenSSL that preferred P-521",
	Since:   "2023-07",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/rustls/rustls/issues/1373", "2023-07", "A mail client that preferred P-521 could not connect to a mail server on rustls, which lacked that group."},
	},
	Explanation: "The client and the server have no key exchange group in common. " +
		"On most such clients the list was set by hand: a national curve, or finite-field groups only.",
	Remedy: Remedy{
		Postern: "Tell the sender's administrator to add X25519 or P-256. Postern has X25519, P-256, P-384, P-521 and crypto/tls's hybrids with ML-KEM.",
		Sender:  "Let your client offer the groups X25519 or P-256.",
		OtherSoftware: []Advice{
			{"Postfix", "Add the group to tls_eecdh_auto_curves."},
			{"Exim", "Add the group to tls_eccurve."},
			{"maddy", "Remove the curve setting from the tls block."},
			{"Go programs", "Leave tls.Config.CurvePreferences nil."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksGroup, handshakeFailure)
		if !ok {
			return 0, nil
		}
		return AlmostCertain, []Observation{helloAt(t, "the client's groups are "+list(t.ClientHello.Groups)), ended}
	},
}
