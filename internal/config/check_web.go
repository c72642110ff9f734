package config

import (
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"regexp"
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
	if m.MaxAge > mtasts.MaxPolicyAge || m.MaxAge%time.Second != 0 {
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

// ACME says which certificates an authority is asked for (RFC 8555).
type ACME struct {
	Ask       bool
	Directory string // a URL
	Email     string // empty: none
	Hosts     []string
	NewKey    bool           // with each renewal
	CA        string         // a file of roots; empty: the system's
	Roots     *x509.CertPool // those of CA; nil: the system's
}

// letsEncrypt is the directory that most will want.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// checkACME looks at the table acme, where it is given: an empty one asks for all
// defaults. It comes after mta-sts, whose hosts need certificates too.
func (l *loading) checkACME() {
	a := &l.config.ACME
	if a.Ask = l.given("acme"); !a.Ask {
		return
	}
	if len(l.config.Web.Listen)+len(l.config.Web.ListenPlain) == 0 {
		l.add("acme", "is answered by the web listener, and that is off", `name an address such as ":443" in listen below [web], or ":80" in listen-plain`)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		l.add("acme.directory", fmt.Sprintf("%q is no https URL", a.Directory), "write the one that your authority names, or leave the key out for Let's Encrypt")
	}
	if _, err := mail.ParseAddress(a.Email); err != nil && a.Email != "" {
		l.add("acme.email", fmt.Sprintf("%q is no address", a.Email), "write it as name@example.org")
	}
	l.checkCertifiedHosts()
	l.checkAuthorityRoots()
}

func (l *loading) checkCertifiedHosts() {
	a := &l.config.ACME
	if a.Hosts == nil {
		a.Hosts = []string{l.config.Hostname}
		for _, domain := range l.config.MTASTS.Domains {
			a.Hosts = append(a.Hosts, "mta-sts."+domain)
		}
	}
	if len(a.Hosts) == 0 {
		l.add("acme.hosts", "is empty, so there is nothing to certify", "name the hosts, or leave the key out for the hostname")
	}
	for i, host := range a.Hosts {
		key := fmt.Sprintf("acme.hosts[%d]", i)
		name, err := domainName(host)
		switch {
		case strings.HasPrefix(host, "*."):
			l.add(key, fmt.Sprintf("%q is for many hosts, which takes a challenge by DNS", host), "name each host")
		case err != nil || !strings.Contains(name, "."):
			l.add(key, fmt.Sprintf("%q is no host that an authority knows", host), "write a full name such as mx.example.org, in hosts or as hostname")
		case slices.Contains(a.Hosts[:i], name):
			l.add(key, fmt.Sprintf("%q is given twice", host), "leave one out")
		}
		a.Hosts[i] = name
	}
}

func (l *loading) checkAuthorityRoots() {
	a := &l.config.ACME
	if a.CA == "" {
		return
	}
	content, err := os.ReadFile(a.CA)
	if err != nil {
		l.add("acme.ca", fmt.Sprintf("%s: %v", a.CA, pathless(err)), "name a PEM file that the user that postern runs as can read")
		return
	}
	if a.Roots = x509.NewCertPool(); !a.Roots.AppendCertsFromPEM(content) {
		l.add("acme.ca", a.CA+" holds no certificate", "name a PEM file with the authority's root")
	}
}

// Reports says which TLS reports are taken in.
type Reports struct {
	Addresses []string // those that they are mailed to; nil: none
	Delivery  string   // Copy or Only
	Path      string   // on the web listener, where they are POSTed; empty: nowhere
	Resolver  string   // the DNS server that has the keys of signatures; empty: the system's
}

// What [Reports].Delivery can be: reports go to the next hop too, or are kept from it.
const (
	Copy = "copy"
	Only = "only"
)

func (c *Config) setDelivery(s setting) *Problem {
	if s.value.text == nil || *s.value.text != Copy && *s.value.text != Only {
		return expected("a delivery", s.value, "use copy, or only to keep reports from the next hop")
	}
	c.Reports.Delivery = *s.value.text
	return nil
}

func (l *loading) checkReports() {
	r := l.config.Reports
	l.checkAddresses("reports.addresses", r.Addresses)
	if r.Path != "" && len(l.config.Web.Listen) == 0 {
		l.add("reports.path", "is served over HTTPS, and web.listen is empty", `name an address such as "0.0.0.0:443" in listen below [web]`)
	}
	if r.Path != "" && !pathForm.MatchString(r.Path) {
		l.add("reports.path", fmt.Sprintf("%q is no path", r.Path), "write one such as /tls-reports")
	}
	l.checkResolver("reports.resolver", r.Resolver)
}

var pathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
