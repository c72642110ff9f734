package tlsrptexplain

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/probe"
)

// A fakeLedger has activity in the report's hours, and later activity after them.
type fakeLedger struct {
	during, later []ledger.Activity
	failing       []netip.Addr
	err           error
	queries       []ledger.SenderQuery
	spans         []ledger.Span
}

func (b *fakeLedger) Activity(_ context.Context, in ledger.Span, whose ledger.SenderQuery) (found []ledger.Activity, err error) {
	b.queries, b.spans = append(b.queries, whose), append(b.spans, in)
	all := b.during
	if in.From.After(october.AddDate(0, 0, 23).Add(time.Hour)) {
		all = b.later
	}
	for _, s := range all {
		if slices.Contains(whose.Addresses, s.Address) || inDomains(s.EHLO, whose.Domains) {
			found = append(found, s)
		}
	}
	return found, b.err
}

func (b *fakeLedger) FailingAddresses(context.Context, ledger.Span, int) ([]netip.Addr, error) {
	return b.failing, b.err
}

// fakeDNS maps addresses to names, names to addresses, and "MX" or "CNAME" and a name to
// names.
type fakeDNS map[string]string

func (n fakeDNS) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if name := n[addr]; name != "" {
		return []string{name}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n fakeDNS) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(n[host]); err == nil {
		return []netip.Addr{addr}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n fakeDNS) LookupMX(_ context.Context, name string) (all []*net.MX, err error) {
	for host := range strings.FieldsSeq(n["MX "+name]) {
		if host == "SERVFAIL" {
			return nil, &net.DNSError{IsTemporary: true}
		}
		all = append(all, &net.MX{Host: host})
	}
	if all == nil {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return all, nil
}

func (n fakeDNS) LookupCNAME(_ context.Context, host string) (string, error) {
	if alias := n["CNAME "+host]; alias != "" {
		return alias, nil
	}
	return host, nil
}

// A fakeProber always finds the same.
type fakeProber struct {
	findings []probe.Finding
	hosts    []string
	err      error
	probed   []string
}

func (p *fakeProber) Probe(_ context.Context, target string) (*probe.Report, error) {
	p.probed = append(p.probed, target)
	r := &probe.Report{Domain: target, Findings: p.findings}
	for _, h := range p.hosts {
		r.Hosts = append(r.Hosts, &probe.Host{Name: h})
	}
	return r, p.err
}
