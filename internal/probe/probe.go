// Package probe finds the senders that a mail server makes fail, before one of them does.
//
// A [Prober] runs the personas of package persona against a server and turns what they
// observe into findings:
//
//	report, err := new(probe.Prober).Probe(ctx, "example.org")
//	for _, finding := range report.AllFindings() {
//		fmt.Println(finding.Severity, finding.Title, finding.Advice)
//	}
//
// A healthy client comes first and last, to distinguish a server that is down, or that has
// stopped answering, from one that makes particular senders fail.
//
// # Limits
//
// A persona does what the sources of its case report; it is not the vendor's client. There
// are at most two connections to an address and port at a time, for all Probers of a
// process together. No mail is sent unless [Prober.Deliver] is set. A probe ends at its
// timeout.
//
// # Concurrency
//
// A Prober is safe for concurrent use, provided that nothing modifies it meanwhile; so is a
// Report.
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
	"postern/internal/probekey"
)

// A Prober probes mail servers. The zero Prober is ready to use: all personas, SMTP with
// STARTTLS on port 25, the system's DNS resolver and certification authorities.
type Prober struct {
	Protocol persona.Protocol
	Port     uint16             // 0: the protocol's
	Personas []*persona.Persona // nil: all

	// Alone leaves out all other clients and checks, so that a server sees Personas as it sees
	// senders, one after the other: the healthy client would vouch for them.
	Alone bool

	// Resume also lets each of Personas that completed offer its session once more.
	Resume bool

	Resolver string         // host or host:port of a DNS server; empty: the system's
	RootCAs  *x509.CertPool // nil: the system's

	// TrustAnchors are DS records of the DNS root, such as [dnssec.RootAnchors], from which
	// answers are validated. Nil: the AD bit of the resolver counts.
	TrustAnchors []*dns.DS

	HTTP    *http.Client  // fetches the MTA-STS policy; nil: one that uses Resolver and RootCAs
	Timeout time.Duration // of one target; 0: two minutes

	// Progress, if not nil, is called after each run against an address, with the number of
	// finished runs and of all. Calls may be concurrent.
	Progress func(addr netip.AddrPort, done, total int)

	// Key identifies the runs that deliver nothing to a server that has it, so that it keeps
	// them apart from senders. The zero Key: they are like those of any sender.
	Key probekey.Key

	// Deliver is a message that the first of Personas delivers to the first address. Nil:
	// none is sent.
	Deliver *persona.TestMessage

	// Intrusive also tests message smuggling at the first address, with the envelope of
	// Deliver: at most ten messages with another one behind a false end of data. A vulnerable
	// server delivers them all, and a well-protected one may block this client address: use
	// it for your own servers only.
	Intrusive bool
}

const (
	defaultTimeout = 2 * time.Minute

	// maxAddresses bounds a target. The largest providers have about 20 hosts and addresses
	// for a domain.
	maxAddresses = 32

	// maxConcurrent is how many addresses are probed at a time.
	maxConcurrent = 4
)

// Probe probes a target: a domain, whose MX hosts are looked up, a host, an address, or
// host:port. It probes every address of every host, IPv4 and IPv6. Of a domain it also
// checks the MTA-STS policy, DNSSEC, TLSA records and the TLS reporting record.
//
// The error is why there is nothing to probe: it wraps [ErrTarget], [ErrNoMail],
// [ErrNotFound], or an error of the resolver. A fault of a server is a finding and never an
// error, and so is a server that cannot be reached.
func (p *Prober) Probe(ctx context.Context, target string) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, defaultTimeout))
	defer cancel()
	start := time.Now()
	end, _ := ctx.Deadline() // the caller's may be earlier
	report, names, err := p.resolve(ctx, target)
	if err != nil {
		return nil, err
	}
	report.Start, report.limit = start, end.Sub(start)
	p.probeAddresses(ctx, report)
	if !p.Alone {
		if report.Domain != "" {
			p.probeDomain(ctx, names, report)
		}
		report.resumeAcross(ctx)
		report.Findings = append(report.Findings, timeUp(report.limit, 0, report.unmade)...)
	}
	sortFindings(report.Findings)
	report.Duration = time.Since(start)
	return report, nil
}

func (p *Prober) probeAddresses(ctx context.Context, r *Report) {
	var running sync.WaitGroup
	slots := make(chan struct{}, maxConcurrent)
	message := p.Deliver
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			probe := &addressProbe{ctx: ctx, host: h.Name, roots: p.RootCAs, message: message, ipv4: r.hasIPv4(), now: time.Now(), limit: r.limit, alone: p.Alone, resume: p.Resume}
			message = nil
			running.Go(func() {
				defer locks.lock(ctx, a.Addr)()
				slots <- struct{}{}
				defer func() { <-slots }()
				p.probeAddress(probe, a)
			})
		}
	}
	running.Wait()
}
