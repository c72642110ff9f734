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

// checkOffersTLS reports a server without STARTTLS.
func checkOffersTLS(p *addressProbe) []Finding {
	if !errors.Is(p.first.Err, persona.ErrNoTLS) {
		return nil
	}
	return []Finding{{
		ID: "no-starttls", Severity: Warning,
		Title:    "STARTTLS is not offered",
		Evidence: []string{fmt.Sprintf("reply to EHLO: %+q", p.first.EHLO)},
		Advice:   p.software.pick(startTLSAdvice),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc3207"},
	}}
}

// checkHealthy reports whether the server offers TLS, and whether a healthy client completes
// the handshake.
func checkHealthy(p *addressProbe) []Finding {
	r := p.first
	switch {
	case r.Completed:
		return []Finding{okFinding("healthy", "A healthy client completes the TLS handshake")}
	case errors.Is(r.Err, persona.ErrNoTLS):
		return checkOffersTLS(p)
	case r.Stage < persona.AtSTARTTLS:
		return nil
	}
	seen := []string{errorText(r.Err)}
	if r.Transcript != nil {
		seen = append(seen, r.Transcript.DescribeEnd())
		if tickets := ticketsIn(r.Transcript); len(tickets) > 2 {
			seen = append(seen, fmt.Sprintf("after %d session tickets", len(tickets)))
		}
	}
	return []Finding{{
		ID: "healthy", Severity: Critical,
		Title:      "Even a healthy client fails over TLS",
		Evidence:   seen,
		Advice:     p.software.pick(handshakeAdvice),
		Transcript: r.Transcript,
	}}
}

var handshakeAdvice = []interop.Advice{
	{Software: "OpenSMTPD", Action: "Install version 7.3 or later. Earlier ones do not work with OpenSSL 3, and end each handshake with internal_error (OpenSMTPD/OpenSMTPD#1171). " +
		"Debian 12 has a later one in bookworm-backports. If this is not the cause, look at the server's log."},
	{Software: allSoftware, Action: "Look at the server's log. The usual cause is a certificate or key that cannot be loaded."},
}

var startTLSAdvice = []interop.Advice{
	{Software: "Postfix", Action: "Set smtpd_tls_security_level = may, and name the certificate in smtpd_tls_chain_files."},
	{Software: "Exim", Action: "Set tls_advertise_hosts = *, and name the certificate in tls_certificate and tls_privatekey."},
	{Software: "mox", Action: "Add a TLS section with ACME or KeyCerts to the listener."},
	{Software: "maddy", Action: "Add the line tls file fullchain.pem privkey.pem"},
	{Software: "chasquid", Action: "Put fullchain.pem and privkey.pem in certs/HOST/."},
	{Software: "OpenSMTPD", Action: "Declare a pki and add \"tls pki NAME\" to the listen line."},
	{Software: "Go programs", Action: "Set TLSConfig of the smtp.Server."},
	{Software: allSoftware, Action: "Install a certificate and enable STARTTLS. Without it mail arrives in plaintext, and senders that require TLS do not deliver at all."},
}

// checkVersion reports the TLS version and key exchange that a healthy client negotiates.
func checkVersion(p *addressProbe) []Finding {
	if !p.first.Completed || p.first.Transcript == nil || p.first.Transcript.ServerHello == nil {
		return nil
	}
	hello := p.first.Transcript.ServerHello
	negotiated := fmt.Sprintf("%s, %s, %s", hello.Version, hello.Suite, hello.Group)
	var found []Finding
	if hello.Version < tls.VersionTLS13 {
		found = append(found, Finding{
			ID: "tls13", Severity: Notice, Title: "TLS 1.3 is not offered", Evidence: []string{"negotiated: " + negotiated},
			Advice:  forAll("Enable TLS 1.3. Current TLS libraries do so by default."),
			Sources: []string{"https://www.rfc-editor.org/rfc/rfc9325#section-3.1.1"},
		})
	} else {
		found = append(found, okFinding("tls13", "TLS 1.3", negotiated))
	}
	if isPostQuantum(hello.Group) {
		return append(found, okFinding("post-quantum", "The key exchange is post-quantum", hello.Group.String()))
	}
	return append(found, Finding{
		ID: "post-quantum", Severity: Notice, Title: "The key exchange is not post-quantum",
		Evidence: []string{"the client offers X25519MLKEM768, the server selects " + hello.Group.String()},
		Advice:   forAll("OpenSSL 3.5, GnuTLS 3.8.9, Go 1.24 and later enable X25519MLKEM768 by default. No sender fails without it."),
		Sources:  []string{"https://datatracker.ietf.org/doc/draft-ietf-tls-ecdhe-mlkem/"},
	})
}

// isPostQuantum reports whether a group is a hybrid with ML-KEM: SecP256r1MLKEM768,
// X25519MLKEM768 or SecP384r1MLKEM1024.
func isPostQuantum(group handshake.Group) bool { return group >= 0x11eb && group <= 0x11ed }

// mask matches what inspecting firewalls put in place of keywords that they do not support.
var mask = regexp.MustCompile(`^(?:\*{4,}.*|X{4,}[A-Z]?)$`)

// checkFirewall reports the traces of a firewall that modifies SMTP.
func checkFirewall(p *addressProbe) []Finding {
	lines := slices.Concat(strings.Split(withoutCodes(p.first.Greeting), "\n"), strings.Split(withoutCodes(p.first.EHLO), "\n"))
	i := slices.IndexFunc(lines, mask.MatchString)
	if i < 0 {
		return nil
	}
	known, _ := interop.Find("inspected-by-firewall")
	return []Finding{{
		ID: known.ID, Severity: Warning, Case: known,
		Title:    "A firewall modifies the server's replies",
		Evidence: []string{fmt.Sprintf("reply %+q", lines[i])},
		Advice:   known.Remedy.OtherSoftware, Sources: sourceURLs(known),
	}}
}

// injectionCase is the case and the persona of commands injected behind STARTTLS.
const injectionCase = "plaintext-after-starttls"

// checkInjection reports whether a plaintext command behind STARTTLS was executed.
func checkInjection(p *addressProbe) []Finding {
	r := p.runOf(injectionCase)
	if r == nil || r.Outcome == Inconclusive || p.target.Protocol.Implicit() {
		return nil
	}
	if !r.Injected {
		return []Finding{okFinding("injection", "A plaintext command behind STARTTLS is not executed")}
	}
	known, _ := interop.Find(r.Persona.ID)
	return []Finding{{
		ID: "injection", Severity: Critical, Case: known, Transcript: r.Transcript,
		Title:    "A plaintext command behind STARTTLS is executed over TLS (CVE-2011-0411)",
		Evidence: []string{"a NOOP sent in the same write as STARTTLS was answered over TLS"},
		Advice:   p.software.adviceOn(known), Sources: sourceURLs(known),
	}}
}
