package interop

import "postern/handshake"

var noSharedSuite = Case{
	ID:      "no-shared-suite",
	Title:   "Offers no cipher suite that is still taken",
	Clients: "old appliances and mail servers; clients restricted to RSA key exchange or 3DES",
	Since:   "2017-05",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/docker-mailserver/docker-mailserver/issues/620", "2017-05-30", "A sender failed for want of a common suite; more in #1031, #1094 and #1784 of that project."},
		{"https://github.com/hardware/mailserver/issues/147", "2017-08-24", "The same with another collection of mail software and an ECDSA certificate."},
		{"https://github.com/foxcpp/maddy/issues/789", "2025-06", "The same from the sending side: Go no longer offers RSA key exchange."},
		{"https://github.com/xhit/go-simple-mail/issues/100", "", "A client in Go meets a server that has only suites which Go has given up."},
	},
	Explanation: "None of the client's cipher suites is one that the server takes. " +
		"Most often it knows key exchange with RSA alone, which crypto/tls has left out by default since Go 1.22, or 3DES, left out since Go 1.23. " +
		"A scanner that tries suites one by one looks the same.",
	Remedy: Remedy{
		Postern: "Tell the sender. Until it is mended, start Postern with GODEBUG=tlsrsakex=1 (RSA key exchange) or GODEBUG=tls3des=1: this weakens it for everyone who asks.",
		OtherSoftware: []Advice{
			{"Postfix", "smtpd_tls_ciphers = medium, and see what smtpd_tls_exclude_ciphers leaves out."},
			{"Exim", "Widen tls_require_ciphers."},
			{"maddy", "List the suite in ciphers of the tls block."},
			{"Go programs", "List the suite in tls.Config.CipherSuites, or GODEBUG=tlsrsakex=1, tls3des=1."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksSuite, handshakeFailure, insufficientSecurity)
		if !ok {
			return 0, nil
		}
		offered := list(t.ClientHello.Suites)
		return certain, []Observation{helloAt(t, "of what the client offers nothing is in use today: "+offered), ended}
	},
}
