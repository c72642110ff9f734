package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/interop"
	"postern/sessionticket/strictclient"
)

// checkPersonas reports the personas that failed. If no client completes a handshake, no
// persona is reported: see checkHealthy.
func checkPersonas(p *addressProbe) []Finding {
	completed := func(r Run) bool { return r.Outcome == Completed }
	if !p.alone && !p.first.Completed && !slices.ContainsFunc(p.runs, completed) {
		return nil
	}
	var found []Finding
	inconclusive := 0
	for i := range p.runs {
		r := &p.runs[i]
		switch {
		case r.Outcome == Inconclusive && !errors.Is(r.Err, ErrTimeUp): // else see checkTimeUp
			inconclusive++
		case r.Outcome == Completed && p.alone:
			found = append(found, okFinding("completed", "Senders like "+r.Persona.ID+" complete the TLS handshake"))
		case r.Outcome == Failed && !p.alone && p.sizeExplains(r):
		case r.Outcome == Failed && (p.alone || r.Persona.Case != "certificate-refused"): // else see checkCertificate
			found = append(found, p.failed(r))
		}
	}
	stopped := p.last != nil && !p.last.Completed // see checkStillUp
	if p.alone {
		stopped = len(checkReachable(p)) > 0 || len(checkOffersTLS(p)) > 0 // which have said it
	}
	if inconclusive > 0 && !stopped {
		found = append(found, Finding{
			ID: "inconclusive", Severity: Unclear,
			Title:    fmt.Sprintf("%d of %d senders could not be tested", inconclusive, len(p.runs)),
			Evidence: []string{p.inconclusiveReason()},
			Advice:   forAll("Allow more connections from the address of this machine, or try again later."),
		})
	}
	return found
}

// sizeExplains reports whether r offered ML-DSA in a ClientHello of a size that fails without
// it too: then big-hello is the finding.
func (p *addressProbe) sizeExplains(r *Run) bool {
	return r.Persona.ID == "ml-dsa-hello" && slices.ContainsFunc(p.runs, func(other Run) bool {
		return other.Persona.ID == "big-hello" && other.Outcome == Failed
	})
}

// inconclusiveReason returns why the first inconclusive run did not reach the handshake.
func (p *addressProbe) inconclusiveReason() string {
	for _, r := range p.runs {
		if r.Outcome == Inconclusive && r.Err != nil && !errors.Is(r.Err, ErrTimeUp) {
			return r.Persona.ID + ": " + errorText(r.Err)
		}
	}
	return "the server did not answer"
}

// failed returns the finding about a persona that failed.
func (p *addressProbe) failed(r *Run) Finding {
	f := Finding{
		ID: r.Persona.ID, Severity: Warning, Transcript: r.Transcript,
		Title:    failedTitle(r),
		Evidence: p.failedEvidence(r),
		Advice:   forAll("Look at the handshake diagram (--verbose), and allow what this sender needs."),
	}
	if r.Persona.Healthy {
		f.Severity = Critical
	}
	if known, ok := interop.Find(r.Persona.Case); ok {
		f.Case, f.Sources = known, sourceURLs(known)
		if advice := p.software.adviceOn(known); len(advice) > 0 {
			f.Advice = advice
		}
	}
	if advice, ok := personaAdvice[r.Persona.ID]; ok {
		f.Advice = forAll(advice)
	}
	for _, id := range []string{r.Persona.Case, r.Persona.ID} {
		if severity, ok := personaSeverity[id]; ok {
			f.Severity = severity
		}
	}
	return f
}

// failedTitle says that a persona fails, why that may be right, and which senders behave
// like it.
func failedTitle(r *Run) string {
	title := "Senders like " + r.Persona.ID + " fail over TLS"
	if r.Plaintext {
		title += " and fall back to plaintext"
	}
	if reason, ok := personaReason[r.Persona.ID]; ok {
		title += ", " + reason
	}
	if known, ok := interop.Find(r.Persona.Case); ok {
		if clients := strings.TrimPrefix(strings.TrimPrefix(known.Clients, "not known"), "; "); clients != "" {
			title += ": " + clients
		}
	}
	return title
}

