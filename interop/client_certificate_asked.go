package interop

import "postern/handshake"

var clientCertificateAsked = Case{
	ID:      "client-certificate-asked",
	Title:   "Fails after the server requests a client certificate",
	Clients: "Gmail's senders, which send a certificate; Schannel, which limits the size of the request",
	Since:   "2025-06",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/mjl-/mox/issues/359", "2025-06", "Gmail sent a certificate that none of the acceptable authorities had issued, and mox failed to verify it (833a67f)."},
		{"https://github.com/dotnet/docs/pull/55739", "2026-08", "A request with a long list of authorities exceeds Schannel's limit."},
	},
	Explanation: "The server requested a client certificate, and the handshake ended after that. " +
		"Mail senders seldom have a certificate that you could verify; some send what they have, whatever the request says. " +
		"A public mail server gains nothing by the request.",
	Remedy: Remedy{
		Postern: "Nothing to do: Postern requests no client certificate.",
		Sender:  "Let your client send no client certificate on port 25, and ignore the request.",
		OtherSoftware: []Advice{
			{"mox", "Upgrade to a version with commit 833a67f (June 2025)."},
			{"Postfix", "Set smtpd_tls_ask_ccert = no and smtpd_tls_req_ccert = no on port 25."},
			{"Exim", "Leave tls_verify_hosts and tls_try_verify_hosts empty."},
			{"Go programs", "Set tls.Config.ClientAuth = tls.NoClientCert, or tls.RequestClientCert and verify after the handshake."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		request := index(t, handshake.Server, handshake.TypeCertificateRequest)
		if !arrived(t, request) || t.Completed {
			return 0, nil
		}
		asked := []Observation{{"the server requested a client certificate", request}}
		if description, message, ok := alerted(t, handshake.Server); ok {
			return AlmostCertain, append(asked, alert(description, "the server", message))
		}
		if complaint, ok := complained(t); ok {
			return Possible, append(asked, complaint)
		}
		if !left(t) {
			return 0, nil
		}
		return Possible, append(asked, leaving(t))
	},
}
