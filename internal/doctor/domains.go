package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"postern/internal/dnsrecords"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/server"
)

// domains examines the DNS records of the domains, and their MX hosts from here.
func (e *examination) domains(ctx context.Context) {
	if private := e.config.Private(); private != "" {
		e.add(probe.Finding{ID: "dns", Severity: probe.Notice, Title: "DNS was not examined: " + private})
		return
	}
	domains := e.config.DomainNames()
	if more := len(domains) - maxDomains; more > 0 {
		e.add(probe.Finding{ID: "dns", Severity: probe.Notice, Title: fmt.Sprintf("%d domains were not examined", more),
			Advice: do("Postern", "The dashboard has all of them: the server examines them once a day.")})
		domains = domains[:maxDomains]
	}
	seen := make(map[string]bool) // addresses of MX hosts
	for _, domain := range domains {
		if domain != "localhost" {
			e.domain(ctx, domain, seen)
		}
	}
}

func (e *examination) domain(ctx context.Context, domain string, seen map[string]bool) {
	prober := probe.Prober{Key: e.options.Key, Resolver: e.options.Resolver, Personas: []*persona.Persona{}} // only the healthy client
	report, err := prober.Probe(ctx, domain)
	switch {
	case errors.Is(err, probe.ErrNotFound), errors.Is(err, probe.ErrNoMail):
		e.add(probe.Finding{ID: "mx", Severity: probe.Warning, Title: domain + " receives no mail: " + err.Error(), Advice: do("DNS", "Publish its MX record, or remove it from domains: postern dns "+domain+" prints the records.")})
		return
	case err != nil:
		e.add(probe.Finding{ID: "mx", Severity: probe.Unclear, Title: domain + " could not be looked up", Evidence: []string{err.Error()}})
		return
	}
	for _, f := range report.Findings {
		f.Title = domain + ": " + f.Title
		e.add(f)
	}
	for _, host := range report.Hosts {
		for _, address := range host.Addresses {
			where := host.Name + " " + address.Addr.String()
			if seen[where] {
				continue
			}
			seen[where] = true
			for _, f := range address.Findings {
				f.Title = where + ": " + f.Title
				e.add(f)
			}
		}
	}
	e.records(ctx, domain)
}

// records compares the records of a domain with those that are required.
func (e *examination) records(ctx context.Context, domain string) {
	required, next, err := server.DNSRecords(e.config, domain)
	if err != nil {
		return // the next key cannot be read, which postern dns says
	}
	lookup := func(ctx context.Context, name string, kind uint16) ([]dns.RR, bool, error) {
		return probe.Lookup(ctx, e.options.Resolver, name, kind)
	}
	compared, err := required.Compare(ctx, lookup, next.FirstSeen(), time.Now())
	if err != nil {
		return // the domain's own records cannot be written, such as an address for reports
	}
	for _, r := range compared.Results {
		f := probe.Finding{ID: "dns", Title: fmt.Sprintf("%s record of %s: %s", r.Type, r.Name, r.Why), Advice: do("DNS", "postern dns "+domain+" --check shows what to publish.")}
		switch {
		case r.State == dnsrecords.Unclear:
			f.Severity = probe.Unclear
		case r.State == dnsrecords.Missing && r.Type == "MX", r.State == dnsrecords.Differs:
			f.Severity = probe.Warning
		case r.State == dnsrecords.Missing:
			f.Severity = probe.Notice
		default:
			continue
		}
		e.add(f)
	}
}
