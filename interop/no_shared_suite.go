package interop

import "postern/handshake"

var noSharedSuite = Case{
	ID:      "no-shared-suite",
	Title:   "Offers no cipher suite that servers still accept",
	Clients: "old appliances and mail servers; clients restricted to RSA key exchange or 3DES",
	Since:   "2017-05",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/docker-mailserver/docker-mailserver/issues/620", "2017-05-30", "A sender failed without a common suite; more in #1031, #1094 and #1784 of that project."},
		{"https://github.com/hardware/mailserver/issues/147", "2017-08-24", "The same with another mail server bundle and an ECDSA certificate."},
		{"https://github.com/foxcpp/maddy/issues/789", "2025-06", "The same from the sending side: Go no longer offers RSA key exchange."},
		{"https://github.com/xhit/go-simple-mail/issues/100", "", "A Go client and a server that has only suites which Go has removed."},
	},
	Explanation: "The server accepts none of the client's cipher suites. " +
		"Usually the client supports only RSA key exchange, which crypto/tls has disabled by default since Go 1.22, or 3DES, disabled since Go 1.23. " +
		"A scanner that tries suites one by one looks the same.",
	Remedy: Remedy{
		Postern: "Tell the sender's administrator. Until it is fixed, start Postern with GODEBUG=tlsrsakex=1 (RSA key exchange) or GODEBUG=tls3des=1. This weakens TLS for every sender that asks for it.",
		Sender:  "Update the TLS library of the sending server, or let it offer suites with ECDHE and AES-GCM or ChaCha20-Poly1305.",
		OtherSoftware: []Advice{
			{"Postfix", "Set smtpd_tls_ciphers = medium, and check what smtpd_tls_exclude_ciphers removes."},
			{"Exim", "Extend tls_require_ciphers."},
			{"maddy", "List the suite in ciphers of the tls block."},
			{"Go programs", "List the suite in tls.Config.CipherSuites, or set GODEBUG=tlsrsakex=1 or GODEBUG=tls3des=1."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksSuite, handshakeFailure, insufficientSecurity)
		if !ok {
			return 0, nil
		}
		offered := list(t.ClientHello.Suites)
		return AlmostCertain, []Observation{helloAt(t, "the client offers only suites that servers no longer accept: "+offered), ended}
	},
}
