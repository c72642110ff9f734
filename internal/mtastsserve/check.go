package mtastsserve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/mtasts"
)

// A Checker checks whether senders that verify certificates can deliver to the hosts of a
// domain. The zero Checker does as senders on the Internet do: port 25, and the system's
// certification authorities.
type Checker struct {
	// Prober probes the MX hosts. Its RootCAs, Port and Timeout are used.
	Prober probe.Prober

	// Dial connects to port 443 of the host that serves the policy. Nil: a [net.Dialer]'s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Problem is what keeps a policy from mode enforce.
type Problem struct {
	Host    string
	Addr    string // with the port; empty if the problem is the host's
	Refused bool   // a sender that verifies would not deliver; false: inconclusive
	Reason  string
	Remedy  string
}

// sameProblem reports whether a and b are the same problem. Their reasons may differ in a
// local port.
func sameProblem(a, b Problem) bool {
	return a.Host == b.Host && a.Addr == b.Addr && a.Refused == b.Refused && a.Remedy == b.Remedy
}

// policyHostTimeout bounds the TLS handshake with the host that serves the policy.
const policyHostTimeout = 30 * time.Second

// A check is one check of all domains. It probes hosts that domains share once.
type check struct {
	*Checker
	Settings
	resolver *net.Resolver

	mu    sync.Mutex
	hosts map[string]func() []Problem
}

// Begin begins one check of any number of domains.
func (c *Checker) Begin(settings Settings) CheckFunc {
	k := &check{Checker: c, Settings: settings, resolver: net.DefaultResolver, hosts: make(map[string]func() []Problem)}
	if settings.Resolver != "" {
		k.resolver = (&probe.Prober{Resolver: settings.Resolver}).NetResolver()
	}
	return k.domain
}

// domain checks the MX hosts of a domain, and the host that serves its policy.
func (c *check) domain(ctx context.Context, domain string) []Problem {
	problems := c.policyHost(ctx, "mta-sts."+domain)
	records, err := c.resolver.LookupMX(ctx, domain)
	if err != nil || len(records) == 0 {
		return append(problems, noMX(domain, cmp.Or(err, probe.ErrNoMail)))
	}
	for _, mx := range records {
		host := strings.ToLower(strings.TrimSuffix(mx.Host, "."))
		if host == "" { // a null MX record, RFC 7505
			return append(problems, noMX(domain, probe.ErrNoMail))
		}
		if !c.Policy.Matches(host) {
			problems = append(problems, notListed(host, domain, c.Policy))
		}
		problems = append(problems, c.mxHostOnce(ctx, host)...)
	}
	return problems
}

// mxHostOnce checks an MX host for the first domain that has it, and returns the same
// result for the others.
func (c *check) mxHostOnce(ctx context.Context, host string) []Problem {
	c.mu.Lock()
	result := c.hosts[host]
	if result == nil {
		result = sync.OnceValue(func() []Problem { return c.mxHost(ctx, host) })
		c.hosts[host] = result
	}
	c.mu.Unlock()
	return result()
}

// policyHost checks the certificate of the host that serves the policy.
func (c *check) policyHost(ctx context.Context, host string) []Problem {
	ctx, cancel := context.WithTimeout(ctx, policyHostTimeout)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Resolver: c.resolver}).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(host, "443"))
	if err != nil {
		return []Problem{unreachable(host, "", 443, err)}
	}
	defer conn.Close()
	addr := conn.RemoteAddr().String()
	err = tls.Client(conn, &tls.Config{ServerName: host, RootCAs: c.Prober.RootCAs}).HandshakeContext(ctx)
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return []Problem{handshakeFailed(host, addr, err)}
	case err != nil:
		return []Problem{unreachable(host, addr, 443, err)}
	}
	return nil
}

