package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"postern/handshake"
	"postern/internal/persona"
	"postern/interop"
)

// offered tells whether the server offers TLS and whether a healthy client gets in.
func offered(e *exam) []Finding {
	v := e.first
	switch {
	case v.Completed:
		return []Finding{fine("healthy", "A healthy client gets in")}
	case errors.Is(v.Err, persona.ErrNoTLS):
		return []Finding{notOffered(e)}
	case v.Stage < persona.AtSTARTTLS:
		return nil
	}
	seen := []string{clean(v.Err)}
	if v.Transcript != nil {
		seen = append(seen, v.Transcript.DescribeEnd())
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
	{Software: "OpenSMTPD", Action: "Versions before 7.3 do not get on with OpenSSL 3, and end each handshake with internal_error (OpenSMTPD/OpenSMTPD#1171): " +
		"take a later one. Debian 12 has it in bookworm-backports. Else look into the log at this time."},
	{Software: everySoftware, Action: "Look into the server's log at this time; a certificate or key that cannot be loaded is the usual cause."},
}

var startTLSAdvice = []interop.Advice{
	{Software: "Postfix", Action: "smtpd_tls_security_level = may, and name the certificate in smtpd_tls_chain_files."},
	{Software: "Exim", Action: "tls_advertise_hosts = *, and name the certificate in tls_certificate and tls_privatekey."},
	{Software: "mox", Action: "Give the listener a TLS section, with ACME or KeyCerts."},
	{Software: "maddy", Action: "tls file fullchain.pem privkey.pem"},
	{Software: "chasquid", Action: "Put fullchain.pem and privkey.pem below certs/HOST/."},
	{Software: "OpenSMTPD", Action: "Declare a pki and add \"tls pki NAME\" to the listen line."},
	{Software: "Go programs", Action: "Set TLSConfig of the smtp.Server."},
	{Software: everySoftware, Action: "Give the server a certificate and let it offer STARTTLS: mail comes in the clear now, and senders with a policy do not deliver at all."},
}

// versions tells what a healthy client and the server agree on.
func versions(e *exam) []Finding {
	if !e.first.Completed || e.first.Transcript == nil || e.first.Transcript.ServerHello == nil {
		return nil
	}
	c := e.first.Transcript.ServerHello
	chosen := fmt.Sprintf("%s, %s, %s", c.Version, c.Suite, c.Group)
	var found []Finding
	if c.Version < tls.VersionTLS13 {
		found = append(found, Finding{
			ID: "tls13", Severity: Notice, Title: "TLS 1.3 is not offered", Evidence: []string{"chosen: " + chosen},
			Advice:  everyone("Allow TLS 1.3: a current TLS library has it on by itself."),
			Sources: []string{"https://www.rfc-editor.org/rfc/rfc9325#section-3.1.1"},
		})
	} else {
		found = append(found, fine("tls13", "TLS 1.3", chosen))
	}
	if postQuantum(c.Group) {
		return append(found, fine("post-quantum", "The key exchange is post-quantum", c.Group.String()))
	}
	return append(found, Finding{
		ID: "post-quantum", Severity: Notice, Title: "The key exchange is not post-quantum",
		Evidence: []string{"X25519MLKEM768 was offered, chosen was " + c.Group.String()},
		Advice:   everyone("OpenSSL 3.5, GnuTLS 3.8.9 and Go 1.24, or later, have X25519MLKEM768 on by themselves. No sender is kept out without."),
		Sources:  []string{"https://datatracker.ietf.org/doc/draft-ietf-tls-ecdhe-mlkem/"},
	})
}

// postQuantum tells of the hybrid groups with ML-KEM: SecP256r1MLKEM768,
// X25519MLKEM768 and SecP384r1MLKEM1024.
func postQuantum(group handshake.Group) bool { return group >= 0x11eb && group <= 0x11ed }

// mask is what inspecting firewalls make of what they do not know.
var mask = regexp.MustCompile(`^(?:\*{4,}.*|X{4,}[A-Z]?)$`)

// masked looks for the marks of a firewall that rewrites SMTP.
func masked(e *exam) []Finding {
	lines := slices.Concat(strings.Split(withoutCodes(e.first.Greeting), "\n"), strings.Split(withoutCodes(e.first.EHLO), "\n"))
	i := slices.IndexFunc(lines, mask.MatchString)
	if i < 0 {
		return nil
	}
	known, _ := interop.Find("inspected-by-firewall")
	return []Finding{{
		ID: known.ID, Severity: Warning, Case: known,
		Title:    "A firewall rewrites what the server says",
		Evidence: []string{fmt.Sprintf("it says %+q", lines[i])},
		Advice:   known.Remedy.OtherSoftware, Sources: sourcesOf(known),
	}}
}

// injectionCase is the case, and the persona, of commands behind STARTTLS.
const injectionCase = "plaintext-after-starttls"

// executed tells whether a command in clear behind STARTTLS was obeyed.
func executed(e *exam) []Finding {
	v := e.visit(injectionCase)
	if v == nil || v.Outcome == Inconclusive || e.target.Protocol.Implicit() {
		return nil
	}
	if !v.Injected {
		return []Finding{fine("injection", "A command in clear behind STARTTLS is not executed")}
	}
	known, _ := interop.Find(v.Persona.ID)
	return []Finding{{
		ID: "injection", Severity: Critical, Case: known, Transcript: v.Transcript,
		Title:    "A command in clear behind STARTTLS is executed over TLS (CVE-2011-0411)",
		Evidence: []string{"a NOOP was sent in the same write as STARTTLS, and its reply came"},
		Advice:   e.software.adviceOn(known), Sources: sourcesOf(known),
	}}
}
