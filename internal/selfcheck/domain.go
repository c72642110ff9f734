package selfcheck

import (
	"context"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postern/internal/dnsrecords"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/persona"
	"postern/internal/probe"
)

// domain checks what a domain publishes, and lets the test clients run against those of its MX
// hosts that are ours.
func (c *check) domain(ctx context.Context, domain string) {
	c.domains++
	began := time.Now()
	prober := c.prober
	prober.Personas = []*persona.Persona{} // only the healthy client, which every probe has
	report, err := prober.Probe(ctx, domain)
	if ctx.Err() != nil {
		return
	}
	probed := jsonout.NewProbed(domain, report, err)
	health := jsonout.DomainHealth{Domain: domain, Time: began.UTC(), Probe: &probed}
	areas := make(areas)
	if err != nil {
		areas.note("mx", probe.Unclear, err.Error())
	} else {
		areas.findings(report)
	}
	if zone, ok := c.records(ctx, domain); ok {
		areas.records(zone)
		health.DNS = &zone
	}
	var severity probe.Severity
	health.Areas, severity = areas.list()
	health.Severity = severity.String()
	summary := health
	summary.Probe, summary.DNS = nil, nil
	c.store(ledger.Check{Kind: ledger.DomainCheck, Name: domain, At: began}, severity, summary, health)
	if err != nil {
		return
	}
	for _, host := range report.Hosts {
		if report.Domain != "" && c.ours(host) {
			c.hostOnce(ctx, host.Name)
		}
	}
}

// lookupTime bounds the queries for the records of a domain together.
const lookupTime = 30 * time.Second

// records compares published records with the required ones, and notes when the record of the
// next key was first seen: from then on the rollover waits.
func (c *check) records(ctx context.Context, domain string) (jsonout.Zone, bool) {
	if c.Records == nil {
		return jsonout.Zone{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	required, next, err := c.Settings.Records(domain)
	if err != nil {
		return jsonout.Zone{}, false
	}
	lookup := func(ctx context.Context, name string, kind uint16) ([]dns.RR, bool, error) {
		return probe.Lookup(ctx, c.prober.Resolver, name, kind)
	}
	now := time.Now()
	compared, err := required.Compare(ctx, lookup, next.FirstSeen(), now)
	if err != nil {
		return jsonout.Zone{}, false
	}
	if next.File != "" {
		next.Note(compared.Rollover, now) // if it cannot be stored, the wait starts over
	}
	return jsonout.NewZone(required, compared), true
}

// areaNames are the areas, in the order of the page.
var areaNames = []string{"mx", "certificate", "mta-sts", "tlsa", "tlsrpt", "dnssec"}

// areaOf returns the area that a finding of a probe is about, or nothing.
func areaOf(id string) string {
	switch id {
	case "mx-without-address", "mx-address", "unreachable", "no-starttls", "healthy", "stopped":
		return "mx"
	case "certificate", "wrong-name", "untrusted", "expired", "certificate-chain":
		return "certificate"
	case "tlsrpt":
		return "tlsrpt"
	}
	for prefix, area := range map[string]string{"mta-sts": "mta-sts", "dane": "tlsa", "dnssec": "dnssec"} {
		if strings.HasPrefix(id, prefix) {
			return area
		}
	}
	return ""
}

// areas is the worst that was found in each area.
type areas map[string]areaState

type areaState struct {
	severity probe.Severity
	title    string // of the finding
}

// note adds a finding.
func (a areas) note(area string, severity probe.Severity, title string) {
	if known, ok := a[area]; !ok || known.severity < severity {
		a[area] = areaState{severity, title}
	}
}

func (a areas) findings(report *probe.Report) {
	for _, f := range report.AllFindings() {
		if area := areaOf(f.ID); area != "" {
			a.note(area, f.Severity, f.Title)
		}
	}
}

// records adds what keeps the published records from being the required ones. Whether a TLSA
// record that is missing matters, the probe knows: it has seen the certificate.
func (a areas) records(zone jsonout.Zone) {
	for _, r := range zone.Records {
		area := map[string]string{"MX": "mx", "TLSA": "tlsa"}[r.Type]
		switch {
		case area != "":
		case strings.HasPrefix(r.Name, "_mta-sts."), strings.HasPrefix(r.Name, "mta-sts."):
			area = "mta-sts"
		case strings.HasPrefix(r.Name, "_smtp._tls."):
			area = "tlsrpt"
		default:
			continue
		}
		title := r.Type + " record of " + strings.TrimSuffix(r.Name, ".") + ": " + r.Why
		switch {
		case r.State == dnsrecords.Unclear:
			a.note(area, probe.Unclear, title)
		case r.State == dnsrecords.Missing && area == "mx", r.State == dnsrecords.Differs && area != "tlsrpt":
			a.note(area, probe.Warning, title)
		case r.State == dnsrecords.Missing, r.State == dnsrecords.Differs:
			a.note(area, probe.Notice, title)
		}
	}
}

// list returns all areas, and the worst severity. One without a finding was not checked.
func (a areas) list() (all []jsonout.Area, worst probe.Severity) {
	for _, name := range areaNames {
		found, ok := a[name]
		if !ok {
			found = areaState{probe.Unclear, "not checked"}
		}
		all = append(all, jsonout.Area{Area: name, Severity: found.severity.String(), Title: found.title})
		worst = max(worst, found.severity)
	}
	return all, worst
}