// mxHost probes all addresses of an MX host as the persona that verifies certificates.
func (c *check) mxHost(ctx context.Context, host string) []Problem {
	prober := c.Prober
	prober.Resolver = c.Resolver
	verifying, _ := persona.Find("certificate-refused")
	prober.Personas = []*persona.Persona{verifying}
	report, err := prober.Probe(ctx, fmt.Sprintf("%s:%d", host, cmp.Or(prober.Port, 25)))
	if err != nil {
		return []Problem{{Host: host, Reason: reason(err), Remedy: "give it an address in DNS, or remove its MX record"}}
	}
	var problems []Problem
	delivers := false
	for _, a := range report.Hosts[0].Addresses {
		if problem, ok := atAddress(host, a); ok {
			delivers = true
		} else {
			problems = append(problems, problem)
		}
	}
	if delivers { // this machine may have no IPv6
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return !p.Refused && strings.HasPrefix(p.Addr, "[") })
	}
	return problems
}

// atAddress returns the problem at an address, or ok.
func atAddress(host string, a *probe.Address) (p Problem, ok bool) {
	addr := a.Addr.String()
	timeUp := func(f probe.Finding) bool { return f.ID == "time-up" }
	if slices.ContainsFunc(a.Findings, timeUp) && (len(a.Runs) == 0 || errors.Is(a.Runs[0].Err, probe.ErrTimeUp)) {
		return notChecked(host, addr), false
	}
	if len(a.Runs) == 0 {
		return withoutTLS(host, a), false
	}
	switch run := a.Runs[0]; run.Outcome {
	case probe.Completed:
		return Problem{}, true
	case probe.Failed:
		return handshakeFailed(host, addr, run.Err), false
	default:
		return unreachable(host, addr, a.Addr.Port(), run.Err), false
	}
}

// notChecked is the problem of an address that the check had no time for.
func notChecked(host, addr string) Problem {
	return Problem{
		Host: host, Addr: addr, Reason: "the time of the check was up before it could deliver",
		Remedy: fmt.Sprintf("find out why it is slow: postern probe --timeout 10m %s", host),
	}
}

// withoutTLS is the problem of an address where no persona began a handshake. The
// findings there, the worst first, say why.
func withoutTLS(host string, a *probe.Address) Problem {
	for _, f := range a.Findings {
		if f.ID == "no-starttls" || f.ID == "healthy" {
			return Problem{
				Host: host, Addr: a.Addr.String(), Refused: true, Reason: f.Title,
				Remedy: "offer STARTTLS there with a certificate for " + host,
			}
		}
	}
	err := errors.New("no TLS handshake")
	if len(a.Findings) > 0 {
		err = errors.New(strings.Join(append([]string{a.Findings[0].Title}, a.Findings[0].Evidence...), ": "))
	}
	return unreachable(host, a.Addr.String(), a.Addr.Port(), err)
}

// handshakeFailed is the problem of a host with which a client that verifies certificates
// did not complete a handshake.
func handshakeFailed(host, addr string, err error) Problem {
	p := Problem{Host: host, Addr: addr, Refused: true, Reason: reason(err), Remedy: "run postern probe " + host}
	if fault, ok := probe.CertificateFaultOf(err, host); ok {
		p.Remedy = fault.Remedy
	}
	return p
}

func noMX(domain string, err error) Problem {
	return Problem{
		Host: domain, Reason: "no MX records: " + reason(err),
		Remedy: "publish MX records, or name a DNS server that has them in mta-sts.resolver",
	}
}

func notListed(host, domain string, policy mtasts.Policy) Problem {
	return Problem{
		Host: host, Refused: true, Reason: fmt.Sprintf("it is an MX host of %s, but mx %q does not match it", domain, policy.MX),
		Remedy: "add it to mta-sts.mx, or remove its MX record",
	}
}

func unreachable(host, addr string, port uint16, err error) Problem {
	return Problem{
		Host: host, Addr: addr, Reason: "no answer: " + reason(err),
		Remedy: fmt.Sprintf("make port %d of it reachable from this machine; if that is not possible, run postern probe elsewhere", port),
	}
}

// maxReason bounds a reason, in bytes: a certificate can have any number of names.
const maxReason = 500

// reason returns the text of an error. slog escapes what is in it.
func reason(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "probe: ")
	return text[:min(len(text), maxReason)]
}
