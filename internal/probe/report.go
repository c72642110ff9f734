package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/safetext"
	"postern/interop"
)

// A Report is what became of a target.
type Report struct {
	Target   string // as it was given
	Domain   string // the domain whose MX hosts were examined; empty: a host was named
	Start    time.Time
	Duration time.Duration
	Hosts    []*Host

	Findings []Finding // about the domain, or its hosts together, the worst first

	mx *answer // of a domain: its MX records
}

// A Host is one that takes mail for the target.
type Host struct {
	Name       string // without a dot at its end; an address where that was given
	Preference uint16 // of its MX record
	Addresses  []*Address

	signed *answer // how its addresses stand with DNSSEC; nil until they are looked up
}

// An Address is one address of a host, and what was found out there.
type Address struct {
	Addr     netip.AddrPort
	Software Software
	Runs     []Run     // in the order of the personas
	Findings []Finding // the worst first

	exam *exam
}

// A Run is what became of a persona.
type Run struct {
	Persona *persona.Persona
	*persona.Result
	Outcome Outcome
}

// Reason is why the client did not get in, without what could move a terminal's cursor;
// empty where nothing went wrong.
func (v *Run) Reason() string {
	if v.Err == nil {
		return ""
	}
	return clean(v.Err)
}

// A Outcome is how a visit ended, seen from whether the sender gets in.
type Outcome uint8

// The outcomes.
const (
	Completed    Outcome = iota // it got in
	Failed                      // it came to TLS and did not get in
	Refused                     // it was turned away, as it should be
	Inconclusive                // it did not come so far, or the server stopped answering
)

// String returns the outcome as "completed", "failed", "refused" or "inconclusive".
func (f Outcome) String() string {
	return [...]string{"completed", "failed", "refused", "inconclusive"}[min(f, Inconclusive)]
}

// AllFindings returns all findings of the report, the worst first.
func (r *Report) AllFindings() []Finding {
	all := append([]Finding(nil), r.Findings...)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			all = append(all, a.Findings...)
		}
	}
	byWeight(all)
	return all
}

// ipv4 reports whether one of the addresses is an IPv4 one.
func (r *Report) ipv4() bool {
	return slices.ContainsFunc(r.Hosts, func(h *Host) bool {
		return slices.ContainsFunc(h.Addresses, func(a *Address) bool { return a.Addr.Addr().Is4() })
	})
}

// Severity is that of the worst finding.
func (r *Report) Severity() Severity { return worst(r.AllFindings()) }

// A Finding is one thing that was found out about a server or a domain.
type Finding struct {
	// ID is the same for the same kind of finding in all reports: lower-case words
	// joined by hyphens. Where it tells of a case, it is the case's.
	ID       string
	Severity Severity
	Title    string // one line, without a full stop

	// Evidence is what was seen, a clause each. What strangers wrote stands in it
	// as in a Go string, so that no control character comes from them.
	Evidence []string

	// Advice is what to do, in the words of the software that was recognised; for
	// software that was not, of all that there is advice for.
	Advice  []interop.Advice
	Sources []string // URLs

	Case       *interop.Case         // the known case that it is an instance of, or nil
	Transcript *handshake.Transcript // the handshake that shows it, or nil
}

// worst returns the highest severity of findings.
func worst(findings []Finding) Severity {
	severity := OK
	for _, f := range findings {
		severity = max(severity, f.Severity)
	}
	return severity
}

// byWeight puts the worst first and leaves the rest in its order.
func byWeight(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
}

// fine is a finding about what is as it should be.
func fine(id, title string, evidence ...string) Finding {
	return Finding{ID: id, Severity: OK, Title: title, Evidence: evidence}
}

// maxQuoted bounds what is quoted of one line from a server, in characters.
const maxQuoted = 120

func quoted(s string) string { return safetext.Quote(s, maxQuoted) }

// clean returns the text of an error, which may quote a server.
func clean(err error) string {
	return safetext.Shorten(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "dnssec: "), 3*maxQuoted)
}

// sourcesOf lists the addresses of a case's sources.
func sourcesOf(c *interop.Case) []string {
	urls := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		urls[i] = s.URL
	}
	return urls
}

// Severity is how much a finding matters, in rising order.
type Severity uint8

// The severities.
const (
	// OK: as it should be.
	OK Severity = iota
	// Notice: worth knowing, nothing to mend today.
	Notice
	// Unclear: it could not be told, since something did not answer.
	Unclear
	// Warning: some senders fail, or soon will.
	Warning
	// Critical: senders that bring much mail fail.
	Critical
)

var severityNames = [...]string{"ok", "notice", "unclear", "warning", "critical"}

// String returns the severity in one word, "critical".
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity %d", uint8(s))
}
