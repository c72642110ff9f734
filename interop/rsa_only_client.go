package interop

import "postern/handshake"

var rsaOnlyClient = Case{
	ID:      "rsa-only-client",
	Title:   "Accepts certificates with RSA keys only, and the server has none",
	Clients: "senders whose suites or signature algorithms exclude ECDSA",
	Since:   "2023-08",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/LukeSmithxyz/emailwiz/issues/292", "2023-08-16", "The reverse: with ECDSA excluded, mail from outlook.com came in plaintext."},
	},
	Explanation: "All that the client and the server share needs a certificate with an RSA key, and the server ended the handshake. " +
		"So the server has only an ECDSA certificate, the default of today's certificate tools. " +
		"A server can have one of each kind and choose the one that the client can verify.",
	Remedy: Remedy{
		Postern: "Add a second certificate, with an RSA key, to the configuration. Postern chooses by what each sender offers.",
		Sender:  "Let your client accept ECDSA certificates: offer suites with ECDHE_ECDSA and the signature scheme ecdsa_secp256r1_sha256.",
		OtherSoftware: []Advice{
			{"Postfix", "List both an ECDSA and an RSA pair in smtpd_tls_chain_files, each as key, certificate, intermediates."},
			{"Exim", "Set tls_certificate and tls_privatekey to lists of two files each, of an ECDSA and of an RSA pair."},
			{"mox", "Add a second entry to KeyCerts, so that it has both an ECDSA and an RSA pair, or let ACME create both with HostPrivateKeyFiles."},
			{"maddy", "Name both an ECDSA and an RSA pair: tls file ecdsa.pem ecdsa.key rsa.pem rsa.key."},
			{"Go programs", "Add both an ECDSA and an RSA pair to tls.Config.Certificates, or choose in GetCertificate with ClientHelloInfo.SupportsCertificate."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksECDSA, handshakeFailure)
		if !ok {
			return 0, nil
		}
		text := "all suites that client and server share need an RSA key: " + list(sharedSuites(t.ClientHello))
		if onlyRSA(t.ClientHello) {
			text = "the client accepts signatures of RSA keys only: " + list(t.ClientHello.Signatures)
		}
		return Likely, []Observation{helloAt(t, text), ended}
	},
}
