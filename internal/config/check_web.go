package config

import (
	"crypto/x509"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"postern/internal/oserror"
	"postern/internal/smtp"
	"postern/mtasts"
)

// MTASTS configures the policy to serve for the domains (RFC 8461).
type MTASTS struct {
	Enabled  bool
	Domains  []string // in ASCII, none twice
	Mode     mtasts.Mode
	MX       []string
	MaxAge   time.Duration
	Resolver string // host or host:port of a DNS server; empty: the system's
}

// Policy returns the configured policy.
func (m MTASTS) Policy() mtasts.Policy {
	return mtasts.Policy{Mode: m.Mode, MX: m.MX, MaxAge: m.MaxAge}
}

// checkMTASTS checks the table mta-sts, if there is one: an empty one means all
// defaults.
func (l *loading) checkMTASTS() {
	m := &l.config.MTASTS
	if m.Enabled = l.places.given("mta-sts"); !m.Enabled {
		return
	}
	m.Domains = l.config.DomainNames()
	if m.MX == nil {
		m.MX = []string{l.config.Hostname}
	}
	if len(l.config.Web.Listen) == 0 {
		l.add("mta-sts", "needs HTTPS, and web.listen is empty", `list an address such as "0.0.0.0:443" in listen below [web]`)
	}
	l.checkMX()
	if m.MaxAge > mtasts.MaxPolicyAge || m.MaxAge%time.Second != 0 {
		l.add("mta-sts.max-age", fmt.Sprintf("%v is not a valid maximum age", m.MaxAge), `write whole seconds, at most a year; weeks are usual, such as "336h"`)
	}
	l.checkResolver("mta-sts.resolver", m.Resolver)
}

func (l *loading) checkMX() {
	m := l.config.MTASTS
	if len(m.MX) == 0 && m.Mode != mtasts.None {
		l.add("mta-sts.mx", "is empty, so senders could deliver to no host", "list the MX hosts, or remove the key to use the hostname")
	}
	for i, pattern := range m.MX {
		one := mtasts.Policy{Mode: mtasts.Testing, MX: []string{pattern}}
		if _, err := one.MarshalText(); err != nil {
			l.add(element("mta-sts.mx", i), fmt.Sprintf("%q is not an MX pattern", pattern), `write a name in ASCII such as mx.example.org, or "*.example.org"`)
		}
	}
}

