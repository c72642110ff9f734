package tlsrptexplain

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/smtp"
	"postern/tlsrpt"
)

// A policyDomain is the policy domain of a result, as this server knows it (RFC 8460, Section
// 1.1). For MTA-STS it is the domain of the recipients, or a smarthost. For DANE it is the TLSA
// base domain (RFC 7672, Section 2.2.3): the name of the MX host or, if that is an alias, the name
// that it leads to. Some senders name the recipients' domain for DANE too.
type policyDomain struct {
	owner    owner
	why      string // why it is a stranger's, or unknown
	mailOf   string // the domain whose mail the policy is about; the one to probe
	mxHost   string // the MX host that it is the TLSA base domain of
	thisHost bool   // that is this server
}

// An owner says whether a policy domain is this server's.
type owner int

const (
	unknownOwner owner = iota
	ours
	strangers
)

// policyDomain finds out whose domain a policy is about.
func (x Explainer) policyDomain(ctx context.Context, q Question, p tlsrpt.Policy) policyDomain {
	name := strings.TrimSuffix(p.Domain, ".")
	d := policyDomain{mailOf: name, owner: unknownOwner}
	switch {
	case name == "" && len(q.Domains) == 1: // some senders leave it out (sys4/tlsrpt-reporter#51)
		d.owner, d.mailOf = ours, q.Domains[0]
		return d
	case name == "" || q.Domains == nil:
		return d
	case q.accepts(name):
		d.owner = ours
		return d
	}
	if sameName(name, q.Hostname) {
		d.owner, d.mxHost, d.thisHost = ours, name, true
	}
	complete := d.findMXHost(ctx, x.Resolver, q)
	switch {
	case d.owner == ours && d.mailOf == name && len(q.Domains) == 1: // by hostname alone
		d.mailOf = q.Domains[0]
	case d.owner == ours:
	case complete, p.Type != tlsrpt.PolicyTLSA: // only DANE is about MX hosts as a rule
		d.owner, d.why = strangers, named(name)+" is neither a domain that this server accepts mail for nor a known MX host of one"
	default:
		d.why = "the MX hosts of your domains could not all be looked up"
	}
	return d
}

// findMXHost looks for the domain whose MX host has the name of the policy domain. It reports
// whether it saw all MX hosts of our domains.
func (d *policyDomain) findMXHost(ctx context.Context, r Resolver, q Question) (complete bool) {
	if r == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookupsTimeout)
	defer cancel()
	name := d.mailOf
	hosts, complete := mailHosts(ctx, r, q.Domains)
	for _, host := range hosts {
		if sameName(host.name, name) || sameName(host.alias, name) {
			d.owner, d.mailOf, d.mxHost = ours, host.domain, strings.TrimSuffix(host.name, ".")
			d.thisHost = d.thisHost || sameName(host.name, q.Hostname)
			break
		}
	}
	return complete
}

// A mailHost is an MX host of a domain, and the name that it is an alias of.
type mailHost struct{ domain, name, alias string }

// maxMailDomains bounds the domains whose MX hosts are looked up for one report.
const maxMailDomains = 100

// mailHosts looks up the MX hosts of domains. It reports whether it found them all.
func mailHosts(ctx context.Context, r Resolver, domains []string) (hosts []mailHost, complete bool) {
	var mu sync.Mutex
	complete = len(domains) <= maxMailDomains
	inParallel(domains[:min(len(domains), maxMailDomains)], func(domain string) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		found, err := mailHostsOf(ctx, r, domain)
		mu.Lock()
		defer mu.Unlock()
		hosts = append(hosts, found...)
		complete = complete && err == nil
	})
	slices.SortFunc(hosts, func(a, b mailHost) int {
		return slices.Compare([]string{a.domain, a.name}, []string{b.domain, b.name})
	})
	return hosts, complete
}

// maxMX bounds the MX hosts of a domain.
const maxMX = 20

func mailHostsOf(ctx context.Context, r Resolver, domain string) (hosts []mailHost, err error) {
	records, err := r.LookupMX(ctx, domain)
	if notFound(err) {
		// The domain is its own MX host (RFC 5321, Section 5.1), or the resolver does not
		// know it.
		_, err := r.LookupNetIP(ctx, "ip", domain)
		return nil, err
	}
	for _, mx := range records[:min(len(records), maxMX)] {
		alias, cnameErr := r.LookupCNAME(ctx, mx.Host)
		if cnameErr != nil && !notFound(cnameErr) {
			err = cnameErr
		}
		hosts = append(hosts, mailHost{domain, mx.Host, alias})
	}
	return hosts, err
}

func notFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// sameName compares names of hosts or domains.
func sameName(a, b string) bool { return a != "" && smtp.FoldDomain(a) == smtp.FoldDomain(b) }

// accepts reports whether this server is known to accept mail for a domain.
func (q Question) accepts(domain string) bool {
	return slices.ContainsFunc(q.Domains, func(d string) bool { return sameName(d, domain) })
}

// parallelLookups is how many lookups are made at once.
const parallelLookups = 8

// inParallel calls do for all elements, some at once.
func inParallel[T any](all []T, do func(T)) {
	var calls sync.WaitGroup
	slots := make(chan struct{}, parallelLookups)
	for _, one := range all {
		calls.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			do(one)
		})
	}
	calls.Wait()
}

// Limits of the DNS queries for one report.
const (
	lookupTimeout  = 3 * time.Second // for one address, reverse and forward, or one domain
	lookupsTimeout = 10 * time.Second
)
