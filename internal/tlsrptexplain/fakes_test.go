package tlsrptexplain

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"postern/internal/ledger"
	"postern/internal/probe"
)

// A book is a ledger in memory; its sightings are all of the report's hours, later ones of after.
type book struct {
	within, later []ledger.Activity
	troubled      []netip.Addr
	err           error
	asked         []ledger.SenderQuery
	spans         []ledger.Span
}

func (b *book) Activity(_ context.Context, in ledger.Span, whose ledger.SenderQuery) (found []ledger.Activity, err error) {
	b.asked, b.spans = append(b.asked, whose), append(b.spans, in)
	all := b.within
	if in.From.After(october.AddDate(0, 0, 23).Add(time.Hour)) {
		all = b.later
	}
	for _, s := range all {
		if slices.Contains(whose.Addresses, s.Address) || within(s.EHLO, whose.Domains) {
			found = append(found, s)
		}
	}
	return found, b.err
}

func (b *book) FailingAddresses(context.Context, ledger.Span, int) ([]netip.Addr, error) {
	return b.troubled, b.err
}

// names is a resolver: of addresses, and back.
type names map[string]string

func (n names) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if name := n[addr]; name != "" {
		return []string{name}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(n[host]); err == nil {
		return []netip.Addr{addr}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

// domain is a prober that finds always the same.
type domain struct {
	findings []probe.Finding
	hosts    []string
	err      error
	asked    []string
}

func (d *domain) Probe(_ context.Context, target string) (*probe.Report, error) {
	d.asked = append(d.asked, target)
	r := &probe.Report{Domain: target, Findings: d.findings}
	for _, h := range d.hosts {
		r.Hosts = append(r.Hosts, &probe.Host{Name: h})
	}
	return r, d.err
}
