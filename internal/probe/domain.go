package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"postern/tlsrpt"
)

// A domainProbe is what the checks of a domain use.
type domainProbe struct {
	*Report
	ctx   context.Context
	names *resolver
	http  *http.Client // fetches the MTA-STS policy
	now   time.Time
}

// domainChecks return the findings about a domain.
var domainChecks = []struct {
	name string
	run  func(*domainProbe) []Finding
}{
	{"MTA-STS", checkMTASTS}, {"DNSSEC", checkDNSSEC}, {"DANE", checkDANE}, {"TLS reporting", checkTLSReporting},
}

// probeDomain checks what the domain publishes in DNS against what was observed at its hosts.
func (p *Prober) probeDomain(ctx context.Context, names *resolver, r *Report) {
	d := &domainProbe{r, ctx, names, p.HTTP, time.Now()}
	if d.http == nil {
		transport := &http.Transport{DialContext: names.dial, TLSClientConfig: &tls.Config{RootCAs: p.RootCAs}, DisableKeepAlives: true}
		d.http = &http.Client{Transport: transport}
	}
	for _, check := range domainChecks {
		var found []Finding
		if !timeIsUp(ctx) {
			found = check.run(d)
		}
		if timeIsUp(ctx) { // no answer is no finding then
			r.unmade = append(r.unmade, check.name)
			continue
		}
		r.Findings = append(r.Findings, found...)
	}
}

// checkTLSReporting reports whether the domain requests TLS reports.
func checkTLSReporting(d *domainProbe) []Finding {
	name := "_smtp._tls." + d.Domain
	f := Finding{ID: "tlsrpt", Sources: []string{"https://www.rfc-editor.org/rfc/rfc8460"}}
	records, err := d.names.txt(d.ctx, name)
	if err != nil {
		return []Finding{lookupFailed("tlsrpt", "The TLS reporting record", err)}
	}
	record, err := tlsrpt.FindRecord(records)
	switch {
	case err == nil:
		return []Finding{okFinding(f.ID, "The domain requests TLS reports", quoted(record.String()))}
	case errors.Is(err, tlsrpt.ErrNoRecord):
		f.Severity, f.Title = Notice, "The domain requests no TLS reports: senders do not report TLS failures"
		f.Evidence = []string{"no TXT record at " + name}
	default:
		f.Severity, f.Title = Warning, "The TLS reporting record is not valid: senders ignore it"
		f.Evidence = []string{errorText(err)}
	}
	f.Advice = forAll("Publish one TXT record at " + name + ", such as v=TLSRPTv1; rua=mailto:tls-reports@" + d.Domain)
	return []Finding{f}
}
