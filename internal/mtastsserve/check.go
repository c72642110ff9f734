package mtastsserve

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/safetext"
)

// A Check asks hosts whether senders that verify get in. The zero Check asks as
// senders on the Internet do: the system's resolver, port 25, the system's
// authorities.
type Check struct {
	// Prober asks the MX hosts: its RootCAs, Port and Timeout are used.
	Prober probe.Prober

	// Dial connects to port 443 of the policy's host. Nil: a [net.Dialer] does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// webTime is for the policy's host to answer.
const webTime = 30 * time.Second

// A round is a check under way: hosts that several have are asked once.
type round struct {
	*Check
	Settings
	resolver *net.Resolver

	mu    sync.Mutex
	hosts map[string]func() []Doubt
}

// Begin begins a check for any number of domains.
func (c *Check) Begin(settings Settings) Round {
	r := &round{Check: c, Settings: settings, resolver: resolverOf(settings.Resolver), hosts: make(map[string]func() []Doubt)}
	return r.domain
}

// resolverOf asks a DNS server, host or host:port; none is the system's.
func resolverOf(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return (&probe.Prober{Resolver: server}).NetResolver()
}

// domain asks the MX hosts of a domain, and the host of its policy.
func (r *round) domain(ctx context.Context, domain string) []Doubt {
	doubts := r.policyHost(ctx, "mta-sts."+domain)
	records, err := r.resolver.LookupMX(ctx, domain)
	if err != nil || len(records) == 0 {
		return append(doubts, noRecords(domain, cmp.Or(err, probe.ErrNoMail)))
	}
	for _, mx := range records {
		host := strings.ToLower(strings.TrimSuffix(mx.Host, "."))
		if host == "" { // RFC 7505
			return append(doubts, noRecords(domain, probe.ErrNoMail))
		}
		if !r.Policy.Matches(host) {
			doubts = append(doubts, notNamed(host, domain, r.Policy.MX))
		}
		doubts = append(doubts, r.once(ctx, host)...)
	}
	return doubts
}

// once is host for the first domain that has it, and the same answer for the others.
func (r *round) once(ctx context.Context, host string) []Doubt {
	r.mu.Lock()
	ask := r.hosts[host]
	if ask == nil {
		ask = sync.OnceValue(func() []Doubt { return r.host(ctx, host) })
		r.hosts[host] = ask
	}
	r.mu.Unlock()
	return ask()
}

// policyHost asks for the certificate that guards the policy.
func (r *round) policyHost(ctx context.Context, host string) []Doubt {
	ctx, cancel := context.WithTimeout(ctx, webTime)
	defer cancel()
	dial := r.Dial
	if dial == nil {
		dial = (&net.Dialer{Resolver: r.resolver}).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(host, "443"))
	if err != nil {
		return []Doubt{unreachable(host, "", 443, err)}
	}
	defer conn.Close()
	secured := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: r.Prober.RootCAs})
	if err := secured.HandshakeContext(ctx); err != nil {
		var certificate *tls.CertificateVerificationError
		if !errors.As(err, &certificate) {
			return []Doubt{unreachable(host, conn.RemoteAddr().String(), 443, err)}
		}
		return []Doubt{complaint(host, conn.RemoteAddr().String(), err)}
	}
	return nil
}

// host lets the persona that verifies visit all addresses of an MX host.
func (r *round) host(ctx context.Context, host string) []Doubt {
	prober := r.Prober
	prober.Resolver = r.Resolver
	verifying, _ := persona.Find("certificate-refused")
	prober.Personas = []*persona.Persona{verifying}
	report, err := prober.Probe(ctx, fmt.Sprintf("%s:%d", host, cmp.Or(prober.Port, 25)))
	if err != nil {
		return []Doubt{{Host: host, Why: short(err), Remedy: "give it addresses in DNS, or take its MX record away"}}
	}
	var doubts []Doubt
	letIn := false
	for _, a := range report.Hosts[0].Addresses {
		doubt, ok := addressDoubt(host, a)
		if letIn = letIn || ok; !ok {
			doubts = append(doubts, doubt)
		}
	}
	if letIn { // a machine without IPv6 cannot tell of that, and need not
		doubts = slices.DeleteFunc(doubts, func(d Doubt) bool { return !d.Refused && strings.HasPrefix(d.Addr, "[") })
	}
	return doubts
}

