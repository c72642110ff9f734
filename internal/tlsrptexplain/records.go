package tlsrptexplain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/internal/probe"
	"postern/internal/smtp"
	"postern/interop"
)

// Records is how the domain's records, policy and servers look now.
type Records struct {
	Domain     string          // that was looked at
	NotChecked string          // why nobody looked, or what did not answer; the rest is empty then
	Hosts      []string        // its MX hosts
	Problems   []probe.Finding // what is to be mended, the worst first
	Passed     []string        // titles of what is as it should be, of the domain
}

// records looks at the domain of a result.
func (x Explainer) records(ctx context.Context, q Question, r Result) Records {
	now := Records{Domain: strings.TrimSuffix(r.Policy.Domain, ".")}
	if now.NotChecked = x.unprobed(q, now.Domain); now.NotChecked != "" {
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
		if f.Severity >= probe.Warning {
			now.Problems = append(now.Problems, f)
		}
	}
	for _, f := range report.Findings {
		if f.Severity == probe.OK {
			now.Passed = append(now.Passed, f.Title)
		}
	}
	return now
}

// unprobed says why a domain is not looked at, if it is not: a report names what domain it
// likes, and servers of strangers are not visited because of that.
func (x Explainer) unprobed(q Question, domain string) string {
	switch {
	case domain == "":
		return "the report names no domain"
	case q.Domains != nil && !q.takes(domain):
		return named(domain) + " is none of the domains that this server takes mail for"
	case x.Prober == nil:
		return "nobody was to ask the network"
	case q.Domains == nil && !q.Verified:
		return "the report is not trusted, and which domains are ours is not known"
	}
	return ""
}

// sameName compares names of hosts or domains.
func sameName(a, b string) bool { return smtp.FoldDomain(a) == smtp.FoldDomain(b) }

// takes tells whether a domain is known to be one of ours.
func (q Question) takes(domain string) bool {
	return slices.ContainsFunc(q.Domains, func(ours string) bool { return sameName(ours, domain) })
}

// serves tells whether a host is an MX host of the domain now.
func (r Records) serves(host string) bool {
	return slices.ContainsFunc(r.Hosts, func(mx string) bool { return sameName(mx, host) })
}

// broken returns the worst finding that has one of the IDs.
func (r Records) broken(ids []string) (probe.Finding, bool) {
	return r.worst(func(f probe.Finding) bool { return slices.Contains(ids, f.ID) })
}

// shows returns what shows now that senders of a case do not get in.
func (r Records) shows(known *interop.Case) (probe.Finding, bool) {
	return r.worst(func(f probe.Finding) bool { return f.Case == known })
}

func (r Records) worst(of func(probe.Finding) bool) (probe.Finding, bool) {
	i := slices.IndexFunc(r.Problems, of)
	if i < 0 {
		return probe.Finding{}, false
	}
	return r.Problems[i], true
}

// maxWrong is what is told of findings; postern probe tells all.
const maxWrong = 5

// Lines say how it looks, what is wrong first.
func (r Records) Lines() []string {
	if r.NotChecked != "" {
		return []string{"Not looked at: " + r.NotChecked + "."}
	}
	var said []string
	for _, f := range r.Problems[:min(len(r.Problems), maxWrong)] {
		said = append(said, f.Title+" ("+f.Severity.String()+").")
	}
	switch more := len(r.Problems) - maxWrong; {
	case more > 0:
		said = append(said, fmt.Sprintf("And %d more: postern probe %s.", more, named(r.Domain)))
	case len(r.Problems) == 0:
		said = append(said, "Nothing is to be mended.")
	}
	for _, title := range r.Passed {
		said = append(said, title+".")
	}
	return said
}
