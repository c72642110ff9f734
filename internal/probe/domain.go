package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"postern/tlsrpt"
)

// A domainExam is all that checks of a domain can look at.
type domainExam struct {
	*Report
	ctx    context.Context
	names  *resolver
	client *http.Client // gets the MTA-STS policy
	now    time.Time
}

// domainChecks are all of them. Each has a file of its own.
var domainChecks = []func(*domainExam) []Finding{mtaSTS, signed, dane, reporting}

// examineDomain looks at what the domain says of itself in DNS, and holds it against
// what its hosts did.
func (p *Prober) examineDomain(ctx context.Context, names *resolver, r *Report) {
	e := &domainExam{r, ctx, names, p.HTTP, time.Now()}
	if e.client == nil {
		transport := &http.Transport{DialContext: names.dial, TLSClientConfig: &tls.Config{RootCAs: p.RootCAs}, DisableKeepAlives: true}
		e.client = &http.Client{Transport: transport}
	}
	for _, check := range domainChecks {
		r.Findings = append(r.Findings, check(e)...)
	}
}

// reporting tells whether senders know where to report TLS failures to.
func reporting(e *domainExam) []Finding {
	name := "_smtp._tls." + e.Domain
	f := Finding{ID: "tlsrpt", Sources: []string{"https://www.rfc-editor.org/rfc/rfc8460"}}
	records, err := e.names.texts(e.ctx, name)
	if err != nil {
		return []Finding{unanswered("tlsrpt", "TLS reporting", err)}
	}
	record, err := tlsrpt.FindRecord(records)
	switch {
	case err == nil:
		return []Finding{fine(f.ID, "Senders know where to report TLS failures to", quoted(record.String()))}
	case errors.Is(err, tlsrpt.ErrNoRecord):
		f.Severity, f.Title = Notice, "Nobody tells you when TLS fails: the domain asks for no reports"
		f.Evidence = []string{"no TXT record at " + name}
	default:
		f.Severity, f.Title = Warning, "The TLS reporting record is wrong, and senders take it for none"
		f.Evidence = []string{clean(err)}
	}
	f.Advice = everyone("Publish one TXT record at " + name + ", such as v=TLSRPTv1; rua=mailto:tls-reports@" + e.Domain)
	return []Finding{f}
}

// unanswered is about what the resolver did not say.
func unanswered(id, what string, err error) Finding {
	return Finding{
		ID: id, Severity: Unclear, Title: what + " could not be looked up", Evidence: []string{clean(err)},
		Advice: everyone("Ask another DNS server: --resolver ADDR."),
	}
}