// A Doubt is why a policy should not say enforce.
type Doubt struct {
	Host    string
	Addr    string // the address with its port; empty: it is about the host
	Refused bool   // a sender that verifies would not deliver; else it could not be told
	Why     string
	Remedy  string
}

// same reports whether who knows a knows b. The words of the system hold ports that
// differ each time.
func same(a, b Doubt) bool {
	return a.Host == b.Host && a.Addr == b.Addr && a.Refused == b.Refused && a.Remedy == b.Remedy
}

func noRecords(domain string, err error) Doubt {
	return Doubt{
		Host: domain, Why: "its MX records cannot be had: " + short(err),
		Remedy: "publish them, or name a DNS server that knows them by resolver in [mta-sts]",
	}
}

func notNamed(host, domain string, patterns []string) Doubt {
	return Doubt{
		Host: host, Refused: true, Why: fmt.Sprintf("it is an MX host of %s, and mx %q does not name it", domain, patterns),
		Remedy: "add it to mx in [mta-sts], or take its MX record away",
	}
}

func unreachable(host, addr string, port uint16, err error) Doubt {
	return Doubt{
		Host: host, Addr: addr, Why: "it does not answer here: " + short(err),
		Remedy: fmt.Sprintf("let this machine reach port %d of it, as the world does; where it cannot, check by postern probe from elsewhere", port),
	}
}

// addressDoubt tells how the persona that verifies fared at an address; ok: it got in.
func addressDoubt(host string, a *probe.Address) (d Doubt, ok bool) {
	addr := a.Addr.String()
	if len(a.Runs) == 0 {
		return notSecured(host, a), false
	}
	switch v := a.Runs[0]; v.Outcome {
	case probe.Completed:
		return Doubt{}, true
	case probe.Failed:
		return complaint(host, addr, v.Err), false
	default:
		return unreachable(host, addr, a.Addr.Port(), v.Err), false
	}
}

// notSecured is about an address that did not come to TLS. The worst finding says why.
func notSecured(host string, a *probe.Address) Doubt {
	for _, f := range a.Findings {
		if f.ID == "no-starttls" || f.ID == "healthy" {
			return Doubt{
				Host: host, Addr: a.Addr.String(), Refused: true, Why: f.Title,
				Remedy: "let it offer STARTTLS with a certificate for " + host,
			}
		}
	}
	err := errors.New("it did not come to TLS")
	if len(a.Findings) > 0 {
		err = errors.New(strings.Join(append([]string{a.Findings[0].Title}, a.Findings[0].Evidence...), ": "))
	}
	return unreachable(host, a.Addr.String(), a.Addr.Port(), err)
}

// complaint is about a handshake that a client which verifies did not complete.
func complaint(host, addr string, err error) Doubt {
	d := Doubt{Host: host, Addr: addr, Refused: true, Why: short(err)}
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		d.Remedy = "give it a certificate for " + host
	case errors.As(err, &authority):
		d.Remedy = "give it a certificate of an authority that all know, with its intermediates"
	case errors.As(err, &invalid):
		d.Remedy = "renew its certificate"
	default:
		d.Remedy = fmt.Sprintf("postern probe %s tells more", host)
	}
	return d
}

// maxWhy bounds a reason, in characters: certificates can have any number of names.
const maxWhy = 500

// short returns the text of an error, which may quote a server.
func short(err error) string {
	return safetext.Shorten(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "probe: "), maxWhy)
}
