package interop

import "postern/handshake"

var tls10Only = Case{
	ID:      "tls10-only",
	Title:   "Offers no TLS version after 1.1",
	Clients: "old Exchange servers, scanners, printers and other appliances",
	Since:   "2017",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mail-in-a-box/mailinabox/issues/1705", "2020", "A restriction of versions and suites rejected a sender."},
		{"https://github.com/docker-mailserver/docker-mailserver/issues/705", "2017-08-31", "A sender was shut out by the choice of versions and suites."},
		{"https://github.com/mailcow/mailcow-dockerized/issues/2398", "", "The same, with the setting that allows such senders."},
	},
	Explanation: "The newest version that the client offers is older than TLS 1.2, and the server accepts none of those: RFC 8996 deprecates them, and crypto/tls has refused them by default since Go 1.22. " +
		"Some such senders retry in plaintext, others give up. The fix is on their side.",
	Remedy: Remedy{
		Postern: "Tell the sender's administrator to update. Postern accepts TLS 1.2 and later; whether the mail then comes in plaintext is the sender's decision.",
		Sender:  "Update the TLS library of the sending server, or let it offer TLS 1.2 or later: RFC 8996 deprecates earlier versions.",
		OtherSoftware: []Advice{
			{"Postfix", "Set smtpd_tls_protocols = >=TLSv1, and @SECLEVEL=0 in tls_medium_cipherlist so that OpenSSL allows it."},
			{"Exim", "Remove +no_tlsv1 and +no_tlsv1_1 from openssl_options. With GnuTLS, allow VERS-TLS1.0 in tls_require_ciphers."},
			{"mox", "Set MinVersion: TLSv1.0 in the TLS section of the listener."},
			{"maddy", "Set protocols tls1.0 tls1.3 in the tls block."},
			{"Go programs", "Set tls.Config.MinVersion = tls.VersionTLS10, only for the networks that need it."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		ended, ok := refused(t, lacksVersion, protocolVersion, handshakeFailure)
		if !ok {
			return 0, nil
		}
		newest := highest(t.ClientHello).String()
		return AlmostCertain, []Observation{helloAt(t, "the client offers at most "+newest), ended}
	},
}
