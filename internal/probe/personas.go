package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/interop"
	"postern/sessionticket/strictclient"
)

// personas tells which senders are kept out. Where nobody gets in there is nothing to
// be said of one: see offered.
func personas(e *exam) []Finding {
	if !e.lets() {
		return nil
	}
	var found []Finding
	inconclusive := 0
	for i := range e.visits {
		v := &e.visits[i]
		switch {
		case v.Outcome == Inconclusive:
			inconclusive++
		case v.Outcome == Failed && v.Persona.Case != "certificate-refused": // see certificate
			found = append(found, e.keptOut(v))
		}
	}
	if inconclusive > 0 && e.last != nil && e.last.Completed {
		found = append(found, Finding{
			ID: "inconclusive", Severity: Unclear,
			Title:    fmt.Sprintf("%d of %d senders could not be tried", inconclusive, len(e.visits)),
			Evidence: []string{e.reason()},
			Advice:   everyone("Let the address of this machine have more connections, or try again later."),
		})
	}
	return found
}

// lets tells whether the server lets anybody in.
func (e *exam) lets() bool {
	return e.first.Completed || slices.ContainsFunc(e.visits, func(v Run) bool { return v.Outcome == Completed })
}

// reason is why the first inconclusive visit did not come to TLS.
func (e *exam) reason() string {
	for _, v := range e.visits {
		if v.Outcome == Inconclusive && v.Err != nil {
			return v.Persona.ID + ": " + clean(v.Err)
		}
	}
	return "the server did not answer"
}

// weights are how bad it is when the sender of a case, or the persona of that ID, is
// kept out. What stands here is judged by who sends so today; others are a Warning.
var weights = map[string]Severity{
	"early-ticket": Critical, // outlook.com
	"big-hello":    Critical, // senders with post-quantum keys, more each month
	"tls12-only":   Critical, // many a gateway

	// Any server that gives tickets keeps these out, Postfix among them; nobody has
	// shown a sender of mail that does so.
	"ticket-after-finished":    Notice,
	"ticket-surprises-client":  Notice,
	"schannel-tls12-ticket":    Notice,
	"leaves-after-handshake":   Notice,
	"client-certificate-asked": Notice,

	// Not offering what these need is what the RFCs ask for (RFC 8996, RFC 9155).
	"tls10-only":           Notice,
	"sha1-signatures-only": Notice,
	"sslv2-hello":          Notice,
	"no-shared-suite":      Notice,
	"hello-retry-refused":  Notice,
	"group-mismatch":       Notice, // P-256 is the group that all must have (RFC 8446, Section 9.1)

	"ticket-without-psk-modes": Notice, // what OpenSSL does to all
	"sni-trailing-dot":         Notice, // forbidden by RFC 6066, Section 3
}

// reasons are why it is well that a persona is kept out. Else who reads of it would look
// for what to mend.
var reasons = map[string]string{
	"ticket-after-finished":    "as at any server that gives tickets",
	"ticket-surprises-client":  "as at any server that gives tickets",
	"ticket-without-psk-modes": "as at other servers with OpenSSL",
	"tls10-only":               "as RFC 8996 has it",
	"sha1-signatures-only":     "as RFC 9155 has it",
	"group-mismatch":           "since they lack P-256, which all must have",
	"sni-trailing-dot":         "as RFC 6066 allows",
}

// ownAdvice is for personas that have no case, or are a variant that the advice of
// their case does not help.
var ownAdvice = map[string]string{
	"tls12-only": "Allow TLS 1.2 beside TLS 1.3: many a gateway has nothing newer.",
	"ticket-without-psk-modes": "RFC 8446, Section 4.2.9 keeps tickets from clients that cannot use them. OpenSSL sends them all the same and has no setting " +
		"for it (nurl-lang/nurl#1057); no sender of mail is known to mind.",
	"sni-trailing-dot": "RFC 6066, Section 3 forbids the dot, so a server may refuse it. Servers in Go do, and have no setting for it; the sender may come back in plaintext.",
}

// keptOut is the finding about a persona that did not get in.
func (e *exam) keptOut(v *Run) Finding {
	f := Finding{
		ID: v.Persona.ID, Severity: Warning, Transcript: v.Transcript,
		Title:  title(v),
		Advice: everyone("Look at the drawing of the handshake, and allow what this sender needs."),
	}
	if v.Persona.Healthy {
		f.Severity = Critical
	}
	if known, ok := interop.Find(v.Persona.Case); ok {
		f.Case, f.Sources = known, sourcesOf(known)
		if advice := e.software.adviceOn(known); len(advice) > 0 {
			f.Advice = advice
		}
	}
	if advice, ok := ownAdvice[v.Persona.ID]; ok {
		f.Advice = everyone(advice)
	}
	for _, id := range []string{v.Persona.Case, v.Persona.ID} {
		if weight, ok := weights[id]; ok {
			f.Severity = weight
		}
	}
	f.Evidence = append(f.Evidence, evidence(v)...)
	return f
}

// title says that a persona is kept out, why that is well, and who is like it.
func title(v *Run) string {
	title := "Senders like " + v.Persona.ID + " do not get in"
	if v.Plaintext {
		title += " over TLS and come back in plaintext"
	}
	if reason, ok := reasons[v.Persona.ID]; ok {
		title += ", " + reason
	}
	if known, ok := interop.Find(v.Persona.Case); ok {
		if who := strings.TrimPrefix(strings.TrimPrefix(known.Clients, "not known"), "; "); who != "" {
			title += ": " + who
		}
	}
	return title
}

// evidence is how a visit ended, and what is remarkable about its handshake.
func evidence(v *Run) []string {
	var seen []string
	if v.Transcript != nil {
		seen = append(seen, v.Transcript.DescribeEnd())
		diagnoses, _ := interop.Diagnose(v.Transcript)
		for _, d := range diagnoses {
			if d.Case.ID == v.Persona.Case {
				for _, o := range d.Observations {
					seen = append(seen, o.Text)
				}
			}
		}
	}
	if v.Err != nil && (v.Transcript == nil || !shown(v.Err)) {
		seen = append(seen, clean(v.Err))
	}
	return seen
}

// shown tells of an error that a transcript shows as well: an alert of the server's, or
// that its ticket came early.
func shown(err error) bool {
	return strings.Contains(err.Error(), "remote error: ") || errors.Is(err, strictclient.ErrEarlyTicket)
}