// failedEvidence says how a run ended, and what is remarkable about its handshake.
func (p *addressProbe) failedEvidence(r *Run) []string {
	var seen []string
	if r.Transcript != nil {
		seen = append(seen, r.Transcript.DescribeEnd())
		diagnoses, _ := interop.Diagnose(r.Transcript)
		for _, d := range diagnoses {
			if d.Case.ID == r.Persona.Case {
				for _, o := range d.Observations {
					seen = append(seen, o.Text)
				}
			}
		}
	}
	if r.Err != nil && (r.Transcript == nil || !inTranscript(r.Err)) {
		seen = append(seen, errorText(r.Err))
	}
	if p.alone {
		seen = append(seen, "no other client ran beside it: it may not be the only one that fails")
	}
	return seen
}

// inTranscript reports whether a transcript also shows an error: an alert of the server, or
// an early ticket.
func inTranscript(err error) bool {
	return strings.Contains(err.Error(), "remote error: ") || errors.Is(err, strictclient.ErrEarlyTicket)
}

// personaSeverity is the severity of the failure of a case's persona, or of the persona of
// that ID, by the senders that behave like it today. Others are a Warning.
var personaSeverity = map[string]Severity{
	"early-ticket": Critical, // outlook.com
	"big-hello":    Critical, // senders with post-quantum keys, more each month
	"ml-dsa-hello": Critical, // senders built with Go 1.27
	"tls12-only":   Critical, // many gateways

	// These fail with any server that sends tickets, Postfix among them. No mail sender is
	// known to do so.
	"ticket-after-finished":    Notice,
	"ticket-surprises-client":  Notice,
	"schannel-tls12-ticket":    Notice,
	"leaves-after-handshake":   Notice,
	"client-certificate-asked": Notice,

	// RFC 8996 and RFC 9155 require servers not to offer what these need.
	"tls10-only":           Notice,
	"sha1-signatures-only": Notice,
	"sslv2-hello":          Notice,
	"no-shared-suite":      Notice,
	"hello-retry-refused":  Notice,
	"group-mismatch":       Notice, // P-256 is mandatory (RFC 8446, Section 9.1)

	"ticket-without-psk-modes": Notice, // OpenSSL behaves so to all clients
	"sni-trailing-dot":         Notice, // forbidden by RFC 6066, Section 3
}

// personaReason says why the failure of a persona is expected, so that operators do not look
// for a fault.
var personaReason = map[string]string{
	"ticket-after-finished":    "as with any server that sends session tickets",
	"ticket-surprises-client":  "as with any server that sends session tickets",
	"ticket-with-data":         "as with any server that sends a session ticket with its first reply",
	"ticket-without-psk-modes": "as with other OpenSSL servers",
	"tls10-only":               "as RFC 8996 requires",
	"sha1-signatures-only":     "as RFC 9155 requires",
	"group-mismatch":           "since they lack P-256, which is mandatory",
	"sni-trailing-dot":         "as RFC 6066 allows",
}

// personaAdvice is for personas that have no case, or that the advice of their case does not
// help.
var personaAdvice = map[string]string{
	"tls12-only": "Enable TLS 1.2 in addition to TLS 1.3: many gateways have nothing newer.",
	"ticket-without-psk-modes": "Nothing to do. RFC 8446, Section 4.2.9 forbids tickets to clients that cannot use them; OpenSSL sends them anyway and has no setting " +
		"for it (nurl-lang/nurl#1057). No mail sender is known to fail.",
	"sni-trailing-dot": "Nothing to do. RFC 6066, Section 3 forbids the dot, so a server may refuse it. Servers in Go do, and have no setting for it. The sender may fall back to plaintext.",
}
