package probe

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
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
		r.Whole = append(r.Whole, check(e)...)
	}
}
