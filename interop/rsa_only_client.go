package interop

import "postern/handshake"

var rsaOnlyClient = Case{
	ID:      "rsa-only-client",
	Title:   "Takes certificates with an RSA key only, and the server has none",
	Clients: "senders whose suites or signature algorithms leave ECDSA out",
	Since:   "2023-08",
	Status:  Reported,
	Sources: []Source{
		{"https://github.com/LukeSmithxyz/emailwiz/issues/292", "2023-08-16", "The mirror image: with ECDSA excluded, mail from outlook.com came in plaintext."},
	},
	Explanation: "All that the client and the server share needs a certificate with an RSA key, and the server ended the handshake. " +
		"So it serves an ECDSA certificate alone, as certificate tools do by default today. " +
		"A server can have one of each kind and show every client the one that it can check.",
	Remedy: Remedy{
		Postern: "Add a second [[certificate]] with an RSA key; Postern picks by what each sender offers.",
		OtherSoftware: []Advice{
			{"Postfix", "List both in smtpd_tls_chain_files."},
			{"Exim", "Give lists of two files to tls_certificate and tls_privatekey."},
			{"mox", "Add a second entry to KeyCerts, or let ACME make both kinds with HostPrivateKeyFiles."},
			{"maddy", "tls file ecdsa.pem ecdsa.key rsa.pem rsa.key"},
			{"Go programs", "Put both into tls.Config.Certificates, or choose in GetCertificate with ClientHelloInfo.SupportsCertificate."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksECDSA, handshakeFailure)
		if !ok {
			return 0, nil
		}
		text := "the client's suites that are in use today need an RSA key: " + list(sharedSuites(t.ClientHello))
		if onlyRSA(t.ClientHello) {
			text = "the client takes signatures of RSA keys only: " + list(t.ClientHello.Signatures)
		}
		return likely, []Observation{helloAt(t, text), ended}
	},
}
