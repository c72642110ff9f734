package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"postern/persona"
)

// resolve makes a report without findings, of all that is to be examined.
func (p *Prober) resolve(ctx context.Context, text string) (*Report, error) {
	t, err := parseTarget(text)
	if err != nil {
		return nil, err
	}
	r := &Report{Target: text}
	port := cmp.Or(t.port, p.Port, usualPort(p.Protocol))
	if t.name == "" {
		r.Hosts = []*Host{{Name: t.addr.String(), Addresses: []*Address{{Addr: netip.AddrPortFrom(t.addr, port)}}}}
		return r, nil
	}
	names, err := newResolver(p.Resolver)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if err := r.findHosts(ctx, names, t, p.Protocol); err != nil {
		return nil, fmt.Errorf("probe: %s: %w", t.name, err)
	}
	if r.findAddresses(ctx, names, port) == 0 {
		return nil, fmt.Errorf("probe: %s: %w", t.name, ErrNotFound)
	}
	return r, nil
}

// usualPort is where servers of a protocol listen.
func usualPort(p persona.Protocol) uint16 {
	return map[persona.Protocol]uint16{persona.SMTP: 25, persona.Implicit: 465, persona.IMAP: 143, persona.POP3: 110}[p]
}

// findHosts looks up who takes mail for a name. A name without MX records is a host,
// as RFC 5321, Section 5.1 says, and so is one with a port.
func (r *Report) findHosts(ctx context.Context, names *resolver, t target, p persona.Protocol) error {
	r.Hosts = []*Host{{Name: t.name}}
	if t.port != 0 || p != persona.SMTP && p != persona.Implicit {
		return nil
	}
	answer, err := names.ask(ctx, t.name, dns.TypeMX)
	if errors.Is(err, ErrNotFound) {
		return nil // a name of the hosts file, perhaps
	}
	if err != nil {
		return err
	}
	hosts := mxHosts(answer)
	if len(hosts) == 0 {
		return nil
	}
	if hosts[0].Name == "" {
		return ErrNoMail
	}
	r.Domain, r.Hosts = t.name, hosts
	return nil
}

// mxHosts lists the hosts of MX records in the order in which senders try them. That
// of a null MX has no name.
func mxHosts(answer *dns.Msg) []*Host {
	var hosts []*Host
	for _, record := range answer.Answer {
		if mx, ok := record.(*dns.MX); ok {
			hosts = append(hosts, &Host{Name: strings.ToLower(strings.TrimSuffix(mx.Mx, ".")), Preference: mx.Preference})
		}
	}
	slices.SortFunc(hosts, func(a, b *Host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Name, b.Name))
	})
	return hosts
}

// findAddresses looks up the addresses of the hosts and returns how many there are.
func (r *Report) findAddresses(ctx context.Context, names *resolver, port uint16) (found int) {
	for _, h := range r.Hosts {
		addrs, err := names.addresses(ctx, h.Name)
		if err != nil && r.Domain != "" {
			r.Whole = append(r.Whole, Finding{
				ID: "mx-without-address", Severity: Warning,
				Title:    "An MX host has no address",
				Evidence: []string{quoted(h.Name) + ": " + err.Error()},
				Advice:   everyone("Give the host A and AAAA records, or remove its MX record: senders lose time on it."),
			})
		}
		for _, addr := range addrs {
			if found++; found > maxAddresses {
				break
			}
			h.Addresses = append(h.Addresses, &Address{Addr: netip.AddrPortFrom(addr.Unmap(), port)})
		}
	}
	return found
}

// A resolver asks one DNS server.
type resolver struct {
	server string
	system *net.Resolver // knows the hosts file too
}

func newResolver(server string) (*resolver, error) {
	if server == "" {
		config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(config.Servers) == 0 {
			return &resolver{system: net.DefaultResolver}, nil
		}
		server = net.JoinHostPort(config.Servers[0], config.Port)
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	return &resolver{server, &net.Resolver{PreferGo: true, Dial: dial}}, nil
}

// ask asks for records. The answer's AuthenticatedData says that the resolver has
// validated it. [ErrNotFound]: there is no such name.
func (r *resolver) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	if r.server == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, Section 6.3
		return nil, ErrNotFound
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(1232, true)
	question.AuthenticatedData = true
	answer, _, err := new(dns.Client).ExchangeContext(ctx, question, r.server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, question, r.server)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking the resolver for %s: %w", dns.TypeToString[kind], err)
	case answer.Rcode == dns.RcodeNameError:
		return nil, ErrNotFound
	case answer.Rcode != dns.RcodeSuccess:
		return nil, fmt.Errorf("the resolver answers %s to a question for %s", dns.RcodeToString[answer.Rcode], dns.TypeToString[kind])
	}
	return answer, nil
}

func (r *resolver) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := r.system.LookupNetIP(ctx, "ip", host)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil, ErrNotFound
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs, err
}
