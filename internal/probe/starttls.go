package probe

import (
	"errors"
	"fmt"

	"postern/internal/persona"
	"postern/interop"
)

// offered tells whether the server offers TLS and whether a healthy client gets in.
func offered(e *exam) []Finding {
	v := e.first
	switch {
	case v.In:
		return []Finding{fine("healthy", "A healthy client gets in")}
	case errors.Is(v.Err, persona.ErrNoTLS):
		return []Finding{notOffered(e)}
	case v.Stage < persona.AtSTARTTLS:
		return nil
	}
	seen := []string{clean(v.Err)}
	if v.Transcript != nil {
		seen = append(seen, v.Transcript.Ending())
		if tickets := ticketsOf(v.Transcript); len(tickets) > 2 {
			seen = append(seen, fmt.Sprintf("after %d tickets of the server's", len(tickets)))
		}
	}
	return []Finding{{
		ID: "healthy", Severity: Critical,
		Title:      "Not even a healthy client gets in",
		Evidence:   seen,
		Advice:     e.software.pick(healthAdvice),
		Transcript: v.Transcript,
	}}
}

func notOffered(e *exam) Finding {
	return Finding{
		ID: "no-starttls", Severity: Warning,
		Title:    "STARTTLS is not offered",
		Evidence: []string{fmt.Sprintf("the reply to EHLO: %+q", e.first.EHLO)},
		Advice:   e.software.pick(startTLSAdvice),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc3207"},
	}
}

var healthAdvice = []interop.Advice{
	{Software: "OpenSMTPD", Do: "Versions before 7.3 do not get on with OpenSSL 3, and end each handshake with internal_error (OpenSMTPD/OpenSMTPD#1171): " +
		"take a later one. Debian 12 has it in bookworm-backports. Else look into the log at this time."},
	{Software: everySoftware, Do: "Look into the server's log at this time; a certificate or key that cannot be loaded is the usual cause."},
}

var startTLSAdvice = []interop.Advice{
	{Software: "Postfix", Do: "smtpd_tls_security_level = may, and name the certificate in smtpd_tls_chain_files."},
	{Software: "Exim", Do: "tls_advertise_hosts = *, and name the certificate in tls_certificate and tls_privatekey."},
	{Software: "mox", Do: "Give the listener a TLS section, with ACME or KeyCerts."},
	{Software: "maddy", Do: "tls file fullchain.pem privkey.pem"},
	{Software: "chasquid", Do: "Put fullchain.pem and privkey.pem below certs/HOST/."},
	{Software: "OpenSMTPD", Do: "Declare a pki and add \"tls pki NAME\" to the listen line."},
	{Software: "Go programs", Do: "Set TLSConfig of the smtp.Server."},
	{Software: everySoftware, Do: "Give the server a certificate and let it offer STARTTLS: mail comes in the clear now, and senders with a policy do not deliver at all."},
}
