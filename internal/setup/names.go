package setup

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// mxRecords are the MX records of a domain.
type mxRecords struct {
	domain string
	hosts  []string // the most preferred first
	err    error    // that of the lookup
}

// maxLookups is how many domains are looked up.
const maxLookups = 20

// lookUpNames finds the hostname, the domains and the addresses to listen on.
func (m *Machine) lookUpNames(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	behind, _ := m.server()
	if behind == nil {
		behind = new(server)
	}
	if m.Domains == nil {
		m.Domains = domainNames(behind.domains)
	}
	m.mx = lookUpMX(ctx, m.Domains)
	m.chooseHostname(ctx, behind.hostname)
	// The first domain is that of a postmaster address without one.
	slices.SortStableFunc(m.Domains, func(a, b string) int { return cmp.Compare(btoi(a == m.Hostname), btoi(b == m.Hostname)) })
	m.Addresses = m.listenAt(ctx)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// domainNames returns those of the names that can be in DNS, in ASCII, none twice: a server's
// configuration has names such as localhost as well.
func domainNames(all []string) (names []string) {
	for _, name := range all {
		if ascii, ok := domainName(name); ok && !slices.Contains(names, ascii) {
			names = append(names, ascii)
		}
	}
	return names
}

// domainName returns a name in ASCII and lower case, and whether it can be in DNS.
func domainName(name string) (ascii string, ok bool) {
	ascii, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(name, ".")))
	return ascii, err == nil && strings.Contains(ascii, ".") && !strings.HasPrefix(ascii, "localhost.")
}

func lookUpMX(ctx context.Context, domains []string) (all []mxRecords) {
	for _, domain := range domains[:min(len(domains), maxLookups)] {
		found, err := net.DefaultResolver.LookupMX(ctx, domain)
		records := mxRecords{domain: domain}
		for _, mx := range found {
			records.hosts = append(records.hosts, strings.ToLower(strings.TrimSuffix(mx.Host, ".")))
		}
		if len(found) == 0 {
			records.err = unanswered(err)
		}
		all = append(all, records)
	}
	return all
}

// unanswered returns the error of a lookup to which there was no answer, nil if there was one.
func unanswered(err error) error {
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil
	}
	return err
}

// chooseHostname sets the hostname, unless it is given: an MX host that has an address of this
// machine, or the name of the server or of the system if it can be one.
func (m *Machine) chooseHostname(ctx context.Context, configured string) {
	if m.Hostname != "" {
		return
	}
	system, _ := os.Hostname()
	candidates := []string{configured, system}
	for _, records := range m.mx {
		for _, host := range records.hosts {
			if slices.Contains(candidates[:2], host) || m.hasAddressOf(ctx, host) {
				m.Hostname = host
				return
			}
		}
	}
	for _, name := range domainNames(candidates) {
		m.Hostname = name
		return
	}
}

// hasAddressOf reports whether this machine has an address of a host, as far as DNS answers.
func (m *Machine) hasAddressOf(ctx context.Context, host string) bool {
	addresses, _ := addressesOf(ctx, host)
	return slices.ContainsFunc(addresses, m.isOwn)
}

// addressesOf returns the addresses of a host, none if it has none.
func addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, unanswered(err)
}

func (m *Machine) isOwn(ip netip.Addr) bool { return slices.Contains(m.own, ip) }

// listenAt returns the addresses to listen on: those of the hostname, if this machine has them,
// else all that others can use. Those of loopback stay with the server, since programs of the
// machine send mail there.
func (m *Machine) listenAt(ctx context.Context) []netip.Addr {
	if m.own == nil {
		m.note("This machine has no address that other machines can use. Postern listens on those that it gets.")
	}
	if m.Hostname == "" {
		return m.own
	}
	public, err := addressesOf(ctx, m.Hostname)
	here := slices.DeleteFunc(slices.Clone(public), func(ip netip.Addr) bool { return !m.isOwn(ip) })
	switch {
	case len(here) > 0 && len(here) == len(public):
		slices.SortFunc(here, netip.Addr.Compare)
		return here
	case err != nil:
		m.note("Whether %s is an address of this machine is not known: DNS does not answer.", m.Hostname)
	case len(public) == 0:
		m.note("%s has no address in DNS yet.", m.Hostname)
	case len(here) == 0:
		m.note("%s is %s in DNS, which is not an address of this machine: a router or balancer has to forward port 25 to it.", m.Hostname, join(public))
	}
	return m.own
}

// join lists values for people.
func join[T interface{ String() string }](all []T) string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = one.String()
	}
	return strings.Join(texts, ", ")
}
