package tlsrptexplain

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/interop"
)

// Records is what a probe finds now: the domain's DNS records, policy and servers.
type Records struct {
	Domain     string          // that was probed
	NotChecked string          // why it was not probed; the rest is empty then
	Hosts      []string        // the MX hosts
	Problems   []probe.Finding // most severe first
	Unclear    []string        // titles of the checks that were inconclusive
	Passed     []string        // titles of the domain's checks without problems
}

// Personas returns the personas to probe a domain with: those of the cases that a report
// may be about. The probe adds a healthy client. Where ticket-in-finished-read fails,
// early-ticket fails too.
func Personas() (all []*persona.Persona) {
	for _, p := range persona.All() {
		if p.ID == "early-ticket" || p.Case == "big-hello" {
			all = append(all, p)
		}
	}
	return all
}

// records probes the domain whose mail a policy is about.
func (x Explainer) records(ctx context.Context, q Question, d policyDomain) Records {
	now := Records{Domain: d.mailOf}
	if now.NotChecked = x.whyNotProbed(q, d); now.NotChecked != "" {
		return now
	}
	report, err := x.Prober.Probe(ctx, now.Domain)
	if err != nil {
		now.NotChecked = err.Error()
		return now
	}
	for _, h := range report.Hosts {
		now.Hosts = append(now.Hosts, h.Name)
	}
	for _, f := range report.AllFindings() {
		switch {
		case f.Severity >= probe.Warning:
			now.Problems = append(now.Problems, f)
		case f.Severity == probe.Unclear:
			now.Unclear = append(now.Unclear, f.Title)
		}
	}
	for _, f := range report.Findings {
		if f.Severity == probe.OK {
			now.Passed = append(now.Passed, f.Title)
		}
	}
	return now
}

// whyNotProbed says why the domain is not probed, or returns "". A report can name any
// domain: a forged one must not make Postern probe other people's servers.
func (x Explainer) whyNotProbed(q Question, d policyDomain) string {
	switch {
	case d.mailOf == "":
		return "the report names no domain"
	case d.owner == strangers:
		return d.why
	case d.why != "" && d.owner != ours:
		return d.why + ", so " + named(d.mailOf) + " may be one of them or somebody else's"
	case x.Prober == nil:
		return cmp.Or(x.Offline, "there is no network")
	case q.Domains == nil && !q.Verified:
		return "the report is not verified, and your domains are not known (--config)"
	}
	return ""
}

// hasMX reports whether a host is an MX host of the domain.
func (r Records) hasMX(host string) bool {
	return slices.ContainsFunc(r.Hosts, func(mx string) bool { return sameName(mx, host) })
}

// problem returns the most severe problem with one of the IDs.
func (r Records) problem(ids []string) (probe.Finding, bool) {
	return r.find(func(f probe.Finding) bool { return slices.Contains(ids, f.ID) })
}

// problemOfCase returns the problem that shows that clients of a case still fail.
func (r Records) problemOfCase(known *interop.Case) (probe.Finding, bool) {
	return r.find(func(f probe.Finding) bool { return f.Case == known })
}

func (r Records) find(match func(probe.Finding) bool) (probe.Finding, bool) {
	i := slices.IndexFunc(r.Problems, match)
	if i < 0 {
		return probe.Finding{}, false
	}
	return r.Problems[i], true
}

// maxProblems bounds the problems that Lines lists; postern probe lists all.
const maxProblems = 5

// Lines describes the records, one sentence a line, problems first.
func (r Records) Lines() []string {
	if r.NotChecked != "" {
		return []string{"Not checked: " + r.NotChecked + "."}
	}
	var lines []string
	for _, f := range r.Problems[:min(len(r.Problems), maxProblems)] {
		lines = append(lines, f.Title+" ("+f.Severity.String()+").")
	}
	switch more := len(r.Problems) - maxProblems; {
	case more > 0:
		lines = append(lines, fmt.Sprintf("%d more: postern probe %s.", more, named(r.Domain)))
	case len(r.Problems) == 0 && len(r.Unclear) == 0:
		lines = append(lines, "No problems found.")
	case len(r.Problems) == 0:
		lines = append(lines, "No problems found where the probe could check.")
	}
	for _, title := range r.Unclear[:min(len(r.Unclear), maxProblems)] {
		lines = append(lines, title+" (inconclusive).")
	}
	for _, title := range r.Passed {
		lines = append(lines, title+".")
	}
	return lines
}
