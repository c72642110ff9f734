package interop

import "postern/handshake"

var certificateRefused = Case{
	ID:      "certificate-refused",
	Title:   "Does not accept the server's certificate",
	Clients: "senders with a policy: MTA-STS in mode enforce, DANE, or a rule of their own; submission clients",
	Since:   "2022",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/bokysan/docker-postfix/issues/167", "2023-12", "The alert unknown_ca from a client that verifies."},
		{"https://github.com/mailcow/mailcow-dockerized/issues/4300", "2022-02", "The alert certificate_expired after a renewal that was not loaded."},
		{"https://github.com/hmailserver/hmailserver/issues/432", "", "Most senders do not verify unless a policy tells them to."},
	},
	Explanation: "The client ended the handshake with an alert about the certificate. " +
		"Most senders take any certificate, so this one has a reason to check: your MTA-STS policy in mode enforce, TLSA records, or a rule on its side. " +
		"The alert says what it minds: expired, issued by somebody it does not know, or otherwise bad, which is often the wrong name.",
	Remedy: Remedy{
		Postern: "Serve a certificate that is valid, complete with its intermediates, and has the name of the MX record: see [[certificate]]. Postern reads renewed files by itself.",
		OtherSoftware: []Advice{
			{"Postfix", "smtpd_tls_chain_files, key first, then the certificate and its intermediates; reload after a renewal."},
			{"Exim", "tls_certificate with the intermediates; it is read anew by itself."},
			{"mox", "Let ACME make it, or check KeyCerts; the certificate needs the host name of the MX record."},
			{"maddy", "tls file fullchain.pem privkey.pem, with the intermediates in the first."},
		},
	},
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		description, message, ok := alerted(t, handshake.Client)
		if !ok || !aboutCertificate(description) {
			return 0, nil
		}
		return certain, []Observation{alert(description, "the client", message)}
	},
}
