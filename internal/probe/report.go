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

// A Report is the result of probing a target.
type Report struct {
	Target   string // as given
	Domain   string // the domain whose MX hosts were probed; empty if the target is a host
	Start    time.Time
	Duration time.Duration
	Hosts    []*Host

	Findings []Finding // about the domain, or about its hosts together, the worst first

	mx     *answer       // the MX records of a domain
	limit  time.Duration // of the probe
	unmade []string      // checks of Findings that were not made because time was up
}

// A Host is a host that receives mail for the target.
type Host struct {
	Name       string // without a final dot; an address if that was given
	Preference uint16 // of its MX record
	Addresses  []*Address

	dnssec *answer // the least secure of its A and AAAA answers
}

// An Address is one address of a host.
type Address struct {
	Addr     netip.AddrPort
	Software Software
	Runs     []Run     // in the order of the personas
	Findings []Finding // the worst first

	probe *addressProbe
}

// A Run is one run of a persona against an address.
type Run struct {
	Persona *persona.Persona
	*persona.Result
	Outcome Outcome

	// Again is the run after it in which it offered its session: see [Prober.Resume]. It is
	// nil if there was none.
	Again *persona.Result

	began time.Time
}

// Resumption says what happened to the session of a persona that offered it again: "resumed",
// "full" if the server made a full handshake instead, "failed", or nothing if it offered none.
func (r *Run) Resumption() string {
	switch {
	case r.Again == nil || r.Again.Stage < persona.AtHandshake:
		return ""
	case !r.Again.Completed:
		return "failed"
	case r.Again.TLS.DidResume:
		return "resumed"
	case !offeredSession(r.Again):
		return ""
	}
	return "full"
}

// Classify returns the run of p with its outcome, as if the server stayed up.
func Classify(p *persona.Persona, r *persona.Result) Run {
	run := Run{Persona: p, Result: r, Outcome: Failed}
	switch {
	case r.Completed:
		run.Outcome = Completed
	case p.Case == injectionCase && r.Stage >= persona.AtSTARTTLS && !r.Injected:
		run.Outcome = Refused // RFC 3207, Section 6 lets a server discard the command; refusing is as good
	case r.Stage < persona.AtHandshake:
		run.Outcome = Inconclusive
	}
	return run
}

// Reason returns the error of the run, safe to print; empty if there is none.
func (r *Run) Reason() string {
	if r.Err == nil {
		return ""
	}
	return errorText(r.Err)
}

// An Outcome is how a run ended.
type Outcome uint8

// The outcomes.
const (
	Completed    Outcome = iota // handshake completed, and a command answered over TLS
	Failed                      // failed in the handshake or after it
	Refused                     // refused by the server, as it should be
	Inconclusive                // failed before the handshake, or the server stopped answering
)

// String returns "completed", "failed", "refused" or "inconclusive".
func (o Outcome) String() string {
	return [...]string{"completed", "failed", "refused", "inconclusive"}[min(o, Inconclusive)]
}

// AllFindings returns the findings of the report and of all addresses, the worst first.
func (r *Report) AllFindings() []Finding {
	all := append([]Finding(nil), r.Findings...)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			all = append(all, a.Findings...)
		}
	}
	sortFindings(all)
	return all
}

// Severity returns the severity of the worst finding.
func (r *Report) Severity() Severity { return worst(r.AllFindings()) }

// hasIPv4 reports whether the target has an IPv4 address.
func (r *Report) hasIPv4() bool {
	return slices.ContainsFunc(r.Hosts, func(h *Host) bool {
		return slices.ContainsFunc(h.Addresses, func(a *Address) bool { return a.Addr.Addr().Is4() })
	})
}

// A Finding is one result of a probe about a server or a domain.
type Finding struct {
	// ID is the same for the same kind of finding in all reports: lower-case words joined
	// by hyphens. A finding about a case may have the case's.
	ID       string
	Severity Severity
	Title    string // one line, without a full stop

	// Evidence is what was observed, a clause each. Text from servers is quoted as in Go.
	Evidence []string

	// Advice is what to do, for the software that was recognised; otherwise for all
	// software that there is advice for.
	Advice  []interop.Advice
	Sources []string // URLs

	// Accepted is the severity of a problem that the operator accepts, whose Severity is
	// [Notice]. It is OK of all others.
	Accepted Severity

	Case       *interop.Case         // the known case that it is an instance of, or nil
	Transcript *handshake.Transcript // the handshake that shows it, or nil
}

// okFinding returns a finding of severity OK.
func okFinding(id, title string, evidence ...string) Finding {
	return Finding{ID: id, Severity: OK, Title: title, Evidence: evidence}
}

// worst returns the highest severity of findings.
func worst(findings []Finding) Severity {
	severity := OK
	for _, f := range findings {
		severity = max(severity, f.Severity)
	}
	return severity
}

// sortFindings sorts findings by severity, the worst first.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
}

// Severity is how much a finding matters, in rising order.
type Severity uint8

// The severities.
const (
	// OK: as it should be.
	OK Severity = iota
	// Notice: worth knowing, nothing to fix today.
	Notice
	// Unclear: inconclusive, because something did not answer.
	Unclear
	// Warning: some senders fail, or soon will.
	Warning
	// Critical: senders of much mail fail.
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

// maxQuoted bounds what is quoted of one line from a server, in characters.
const maxQuoted = 120

func quoted(s string) string { return safetext.Quote(s, maxQuoted) }

// errorText returns the text of an error, which may quote a server, safe to print.
func errorText(err error) string {
	return safetext.Shorten(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "dnssec: "), 3*maxQuoted)
}

// sourceURLs returns the URLs of a case's sources.
func sourceURLs(c *interop.Case) []string {
	urls := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		urls[i] = s.URL
	}
	return urls
}
