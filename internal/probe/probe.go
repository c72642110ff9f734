// Package probe asks a mail server which senders it keeps out, before one of them
// shows it.
//
// A [Prober] lets the personas of package persona visit a server, and looks at what
// they saw:
//
//	report, err := new(probe.Prober).Probe(ctx, "example.org")
//	for _, finding := range report.Findings() {
//		fmt.Println(finding.Severity, finding.Title, finding.Advice)
//	}
//
// A healthy client comes first and last, so that a server that is down, or that has
// stopped answering, is told apart from one that keeps a sender out.
//
// # Limits
//
// A persona does what the reports of its case say; it is not the vendor's client. There
// are at most two connections to an address and port at a time, whatever targets and
// probers a program has. No mail is sent unless a prober is given some, and it ends with
// its time.
//
// # Concurrency
//
// A Prober is safe for concurrent use while nobody changes it; so is a Report.
package probe

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"postern/internal/persona"
)

// A Prober examines mail servers. The zero Prober is ready: all personas, SMTP with
// STARTTLS on port 25, the system's DNS resolver and certification authorities.
type Prober struct {
	Protocol persona.Protocol
	Port     uint16             // 0: the protocol's
	Personas []*persona.Persona // nil: all
	Resolver string             // host:port of a DNS server; empty: the system's
	RootCAs  *x509.CertPool     // nil: the system's

	// TrustAnchors are the DNS root's, from which answers are validated, as those that
	// [dnssec.RootAnchors] returns. Nil: the AD bit of the resolver is believed.
	TrustAnchors []*dns.DS

	HTTP    *http.Client  // gets the MTA-STS policy; nil: one that asks Resolver and trusts RootCAs
	Timeout time.Duration // for one target; 0: two minutes

	// Progress, when not nil, is called after each visit to an address, with how many
	// of how many are over there. Calls may come at the same time.
	Progress func(addr netip.AddrPort, over, all int)

	Deliver *persona.TestMessage // a message that the first of Personas brings, to the first address; nil: none is sent

	// Intrusive makes others try at the first address to smuggle a second message in
	// behind a first, with the envelope of Deliver: at most ten letters of two
	// messages. A server that is not well protected delivers them all, and one that
	// is may turn this address away: it is for servers of one's own.
	Intrusive bool
}

const (
	usualTimeout = 2 * time.Minute

	// maxAddresses bounds a target: the largest providers have about 20 hosts and
	// addresses for a domain.
	maxAddresses = 32

	// atOnce is how many addresses are examined at a time.
	atOnce = 4
)

// Probe examines a target: a domain, whose MX hosts are looked up, a host, an address,
// or host:port. Every address of every host is examined, IPv4 and IPv6. Of a domain
// its MTA-STS policy, TLSA records and TLS reporting record are looked at too.
//
// The error says why there is nothing to examine: [ErrTarget], [ErrNoMail] or
// [ErrNotFound] in its chain, or what the resolver said. What a server does wrong is
// never an error but a finding, and so is a server that cannot be reached.
func (p *Prober) Probe(ctx context.Context, target string) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, usualTimeout))
	defer cancel()
	start := time.Now()
	report, names, err := p.resolve(ctx, target)
	if err != nil {
		return nil, err
	}
	report.Start = start
	p.examineAll(ctx, report)
	if report.Domain != "" {
		p.examineDomain(ctx, names, report)
	}
	report.compare(ctx)
	byWeight(report.Findings)
	report.Duration = time.Since(start)
	return report, nil
}

func (p *Prober) examineAll(ctx context.Context, r *Report) {
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	letter := p.Deliver
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			e := &exam{ctx: ctx, host: h.Name, roots: p.RootCAs, letter: letter, ipv4: r.ipv4(), now: time.Now()}
			letter = nil
			running.Go(func() {
				defer ahead.take(ctx, a.Addr)()
				slots <- struct{}{}
				defer func() { <-slots }()
				p.examine(e, a)
			})
		}
	}
	running.Wait()
}
