package interop

import "postern/handshake"

var certificateRefused = Case{
	ID:      "certificate-refused",
	Title:   "Rejects the server's certificate",
	Clients: "senders with a policy: MTA-STS in mode enforce, DANE, or a local rule; submission clients; programs whose library verifies by default",
	Since:   "2022",
	Status:  Confirmed,
	Sources: []Source{
		{"https://github.com/bokysan/docker-postfix/issues/167", "2023-12", "The alert unknown_ca from a client that verifies."},
		{"https://github.com/mailcow/mailcow-dockerized/issues/4300", "2022-02", "The alert certificate_expired after a renewed certificate was not loaded."},
		{"https://nodejs.org/api/tls.html#tlsconnectoptions-callback", "", "Clients verify by default (rejectUnauthorized), and close the socket without an alert if that fails; nodemailer inherits it."},
		{"https://github.com/hmailserver/hmailserver/issues/432", "", "Most senders do not verify unless a policy tells them to."},
	},
	Explanation: "The client ended the handshake with an alert about the certificate, or closed without one where it had just seen the certificate. " +
		"Most senders accept any certificate, so this one has a reason to verify: your MTA-STS policy in mode enforce, TLSA records, a local rule, or a library that verifies by default, as nodemailer and aiosmtplib do. " +
		"An alert names the problem: expired, issued by an unknown authority, or otherwise bad, which is often the wrong name. " +
		"A close without an alert also fits other cases; it is more likely about the certificate if that one is self-signed or expired, and if the same sender closes at the same point in other modes.",
	Remedy: Remedy{
		Postern: "Serve a valid certificate with its intermediates and the name of the MX record: set its files in the configuration. Postern reloads renewed files by itself.",
		Sender:  "See in your server's log why it rejected the certificate, and whether MTA-STS, DANE or a rule of your own requires a valid one. Send that reason to the receiving side.",
		OtherSoftware: []Advice{
			{"Postfix", "Set smtpd_tls_chain_files to the key, then the certificate and its intermediates, and reload after a renewal."},
			{"Exim", "Set tls_certificate to a file with the intermediates. Exim rereads it by itself."},
			{"mox", "Use ACME, or check KeyCerts. The certificate needs the host name of the MX record."},
			{"maddy", "Set tls file fullchain.pem privkey.pem, with the intermediates in the first."},
		},
	},
	weigh: weighCertificateRefused,
	match: func(t *handshake.Transcript) (Confidence, []Observation) {
		description, message, ok := alerted(t, handshake.Client)
		if !ok || !aboutCertificate(description) {
			return 0, nil
		}
		return AlmostCertain, []Observation{alert(description, "the client", message)}
	},
}
