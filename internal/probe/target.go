package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"postern/internal/persona"
)

// Why there is nothing to probe.
var (
	ErrTarget   = errors.New("expected a domain, a host, an address, or host:port")
	ErrNoMail   = errors.New("accepts no mail (null MX record, RFC 7505)")
	ErrNotFound = errors.New("no such domain or host, or no address")
)

// A target is a parsed target.
type target struct {
	name string     // a domain or host, in A-labels; empty if it is an address
	addr netip.Addr // zero if it is a name
	port uint16     // 0 if there is none
}

func parseTarget(text string) (target, error) {
	invalid := fmt.Errorf("probe: target %s: %w", quoted(text), ErrTarget)
	var t target
	rest := text
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return target{addr: addr.Unmap()}, nil
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return t, invalid
		}
		t.port, rest = uint16(number), host
	}
	if addr, err := netip.ParseAddr(rest); err == nil {
		t.addr = addr.Unmap()
		return t, nil
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(rest, "."))
	if err != nil || name == "" || len(name) > 253 {
		return t, invalid
	}
	t.name = strings.ToLower(name)
	return t, nil
}

// resolve returns a report with the hosts and addresses to probe, and the resolver that
// found them, nil for an address.
func (p *Prober) resolve(ctx context.Context, text string) (*Report, *resolver, error) {
	t, err := parseTarget(text)
	if err != nil {
		return nil, nil, err
	}
	r := &Report{Target: text}
	port := cmp.Or(t.port, p.Port, defaultPort(p.Protocol))
	if t.name == "" {
		r.Hosts = []*Host{{Name: t.addr.String(), Addresses: []*Address{{Addr: netip.AddrPortFrom(t.addr, port)}}}}
		return r, nil, nil
	}
	names := newResolver(p.Resolver, p.TrustAnchors)
	if err := r.findHosts(ctx, names, t, p.Protocol); err != nil {
		return nil, nil, fmt.Errorf("probe: %s: %w", t.name, err)
	}
	if r.findAddresses(ctx, names, port) == 0 && r.Domain == "" {
		return nil, nil, fmt.Errorf("probe: %s: %w", t.name, ErrNotFound)
	}
	return r, names, nil
}

// defaultPort returns the port of a protocol.
func defaultPort(p persona.Protocol) uint16 {
	return map[persona.Protocol]uint16{
		persona.SMTP: 25, persona.SMTPS: 465, persona.IMAP: 143, persona.POP3: 110, persona.IMAPS: 993, persona.POP3S: 995,
	}[p]
}

// findHosts looks up the MX hosts of a name. A name without MX records is a host (RFC 5321,
// Section 5.1), and so is one with a port.
func (r *Report) findHosts(ctx context.Context, names *resolver, t target, p persona.Protocol) error {
	r.Hosts = []*Host{{Name: t.name}}
	if t.port != 0 || !p.Mail() {
		return nil
	}
	answer, err := names.query(ctx, t.name, dns.TypeMX)
	if errors.Is(err, ErrNotFound) {
		return nil // the name may be in the hosts file
	}
	if err != nil {
		return err
	}
	hosts := mxHosts(answer.Msg)
	if len(hosts) == 0 {
		return nil
	}
	if hosts[0].Name == "" {
		return ErrNoMail
	}
	r.Domain, r.Hosts, r.mx = t.name, hosts, answer
	return nil
}

// mxHosts returns the hosts of MX records in the order in which senders try them. The host
// of a null MX record has no name.
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

// findAddresses looks up the addresses of the hosts and returns their number.
func (r *Report) findAddresses(ctx context.Context, names *resolver, port uint16) (found int) {
	for _, h := range r.Hosts {
		addrs, err := names.addresses(ctx, h.Name)
		if err != nil && r.Domain != "" {
			r.Findings = append(r.Findings, withoutAddress(h, err))
		}
		for _, addr := range addrs {
			if found++; found > maxAddresses {
				break
			}
			h.Addresses = append(h.Addresses, &Address{Addr: netip.AddrPortFrom(addr.Unmap(), port)})
		}
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; found == 0 && f.Severity == Warning {
			f.Severity, f.Title = Critical, f.Title+", and no other MX host has one: mail cannot be delivered"
		}
	}
	return found
}

func withoutAddress(h *Host, err error) Finding {
	if !errors.Is(err, ErrNotFound) {
		return lookupFailed("mx-address", "Addresses of "+quoted(h.Name), err)
	}
	return Finding{
		ID: "mx-without-address", Severity: Warning,
		Title:    "An MX host has no address",
		Evidence: []string{quoted(h.Name)},
		Advice:   forAll("Publish A and AAAA records for the host, or remove its MX record: senders waste time on it."),
		Sources:  []string{"https://www.rfc-editor.org/rfc/rfc5321#section-5.1"},
	}
}
