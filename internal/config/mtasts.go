package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/mtasts"
)

// MTASTS says what policy is served for the domains (RFC 8461).
type MTASTS struct {
	Serve    bool
	Domains  []string // in ASCII, none twice
	Mode     mtasts.Mode
	MX       []string
	MaxAge   time.Duration
	Resolver string // host or host:port of a DNS server; empty: the system's
}

// Policy is the policy that is wanted.
func (m MTASTS) Policy() mtasts.Policy {
	return mtasts.Policy{Mode: m.Mode, MX: m.MX, MaxAge: m.MaxAge}
}

// checkMTASTS looks at the table mta-sts, where it is given: an empty one asks for
// all defaults.
func (l *loading) checkMTASTS() {
	m := &l.config.MTASTS
	if m.Serve = l.given("mta-sts"); !m.Serve {
		return
	}
	for _, domain := range l.config.Domains {
		if name, err := domainName(domain); err == nil && !slices.Contains(m.Domains, name) {
			m.Domains = append(m.Domains, name)
		}
	}
	if m.MX == nil {
		m.MX = []string{l.config.Hostname}
	}
	if len(l.config.Web.Listen) == 0 {
		l.add("mta-sts", "is served over HTTPS, and web.listen is empty", `name an address such as "0.0.0.0:443" in listen below [web]`)
	}
	l.checkMX()
	if m.MaxAge > mtasts.MaxMaxAge || m.MaxAge%time.Second != 0 {
		l.add("mta-sts.max-age", fmt.Sprintf("%v is no age of a policy", m.MaxAge), `write whole seconds, at most a year: weeks are usual, as in "336h"`)
	}
	l.checkResolver("mta-sts.resolver", m.Resolver)
}

// given reports whether there is a table, or a key of it.
func (l *loading) given(table string) bool {
	for key := range l.places {
		if key == table || strings.HasPrefix(key, table+".") {
			return true
		}
	}
	return false
}

func (l *loading) checkMX() {
	m := l.config.MTASTS
	if len(m.MX) == 0 && m.Mode != mtasts.None {
		l.add("mta-sts.mx", "is empty, so no host may take the mail", "name the MX hosts, or leave the key out for the hostname")
	}
	for i, pattern := range m.MX {
		one := mtasts.Policy{Mode: mtasts.Testing, MX: []string{pattern}}
		if _, err := one.MarshalText(); err != nil {
			l.add(fmt.Sprintf("mta-sts.mx[%d]", i), fmt.Sprintf("%q names no host", pattern), `write a name in ASCII such as mx.example.org, or "*.example.org"`)
		}
	}
}

func (l *loading) checkResolver(key, server string) {
	if server != "" && !isServer(server) {
		l.add(key, fmt.Sprintf("%q is no address", server), "write an IP address, with a port behind a colon where it is not 53")
	}
}

// isServer reports whether text is an IP address, with a port or without.
func isServer(text string) bool {
	_, err := netip.ParseAddrPort(text)
	if err != nil {
		_, err = netip.ParseAddr(strings.Trim(text, "[]"))
	}
	return err == nil
}