func (l *loading) checkResolver(key, server string) {
	if server != "" && !isServer(server) {
		l.add(key, fmt.Sprintf("%q is not an address", server), "write an IP address, with :port if it is not 53")
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

// ACME configures the certificates to obtain (RFC 8555).
type ACME struct {
	Enabled   bool
	Directory string // a URL
	Email     string // empty: none
	Hosts     []string
	NewKey    bool           // with each renewal
	CA        string         // a file of roots; empty: the system's
	Roots     *x509.CertPool // those of CA; nil: the system's
}

// letsEncrypt is the default directory.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Issuer returns the authority's name in CAA records (RFC 8659, Section 4.2), empty if it
// is not known: only Let's Encrypt's is.
func (a ACME) Issuer() string {
	u, err := url.Parse(a.Directory)
	if a.Enabled && err == nil && strings.HasSuffix(u.Hostname(), ".letsencrypt.org") {
		return "letsencrypt.org"
	}
	return ""
}

// checkACME checks the table acme, if there is one: an empty one means all
// defaults. It comes after dashboard and mta-sts, whose hosts need certificates too.
func (l *loading) checkACME() {
	a := &l.config.ACME
	if a.Enabled = l.places.given("acme"); !a.Enabled {
		return
	}
	if len(l.config.Web.Listen)+len(l.config.Web.ListenPlain) == 0 {
		l.add("acme", "needs the web listener, which is off", `list an address such as ":443" in listen below [web], or ":80" in listen-plain`)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		l.add("acme.directory", fmt.Sprintf("%q is not an https URL", a.Directory), "write the directory URL of your authority, or remove the key to use Let's Encrypt")
	}
	if _, err := mail.ParseAddress(a.Email); err != nil && a.Email != "" {
		l.add("acme.email", fmt.Sprintf("%q is not an address", a.Email), "write an address such as name@example.org")
	}
	l.checkCertifiedHosts()
	a.Roots = l.readRoots("acme.ca", a.CA)
}

func (l *loading) checkCertifiedHosts() {
	a := &l.config.ACME
	if a.Hosts == nil {
		a.Hosts = []string{l.config.Hostname}
		for _, domain := range l.config.MTASTS.Domains {
			a.Hosts = append(a.Hosts, "mta-sts."+domain)
		}
		if host := l.config.Dashboard.Host; host != "" && !slices.Contains(a.Hosts, host) {
			a.Hosts = append(a.Hosts, host)
		}
	}
	if len(a.Hosts) == 0 {
		l.add("acme.hosts", "is empty, so there is no certificate to obtain", "list the hosts, or remove the key to use the hostname")
	}
	seen := make(map[string]bool, len(a.Hosts))
	for i, host := range a.Hosts {
		key := element("acme.hosts", i)
		name, err := domainName(host)
		switch {
		case strings.HasPrefix(host, "*."):
			l.add(key, fmt.Sprintf("%q is a wildcard, which needs the DNS challenge; postern does not support it", host), "list each host")
		case err != nil || !strings.Contains(name, "."):
			l.add(key, fmt.Sprintf("%q is not a public host name", host), "write a full name such as mx.example.org, in hosts or as hostname")
		case seen[name]:
			l.add(key, fmt.Sprintf("%q is listed twice", host), "remove one")
		}
		a.Hosts[i], seen[name] = name, true
	}
}

// readRoots reads the certificates of authorities. Without a file it returns nil.
func (l *loading) readRoots(key, file string) *x509.CertPool {
	if file == "" {
		return nil
	}
	content, err := oserror.ReadFile(file)
	if err != nil {
		l.add(key, oserror.Text(err), "set a PEM file that the user that postern runs as can read")
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		l.add(key, file+" has no PEM certificate", "set a PEM file with the authority's root certificate")
	}
	return roots
}

// Reports configures the TLS reports to receive.
type Reports struct {
	Addresses []string // recipients of reports by mail; nil: none
	Delivery  string   // Copy or Only
	Path      string   // of the web server, for reports by POST; empty: none
	Resolver  string   // DNS server for DKIM keys; empty: the system's
}

// AddressFor returns the address for reports about a domain, with a domain in ASCII as a DNS record
// needs it: a configured one, or one that the operator has to create.
func (r Reports) AddressFor(domain string) string {
	chosen := "tls-reports@" + domain
	if len(r.Addresses) > 0 {
		chosen = r.Addresses[0]
	}
	if i := slices.IndexFunc(r.Addresses, func(address string) bool { return smtp.MailboxDomain(address) == smtp.FoldDomain(domain) }); i >= 0 {
		chosen = r.Addresses[i]
	}
	local, _, _ := smtp.SplitMailbox(chosen)
	return local + "@" + smtp.MailboxDomain(chosen)
}

// The values of [Reports].Delivery: reports go to the next hop too, or only to the
// ledger.
const (
	Copy = "copy"
	Only = "only"
)

func (c *Config) setDelivery(s setting) *Problem {
	if s.value.text == nil || *s.value.text != Copy && *s.value.text != Only {
		return expected("copy or only", s.value, "use copy to pass reports to the next hop too, or only to keep them from it")
	}
	c.Reports.Delivery = *s.value.text
	return nil
}

func (l *loading) checkReports() {
	r := l.config.Reports
	l.checkAddresses("reports.addresses", r.Addresses)
	if r.Path != "" && len(l.config.Web.Listen) == 0 {
		l.add("reports.path", "needs HTTPS, and web.listen is empty", `list an address such as "0.0.0.0:443" in listen below [web]`)
	}
	if r.Path != "" && !pathForm.MatchString(r.Path) {
		l.add("reports.path", fmt.Sprintf("%q is not a path", r.Path), "write a path such as /tls-reports")
	}
	l.checkResolver("reports.resolver", r.Resolver)
}

var pathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
