package interop

import "postern/handshake"

var clientCertificateAsked = Case{
	ID:      "client-certificate-asked",
	Title:   "The server asks for a client certificate, and the handshake fails over it",
	Clients: "Gmail's senders, which answer with a certificate; Schannel, which limits the request's size",
	Since:   "2025-06",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mjl-/mox/issues/359", "2025-06", "Gmail sent a certificate that none of the acceptable authorities had issued, and mox stumbled over verifying it (833a67f)."},
		{"https://github.com/dotnet/docs/pull/55739", "2026-08", "A request with a long list of authorities exceeds what Schannel takes."},
	},
	Explanation: "The server asked for a certificate of the client, and the handshake ended after that. " +
		"Senders of mail seldom have one that you could check; some send what they have, whatever the request says. " +
		"A public mail server gains nothing by asking.",
	Remedy: Remedy{
		Postern: "Nothing: Postern asks for none.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to a version with commit 833a67f (June 2025)."},
			{"Postfix", "smtpd_tls_ask_ccert = no and smtpd_tls_req_ccert = no on port 25."},
			{"Exim", "Leave tls_verify_hosts and tls_try_verify_hosts empty."},
			{"Go programs", "tls.Config.ClientAuth = tls.NoClientCert; or tls.RequestClientCert, and judge the certificate after the handshake."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		request := index(t, handshake.Server, handshake.TypeCertificateRequest)
		if request < 0 || t.Completed {
			return 0, nil
		}
		seen := []Observation{{"the server asked for a client certificate", request}}
		if description, message, ok := alerted(t, handshake.Server); ok {
			return certain, append(seen, alert(description, "the server", message))
		}
		if complaint, ok := complained(t); ok {
			return possible, append(seen, complaint)
		}
		if !left(t) {
			return 0, nil
		}
		return possible, append(seen, leaving(t))
	},
}
